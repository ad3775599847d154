"""Exercise checkers: they say what is right, and for a wrong answer which mistake it looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Exercise:
    """One exercise with its judge and the answers that prove the judge right.

    `judge(answer)` returns None for a right answer, else one sentence that helps.
    `right` are answers it accepts; `wrong` are pairs (answer, words its sentence contains).
    """

    judge: Callable[[Any], str | None]
    praise: str
    right: tuple[Any, ...]
    wrong: tuple[tuple[Any, str], ...]


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
    """Prints whether `answer` solves exercise `name`, and if not, what to think about."""
    task = exercise(name)
    if answer is ...:
        print("Not yet: replace the ... with your answer and run the cell again.")
        return
    try:
        verdict = task.judge(answer)
    except Exception as error:
        # The reader's function may raise anything; that is an answer too, and we quote it.
        verdict = f"your answer raised {type(error).__name__}: {error}"
    print(f"Right: {task.praise}" if verdict is None else f"Not yet: {verdict}")


def reveal(guess: float | None, truth: float, unit: str = "", digits: int = 1) -> None:
    """Prints the measured `truth` and, when the reader wrote a `guess`, how far off it was."""
    said = f"{truth:.{digits}f}{unit}"
    if guess is None:
        print(f"Measured: {said}. (Write your guess first: it makes the number stick.)")
    else:
        print(f"Measured: {said}. Your guess was {abs(guess - truth):.{digits}f}{unit} away.")


def expect_number(answer: Any, truth: float, tolerance: float) -> str | None:
    """A first sentence for number answers: None when close, else which way `answer` is off."""
    if isinstance(answer, bool) or not hasattr(answer, "__float__"):
        return f"a single number is wanted, this is a {type(answer).__name__}."
    if abs(float(answer) - truth) <= tolerance:
        return None
    return "too large." if float(answer) > truth else "too small."
