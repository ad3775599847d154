"""Exercise checkers: they say what is right, and for a wrong answer which mistake it looks like.

A judge is only asked about answers that could be right: no answer at all, a value where a function
is wanted, and a function that raises or returns nothing have their sentences here, once for all.
An exercise that still holds its `...` is unanswered: `check` prints nothing for it, so that the
book shows no verdict before a reader has tried. `segcore.course.judges` makes judges from tables.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Slip = TypeVar("Slip")


class Wrong(Exception):
    """Ends a judgement, however deep inside, with the sentence that the reader is told."""


class Blank(Wrong):
    """Ends a judgement of what still is `...`: nobody has answered yet."""


class Unanswered(str):
    """What would help with an answer that still is `...`; `check` does not print it."""


class Right(str):
    """A verdict that accepts an answer with a sentence of its own, in place of the praise."""


@dataclass(frozen=True)
class Exercise:
    """One exercise with its judge and the answers that prove the judge right.

    `judge(answer)` returns None for a right answer, else one sentence that helps. Where `function`
    is its name ("": any), a function is wanted, and `unanswered` is said while it returns `...`;
    `raises` explains exceptions that a likely slip leads to. `right` are answers that are accepted;
    `wrong` are pairs (answer, words its sentence contains).
    """

    judge: Callable[[Any], str | None]
    praise: str
    right: tuple[Any, ...]
    wrong: tuple[tuple[Any, str], ...]
    function: str | None = None
    unanswered: str = "replace the ... behind return, and run the cell again."
    raises: tuple[tuple[type[Exception], str], ...] = ()

    def verdict(self, answer: Any) -> str | None:
        """None for a right answer, a `Right` for one with a sentence of its own, else what helps.

        Never raises for what the reader's function does; what this judge does wrong, it raises.
        """
        if _blank(answer):
            return Unanswered("replace the ... with your answer and run the cell again.")
        if self.function is None:
            if answer is None:
                return "your answer is None: nothing was put there yet, or print took its place."
        elif not callable(answer):
            name = f", {self.function}," if self.function else ","
            return f"hand over the function itself{name} without brackets behind it."
        try:
            return self.judge(answer if self.function is None else self._watched(answer))
        except Blank as blank:
            return Unanswered(blank)
        except Wrong as wrong:
            return str(wrong)

    def _watched(self, function: Callable) -> Callable:
        """`function`, with Wrong in place of what it raises, of `...` and of None."""

        def watched(*arguments: Any) -> Any:
            try:
                value = function(*arguments)
            except Exception as error:  # the reader's function may raise anything: quote it
                if isinstance(error, TypeError) and "ellipsis" in str(error):  # ... + 1
                    raise Blank(self.unanswered) from error
                hint = next((text for kind, text in self.raises if isinstance(error, kind)), None)
                quoted = f"your answer raised {type(error).__name__}: {error}"
                raise Wrong(hint or quoted) from error
            if _blank(value):
                raise Blank(self.unanswered)
            parts = value if isinstance(value, tuple | list) else [value]
            if any(part is ... for part in parts):
                raise Wrong(self.unanswered)
            if any(part is None for part in parts):
                raise Wrong("your function returns nothing, or None: put the result behind return.")
            return value

        return watched


def _blank(answer: Any) -> bool:
    """Whether nothing of `answer` has been filled in: `...`, or a tuple, list or dict of it."""
    parts = answer.values() if isinstance(answer, dict) else answer
    if isinstance(answer, tuple | list | dict) and len(answer):
        return all(part is ... for part in parts)
    return answer is ...


def exercise(name: str) -> Exercise:
    """The exercise `"NN-slug"`, e.g. `"01-baseline"`. Raises KeyError naming those there are."""
    chapter, _, slug = name.partition("-")
    try:
        table = import_module(f"segcore.course.exercises.chapter{chapter}").EXERCISES
    except ModuleNotFoundError as error:
        raise KeyError(f"exercise {name!r}: there is no chapter {chapter!r}") from error
    if slug not in table:
        known = ", ".join(f"{chapter}-{key}" for key in table)
        raise KeyError(f"exercise {name!r} does not exist; chapter {chapter} has: {known}")
    return table[slug]


def check(name: str, answer: Any) -> None:
    """Prints whether `answer` solves exercise `name`, and if not, what to think about.

    Prints nothing while the answer is `...`, or a function that returns it. Where the checker
    itself fails, it says so, and blames nobody's answer.
    """
    task = exercise(name)
    try:
        verdict = task.verdict(answer)
    except Exception as error:  # a fault of ours must not look like one of the reader's
        kind = type(answer).__name__
        print(f"Not judged: the checker fails on this {kind} ({type(error).__name__}: {error}).")
        return
    if isinstance(verdict, Unanswered):
        return
    if verdict is None or isinstance(verdict, Right):
        print(f"Right: {verdict or task.praise}")
    else:
        print(f"Not yet: {verdict}")


def reveal(guess: float | None, truth: float, unit: str = "", digits: int = 1) -> None:
    """Prints the measured `truth` and, when the reader wrote a `guess`, how far off it was."""
    said = f"{truth:.{digits}f}{unit}"
    if guess is None:
        print(f"Measured: {said}. (Write your guess first: it makes the number stick.)")
    else:
        print(f"Measured: {said}. Your guess was {abs(guess - truth):.{digits}f}{unit} away.")


def number(answer: Any, wanted: str = "a single number") -> float:
    """`answer` as a float: any number, array or tensor of one element. Raises Wrong for others."""
    value = array(answer, wanted)
    if isinstance(answer, bool | np.bool_) or value.size != 1:
        raise Wrong(f"{wanted} is wanted, this is a {type(answer).__name__}.")
    if not np.isfinite(value).all():
        raise Wrong(f"{wanted} is wanted, this is {value.item()}.")
    return float(value.item())


def array(answer: Any, wanted: str = "an array of numbers") -> NDArray[np.float64]:
    """`answer` as float64: a number, sequence, array or tensor. Raises Wrong for anything else."""
    try:
        value = np.asarray(answer)
        if value.dtype.kind in "biuf":
            return value.astype(np.float64)
    except (TypeError, ValueError):  # ragged lists, and objects that will not be an array
        pass
    kind = type(answer).__name__
    raise Wrong(f"{wanted} is wanted, this is a {kind}.")


def recognise(slips: Iterable[tuple[Slip, str]], matches: Callable[[Slip], Any]) -> str | None:
    """The sentence of the first slip (a number, or a function with a mistake in it) that fits."""
    return next((sentence for slip, sentence in slips if matches(slip)), None)


def side(answer: float, truth: float) -> str:
    """Which way a wrong number is off."""
    return "too large." if answer > truth else "too small."
