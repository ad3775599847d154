"""Exercises of chapter 5, "Atrous convolution and ASPP": reach, live rates, an aligning crop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segcore.course.checks import Exercise, Wrong, number, recognise, side

LAYERS = ((2, 1), (2, 1), (1, 2), (1, 4))  # (stride, rate) of four 3×3 convolutions
MAPS = (7, 17, 33)
FACTORS = (1, 2, 3, 4, 5, 8, 16)
Count = Callable[[int], Any]


def _reach(first: int = 1, taps: int = 2, early: bool = False) -> int:
    """1 + Σ 2·rate·(strides in front), or the same with one of the usual slips."""
    reach, stride = first, 1
    for own, rate in LAYERS:
        before = stride
        stride *= own
        reach += taps * rate * (stride if early else before)
    return reach


_REACH_SLIPS = (
    (
        _reach(first=0),
        "almost: the cell starts with its own pixel, so begin to count at 1.",
    ),
    (
        1 + 2 * sum(2 ** min(i, 2) for i in range(4)),
        "you left out the rates: at rate 4 the outer taps stand 4 cells away, not 1.",
    ),
    (
        1 + 2 * sum(rate for _, rate in LAYERS),
        "you left out the strides: behind two strides of 2, one step on the map is 4 pixels.",
    ),
    (
        9,
        "four plain 3×3 layers would see that much; here strides and rates stretch them.",
    ),
    (
        _reach(taps=3),
        "a 3×3 kernel adds 2 steps, not 3: its centre was seen already.",
    ),
    (
        _reach(early=True),
        "each layer steps over the map in front of it: its own stride counts for the next one.",
    ),
    (
        (_reach() - 1) // 2,
        "that is the reach to one side; count both sides and the middle.",
    ),
    (
        _reach() ** 2,
        "that is the number of pixels in the whole square; its side is asked for.",
    ),
)


def _judge_reach(answer: object) -> str | None:
    """55 pixels, with a sentence for each slip that gives another whole number."""
    value = number(answer)
    if value == _reach():
        return None
    hint = "Start at 1 and add 2 · rate · (product of the strides in front) a layer."
    return recognise(_REACH_SLIPS, lambda slip: value == slip) or f"{side(value, _reach())} {hint}"


_RATE_SLIPS: tuple[tuple[Count, str], ...] = (
    (
        lambda n: n,
        "one too far: from cell 0 of 17, rate 17 lands on cell 17, and the last one is 16.",
    ),
    (
        lambda n: n // 2,
        "that is where the middle cell goes blind; a corner can still look across the map.",
    ),
    (
        lambda n: n // 2 + 1,
        "that is the first rate at which the middle cell is blind; corners still look across.",
    ),
    (
        lambda n: n - 2,
        "one more is alive: what does the kernel on cell 0 touch at rate n - 1?",
    ),
    (
        lambda n: 18,
        "the answer depends on the map: a map of 7 cells is no match for rate 18.",
    ),
)


def _whole(function: Count, inputs: tuple[int, ...]) -> list[int]:
    """What `function` returns for `inputs`. Raises Wrong unless all are whole numbers."""
    answers = [number(function(value), "one number for each map") for value in inputs]
    for value, answer in zip(inputs, answers, strict=True):
        if not answer.is_integer():
            raise Wrong(f"whole numbers are wanted; for {value} yours is {answer}.")
    return [int(answer) for answer in answers]


def _judge_rate(function: Count) -> str | None:
    """cells - 1: from the first cell to the last."""
    answers = _whole(function, MAPS)
    if answers == [n - 1 for n in MAPS]:
        return None
    wrong = next(i for i, n in enumerate(MAPS) if answers[i] != n - 1)
    state = "dead" if answers[wrong] > MAPS[wrong] - 1 else "alive, but not the last one"
    return recognise(_RATE_SLIPS, lambda slip: answers == [slip(n) for n in MAPS]) or (
        f"on a map of {MAPS[wrong]} cells rate {answers[wrong]} is {state}."
    )


_CROP_SLIPS: tuple[tuple[Count, str], ...] = (
    (
        lambda k: 0,
        "that cuts off nothing in front: it is the plain upsampling, half a cell off.",
    ),
    (
        lambda k: k - 1,
        "that is all there is to cut off, on both sides together; how much of it in front?",
    ),
    (
        lambda k: k,
        "that cuts off a whole cell; cell 0 starts with half a cell too much.",
    ),
    (
        lambda k: 7,
        "right for a factor of 16 and for no other: where does cell 0 end up for `factor`?",
    ),
    (
        lambda k: k // 4,
        "too little: cell 0 is spread over `factor` pixels; where is their middle?",
    ),
)


def _judge_crop(function: Count) -> str | None:
    """(factor - 1)/2 rounded down or up, a whole number for every factor."""
    exact = [number(function(k), "one number for each factor") for k in FACTORS]
    if exact == [(k - 1) / 2 for k in FACTORS]:
        return "exact, but rows are whole: round (factor - 1) / 2 down with //."
    answers = _whole(function, FACTORS)
    if all(abs(a - (k - 1) / 2) <= 0.5 for a, k in zip(answers, FACTORS, strict=True)):
        return None
    off = next(i for i, k in enumerate(FACTORS) if abs(answers[i] - (k - 1) / 2) > 0.5)
    return recognise(_CROP_SLIPS, lambda slip: answers == [slip(k) for k in FACTORS]) or (
        f"for factor {FACTORS[off]} you cut off {answers[off]}: more than half a pixel off."
    )


EXERCISES = {
    "reach": Exercise(
        judge=_judge_reach,
        praise="1, 3, 7, 23, 55: two atrous layers add more than the two strides before them.",
        right=(55, 55.0, np.int64(55)),
        wrong=(
            ("55", "single number"),
            *((value, sentence[:30]) for value, sentence in _REACH_SLIPS),
            (100, "too large. Start at 1"),
            (40, "too small. Start at 1"),
        ),
    ),
    "rate": Exercise(
        judge=_judge_rate,
        function="",
        praise="at n - 1 only the cells on the rim still reach one another; beyond it, none do.",
        right=(lambda n: n - 1, lambda n: np.int64(n - 1), lambda n: n - 1.0),
        wrong=(
            (16, "without brackets"),
            (lambda n: ..., "behind return"),
            (lambda n: n / 2, "for 7 yours is 3.5"),
            (lambda n: str(n - 1), "this is a str"),
            *((slip, sentence[:30]) for slip, sentence in _RATE_SLIPS),
            (lambda n: 6, "on a map of 17 cells rate 6 is alive"),
            (lambda n: 2 * n, "on a map of 7 cells rate 14 is dead"),
        ),
    ),
    "crop": Exercise(
        judge=_judge_crop,
        function="",
        praise="exact for odd factors, half a pixel off for even ones. Behind, factor - 1 less it.",
        right=(lambda k: (k - 1) // 2, lambda k: k // 2, lambda k: np.int64((k - 1) // 2)),
        wrong=(
            (1, "without brackets"),
            (lambda k: ..., "behind return"),
            (lambda k: (k - 1) / 2, "rows are whole"),
            (lambda k: k / 2, "whole numbers are wanted"),
            *((slip, sentence[:30]) for slip, sentence in _CROP_SLIPS),
            (lambda k: k // 2 + 1, "for factor 1 you cut off 1"),
        ),
    ),
}
