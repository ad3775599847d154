"""Judges that recognise a slip: an exercise is its right answer, the likeliest slips, a sentence.

Four kinds of answers are judged here, each by a short table. `.exercise(praise)` turns a judge
into a `checks.Exercise` with the answers that prove it right: the truth, and each of the slips.

    from segcore.course.judges import Choice, Experiment, Function, Number, apart

    EXERCISES = {
        # One number. A slip is the number that it leads to.
        "strided": Number(
            112 * 112 * 32 * 27,
            slips=((224 * 224 * 32 * 27, "that is without the stride."),),
            hint="Multiply positions, kernel and channels.",  # said after "too large."
        ).exercise("a quarter of the positions, a quarter of the work."),
        # A function. A slip is the function with the mistake in it; a case is a tuple of arguments.
        "luck": Function(
            lambda n: 2 / comb(2 * n, n),
            cases=((2,), (3,), (5,)),
            slips=((lambda n: 1 / comb(2 * n, n), "either of the two may be the lucky one."),),
        ).exercise("with three seeds, one time in ten."),
        # One word of several. A slip is a wrong word.
        "bug": Choice(
            "resized smoothly",
            slips=(("one-hot", "its ids would be 0 and 1 only."),),
        ).exercise("no id of VOC lies between 0 and 15 by accident."),
        # The open experiment gets a dict: settings, what came out, and a conclusion:
        # {"dilation": 4, "with": [0.5, 0.6], "without": [0.4, 0.3], "conclusion": "better"}.
        "open": Experiment(
            start={"dilation": 6},  # must have been changed
            measured=("with", "without"),
            conclusions=("better", "worse", "cannot tell"),
            supported=lambda n: apart(n["with"], n["without"]),
            slips=(("better", "one of your seeds without is above the lowest one with."),),
        ).exercise("an interval decides, not a mean.", right=({...},)),
    }

In a chapter, `conclusion = ...` in the experiment's cell is the unanswered state. `...` anywhere
in place of a whole answer prints nothing (see `checks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Blank, Exercise, Wrong, array, number, recognise, side

Answers = tuple[tuple[Any, str], ...]


@dataclass(frozen=True)
class Number:
    """Judges one number: right within `tolerance` (relative; of a slip, too)."""

    truth: float
    slips: tuple[tuple[float, str], ...] = ()
    hint: str = ""
    tolerance: float = 0.005
    wanted: str = "a single number"

    def __call__(self, answer: Any) -> str | None:
        value = number(answer, self.wanted)
        if self._near(value, self.truth):
            return None
        slip = recognise(self.slips, lambda slip: self._near(value, slip))
        return slip or f"{side(value, self.truth)} {self.hint}".strip()

    def exercise(self, praise: str, right: tuple[Any, ...] = (), wrong: Answers = ()) -> Exercise:
        """The exercise, proved by the truth, each slip, a number too large and one too small."""
        given = (
            (str(self.truth), "is wanted"),
            *self.slips,
            (self._far(+1), "too large."),
            (self._far(-1), "too small."),
        )
        truths = (self.truth, float(self.truth), np.float64(self.truth))
        return Exercise(self, praise, truths + right, given + wrong)

    def _near(self, value: float, other: float) -> bool:
        return bool(np.isclose(value, other, rtol=self.tolerance, atol=1e-9))

    def _far(self, sign: int) -> float:
        """A number on one side of the truth that is no slip."""
        steps = (sign * (1.37 * abs(self.truth) + 1) * (1 + n / 9) for n in range(99))
        taken = [value for value, _ in self.slips]
        return next(
            self.truth + step
            for step in steps
            if not any(self._near(self.truth + step, value) for value in taken)
        )


@dataclass(frozen=True)
class Function:
    """Judges a function: it must give what `truth` gives for each of `cases`, tuples of arguments.

    Numbers, sequences, arrays and tensors are compared within `tolerance`. A slip may return
    another shape, and is named where it agrees with the answer in all cases. (What makes an answer
    raise is no slip of this table: give `dataclasses.replace(exercise, raises=...)` its sentence.)
    `name` is what the chapter calls the function.
    """

    truth: Callable[..., Any]
    cases: tuple[tuple[Any, ...], ...]
    slips: tuple[tuple[Callable[..., Any], str], ...] = ()
    tolerance: float = 1e-5
    name: str = ""

    def __call__(self, function: Callable[..., Any]) -> str | None:
        values, wanted = self._values(function), self._values(self.truth)
        if self._same(values, wanted):
            return None
        return recognise(self.slips, lambda slip: self._same(values, self._tried(slip))) or next(
            _difference(case, value, want)
            for case, value, want in zip(self.cases, values, wanted, strict=True)
            if not self._same([value], [want])
        )

    def exercise(self, praise: str, right: tuple[Any, ...] = (), wrong: Answers = ()) -> Exercise:
        """The exercise, proved by the truth and each slip."""
        proof = (self.truth, *right)
        return Exercise(self, praise, proof, (*self.slips, *wrong), function=self.name)

    def _values(self, function: Callable[..., Any]) -> list[NDArray[np.float64]]:
        return [array(function(*_copies(case))) for case in self.cases]

    def _tried(self, slip: Callable[..., Any]) -> list[NDArray[np.float64]]:
        """What a slip gives; nothing where it raises."""
        try:
            with np.errstate(all="ignore"):
                return self._values(slip)
        except Exception:  # a mistake may raise anything for an odd case: then it is another one
            return []

    def _same(self, values: Sequence[NDArray], others: Sequence[NDArray]) -> bool:
        return len(values) == len(others) and all(
            a.shape == b.shape and np.allclose(a, b, rtol=self.tolerance, equal_nan=True)
            for a, b in zip(values, others, strict=True)
        )


def _copies(case: Iterable[Any]) -> list[Any]:
    """The arguments of a case, arrays copied: an answer may write into them."""
    return [part.copy() if isinstance(part, np.ndarray) else part for part in case]


def _difference(case: tuple[Any, ...], value: NDArray, wanted: NDArray) -> str:
    """Where `value` first differs from `wanted`."""
    large = any(isinstance(part, np.ndarray) and part.size > 12 for part in case)
    where = "" if large else f"for {', '.join(_said(part) for part in case)} "
    if value.shape != wanted.shape:
        return f"{where}shape {wanted.shape} is wanted, yours has shape {value.shape}."
    if not value.ndim:
        return f"{where}{float(wanted):.5g} is wanted, yours is {float(value):.5g}."
    at = tuple(int(i) for i in np.argwhere(~np.isclose(value, wanted, equal_nan=True))[0])
    place = at[0] if len(at) == 1 else at
    return f"{where}element {place} should be {wanted[at]:.5g}, yours is {value[at]:.5g}."


def _said(part: Any) -> str:
    return str(part.tolist()) if isinstance(part, np.ndarray) else f"{part}"


@dataclass(frozen=True)
class Choice:
    """Judges one word, or one number of a list: `truth`, or a slip with its own sentence."""

    truth: str | int
    slips: tuple[tuple[str | int, str], ...]

    def __call__(self, answer: Any) -> str | None:
        if _word(answer) == _word(self.truth):
            return None
        slip = recognise(self.slips, lambda slip: _word(slip) == _word(answer))
        known = sorted(str(word) for word in (self.truth, *(word for word, _ in self.slips)))
        return slip or f"choose one of these: {', '.join(known)}."

    def exercise(self, praise: str, right: tuple[Any, ...] = (), wrong: Answers = ()) -> Exercise:
        """The exercise, proved by the truth, each other word, and a word that is none of them."""
        given = (*self.slips, ("none of them", "choose one of these"))
        return Exercise(self, praise, (self.truth, *right), given + wrong)


def _word(answer: Any) -> str:
    """Words are compared without case and blanks at the ends, numbers as whole ones."""
    if isinstance(answer, bool | np.bool_ | str):
        return str(answer).strip().lower()
    try:
        value = number(answer)
    except Wrong:
        return repr(answer)
    return str(int(value)) if value == int(value) else str(value)


@dataclass(frozen=True)
class Experiment:
    """Judges the open experiment: a dict of settings, measured numbers and a `"conclusion"`.

    At least one setting must differ from `start`. `measured` names hold one number or several.
    `supported` gets all of them as arrays and returns that of `conclusions` which they support, or
    raises `Wrong` where they cannot have come out. `slips` tell why one is not supported.
    """

    start: Mapping[str, float]
    measured: tuple[str, ...]
    conclusions: tuple[str, ...]
    supported: Callable[[dict[str, NDArray[np.float64]]], str]
    slips: tuple[tuple[str, str], ...] = ()

    def __call__(self, answer: Any) -> str | None:
        if not isinstance(answer, Mapping):
            return f"hand over a dict with {', '.join([*self._names(), 'conclusion'])}."
        if answer.get("conclusion", ...) is ... and "conclusion" in answer:
            raise Blank("run your experiment, then replace the ... by what you conclude.")
        if missing := [name for name in (*self._names(), "conclusion") if name not in answer]:
            return f"the dict lacks {', '.join(missing)}."
        numbers = {name: self._numbers(name, answer[name]) for name in self._names()}
        same = [np.array_equal(numbers[name], np.atleast_1d(v)) for name, v in self.start.items()]
        if same and all(same):
            return f"change {' or '.join(self.start)} first: the chapter has run this one already."
        return self._concluded(_word(answer["conclusion"]), numbers)

    def _names(self) -> tuple[str, ...]:
        return (*self.start, *self.measured)

    def _numbers(self, name: str, given: Any) -> NDArray[np.float64]:
        values = np.atleast_1d(array(given, f"a number, or several, as {name}"))
        if not values.size or not np.isfinite(values).all():
            raise Wrong(f"{name} must hold finite numbers, at least one; run the experiment again.")
        return values

    def _concluded(self, conclusion: str, numbers: dict[str, NDArray[np.float64]]) -> str | None:
        if conclusion not in self.conclusions:
            return f"write one of these as the conclusion: {', '.join(self.conclusions)}."
        if conclusion == self.supported(numbers):
            return None
        slip = recognise(self.slips, lambda word: word == conclusion)
        return slip or f"your numbers do not support {conclusion!r}: look at them once more."

    def exercise(self, praise: str, right: tuple[Any, ...] = (), wrong: Answers = ()) -> Exercise:
        """The exercise; `right` are whole dicts, `wrong` pairs of a dict and words of its verdict.

        Proved besides by what is no dict, and by one without a conclusion and with a wrong word.
        """
        empty = dict.fromkeys(self._names(), 1)
        given: Answers = (("better", "hand over a dict"), (empty, "the dict lacks conclusion"))
        if right:
            given += (({**right[0], "conclusion": "perhaps"}, "write one of these"),)
            if self.start:
                given += (({**right[0], **self.start}, "change "),)
        return Exercise(self, praise, right, given + wrong)


def apart(ours: Any, theirs: Any) -> str:
    """`"better"` where all of `ours` lie above all of `theirs`, `"worse"` below, `"cannot tell"`.

    The rule of the course for a few seeds each; one number on either side can never tell.
    """
    a, b = np.ravel(ours), np.ravel(theirs)
    if min(a.size, b.size) < 2:
        return "cannot tell"
    return "better" if a.min() > b.max() else "worse" if a.max() < b.min() else "cannot tell"
