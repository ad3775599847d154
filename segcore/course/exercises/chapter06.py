"""Exercises of chapter 6: where a feature stands, the aligning crop, an upsampling to repair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, Wrong, array, number, recognise
from segcore.course.judges import Experiment, Function

Pixels = NDArray[np.float64]
SIZES = (257, 256, 513, 250, 224, 300)
FACTORS = (1, 2, 3, 4, 5, 8, 16)
STRIDE = 16
SIDES = (5, 9)  # features a side that a repaired upsampling is tried on
HALF = 0.51  # pixels: half of one is as near as an even factor comes

_POSITION = Function(
    lambda size: (size - 1) % STRIDE,
    cases=tuple((size,) for size in SIZES),
    name="first_pixel",
    slips=(
        (lambda size: 0, "that holds for 16k + 1 only: what does the one zero at an even side do?"),
        (
            lambda size: 15,
            "that holds for 16k only: 257 is odd, and so are 129, 65 and 33 behind it.",
        ),
        (
            lambda size: 0 if size % 2 else 15,
            "the side may change from odd to even on its way: 250, 125, 63, 32.",
        ),
        (lambda size: (size - 1) % 2, "that is the first layer alone; three more follow."),
        (lambda size: size % STRIDE, "one too far: at 257, feature 0 stands on pixel 0."),
        (
            lambda size: -size % STRIDE,
            "that counts the zeros at the end; each layer's zero counts as many pixels as its "
            "cumulative stride.",
        ),
        (
            lambda size: bin((size - 1) % STRIDE).count("1"),
            "you count the even sides; at the third layer one feature is 4 pixels, not 1.",
        ),
        (lambda size: 7.5, "that is where plain upsampling puts it, not where it stands."),
    ),
)


def _judge_crop(function: Callable[[int], Any]) -> str | None:
    """(factor - 1)/2 rounded down or up, a whole number for every factor."""
    answers = [number(function(k), "one number for each factor") for k in FACTORS]
    if answers == [(k - 1) / 2 for k in FACTORS]:
        return "exact, but rows are whole: round (factor - 1) / 2 down with //."
    for k, answer in zip(FACTORS, answers, strict=True):
        if not answer.is_integer():
            raise Wrong(f"whole numbers are wanted; for {k} yours is {answer}.")
    off = [k for k, a in zip(FACTORS, answers, strict=True) if abs(a - (k - 1) / 2) > 0.5]
    if not off:
        return None
    return recognise(_CROP_SLIPS, lambda slip: answers == [slip(k) for k in FACTORS]) or (
        f"for factor {off[0]} you cut off {answers[FACTORS.index(off[0])]:.0f}: "
        "more than half a pixel off."
    )


_CROP_SLIPS: tuple[tuple[Callable[[int], int], str], ...] = (
    (lambda k: 0, "that cuts off nothing in front: plain upsampling, half a feature off."),
    (
        lambda k: k - 1,
        "that is all there is to cut off, on both sides together; how much of it in front?",
    ),
    (lambda k: k, "that cuts off a whole feature; feature 0 starts with half of one too much."),
    (
        lambda k: 7,
        "right for a factor of 16 and for no other: where does feature 0 land for `factor`?",
    ),
    (
        lambda k: k // 4,
        "too little: feature 0 is spread over `factor` pixels; where is their middle?",
    ),
)


def _upsampler(lands: Callable[[Pixels, int], Pixels], extra: int = 0) -> Callable[[Any], Pixels]:
    """Linear upsampling ×16 along both sides; feature i of n lands on pixel `lands(i, n)`."""

    def upsample(features: Any) -> Pixels:
        n = np.shape(features)[1]
        places, pixels = lands(np.arange(float(n)), n), np.arange(_size(n) + extra)
        matrix = np.stack([np.interp(pixels, places, row) for row in np.eye(n)], axis=1)
        return np.einsum("pi,bijc,qj->bpqc", matrix, np.asarray(features), matrix)

    return upsample


def _size(n: int) -> int:
    return STRIDE * (n - 1) + 1


def _positions(n: int) -> NDArray[np.float32]:
    """Features (1, n, n, 2) that hold the row and the column of the pixel on which each stands."""
    along = STRIDE * np.arange(n, dtype=np.float32)
    return np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1)[None]


_REPAIR_SLIPS: tuple[tuple[Callable[[Any], Any], str], ...] = (
    (
        _upsampler(lambda i, n: (i + 0.5) * _size(n) / n - 0.5),
        "that is the plain resize still: right in the middle, pulled inwards at every edge.",
    ),
    (
        _upsampler(lambda i, n: STRIDE * i + 7.5),
        "all was cut off at the end: every feature lands 7.5 pixels too far down and right.",
    ),
    (
        _upsampler(lambda i, n: STRIDE * i - 7.5),
        "all was cut off in front: every feature lands 7.5 pixels too high and too far left.",
    ),
    (
        _upsampler(lambda i, n: STRIDE * i + 7.5, extra=15),
        "upsampled, but not cropped: 15 rows and columns are too many.",
    ),
    (
        lambda features: _upsampler(lambda i, n: STRIDE * i + 0.0)(features).swapaxes(1, 2),
        "rows and columns are exchanged.",
    ),
)


def _judge_repair(function: Callable[[Any], Any]) -> str | None:
    """Feature i must land within half a pixel of 16i, along rows and columns."""
    given = [_positions(n) for n in SIDES]
    answers = [array(function(features.copy()), "an array or a tensor") for features in given]
    shapes = [answer.shape for answer in answers]
    wanted = [(1, _size(n), _size(n), 2) for n in SIDES]
    slip = recognise(_REPAIR_SLIPS, lambda slip: _same(answers, [slip(x) for x in given]))
    if slip or shapes != wanted:
        return slip or f"for features {given[0].shape} the shape is {shapes[0]}, not {wanted[0]}."
    stands = [
        np.stack(np.meshgrid(*2 * [np.arange(_size(n))], indexing="ij"), axis=-1) for n in SIDES
    ]
    errors = [float(np.abs(a[0] - s).max()) for a, s in zip(answers, stands, strict=True)]
    if max(errors) <= HALF:
        return None
    return f"some pixel reads what stands {max(errors):.1f} pixels away; half a pixel is allowed."


def _same(answers: list[Pixels], others: list[Pixels]) -> bool:
    return all(
        a.shape == b.shape and np.allclose(a, b, atol=0.01)
        for a, b in zip(answers, others, strict=True)
    )


def _repaired(found: dict[str, Pixels]) -> str:
    """How much shifting repairs. Raises Wrong for what cannot have been measured."""
    size, shifts, agreements = found["size"], found["shifts"], found["agreements"]
    if size.size != 1 or size[0] % STRIDE:
        raise Wrong("size is one multiple of 16: the plain network takes no other here.")
    if shifts.size != agreements.size or shifts.size < 5 or 0 not in shifts:
        raise Wrong("give five shifts or more, 0 among them, and an agreement for each.")
    if agreements.min() < 0 or agreements.max() > 1:
        raise Wrong("an agreement is a fraction between 0 and 1.")
    best = shifts[agreements.argmax()]
    if best == shifts.max():
        raise Wrong("at your last shift the agreement still grows: go further.")
    if best == 0:
        return "nothing"
    return "all of it" if agreements.max() > 0.99 else "a part of it"


_SHIFT = Experiment(
    start={"size": 256},
    measured=("shifts", "agreements"),
    conclusions=("nothing", "a part of it", "all of it"),
    supported=_repaired,
    slips=(
        ("all of it", "your highest agreement is below 0.99: the two masks still differ."),
        ("nothing", "some shift agrees better than none at all."),
    ),
)
_MEASURED = {
    "size": 320,
    "shifts": [0, 2, 4, 6, 8, 10],
    "agreements": [0.7, 0.75, 0.8, 0.85, 0.84, 0.8],
    "conclusion": "a part of it",
}

EXERCISES = {
    "position": _POSITION.exercise(
        "(size - 1) % 16: each even side moves all behind it by its own cumulative stride.",
        right=(lambda size: np.int64((size - 1) % STRIDE), lambda size: (size + 15) % 16),
    ),
    "crop": Exercise(
        judge=_judge_crop,
        function="offset",
        praise="exact for odd factors, half a pixel off for even ones. Behind, factor - 1 less it.",
        right=(lambda k: (k - 1) // 2, lambda k: k // 2, lambda k: np.int64((k - 1) // 2)),
        wrong=(
            (lambda k: (k - 1) / 2, "rows are whole"),
            (lambda k: k / 2, "whole numbers are wanted"),
            *_CROP_SLIPS,
            (lambda k: k // 2 + 1, "for factor 1 you cut off 1"),
        ),
    ),
    "repair": Exercise(
        judge=_judge_repair,
        function="repaired",
        praise="feature i lands on pixel 16i, to half a pixel, along rows and columns.",
        right=(
            _upsampler(lambda i, n: STRIDE * i),
            _upsampler(lambda i, n: STRIDE * i + 0.5),
            _upsampler(lambda i, n: STRIDE * i - 0.5),
        ),
        wrong=(
            *_REPAIR_SLIPS,
            (lambda features: features, "the shape is (1, 5, 5, 2)"),
            (_upsampler(lambda i, n: STRIDE * i + 3.0), "what stands 3.0 pixels away"),
        ),
    ),
    "shift": _SHIFT.exercise(
        "an error that is made inside, where two feature maps join, stays inside: shift the "
        "upsampling, not the mask.",
        right=(_MEASURED,),
        wrong=(
            ({**_MEASURED, "size": 321}, "multiple of 16"),
            ({**_MEASURED, "shifts": [0, 2]}, "five shifts or more"),
            ({**_MEASURED, "agreements": [70, 75, 80, 85, 84, 80]}, "between 0 and 1"),
            ({**_MEASURED, "agreements": [0.7, 0.75, 0.8, 0.85, 0.86, 0.87]}, "go further"),
            ({**_MEASURED, "conclusion": "all of it"}, "below 0.99"),
            ({**_MEASURED, "conclusion": "nothing"}, "better than none"),
        ),
    ),
}
