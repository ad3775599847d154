"""Exercises of chapter 8, "Three optimizers": a loss, AdaBound's clip, luck, a learning rate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import comb, isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, Wrong, array, number, recognise
from segcore.course.judges import Experiment, apart
from segcore.data.voc import VOID

Loss = Callable[[NDArray, NDArray], Any]
Clip = Callable[[float, int], Any]
Luck = Callable[[int], Any]


@functools.cache
def _case() -> tuple[NDArray, NDArray]:
    """Probabilities (6, 5, 21) and labels (6, 5) of the classes 0, 3, 15 and void."""
    rng = np.random.default_rng(7)
    powers = np.exp(rng.normal(size=(6, 5, 21)))
    labels = rng.choice([0, 3, 15, VOID], (6, 5), p=[0.5, 0.1, 0.2, 0.2])
    return powers / powers.sum(-1, keepdims=True), labels


def _surprise(p: NDArray, labels: NDArray) -> NDArray:
    """-log p(label) of the labelled pixels, in a row."""
    return -np.log(p[labels != VOID, labels[labels != VOID]])


def _as_background(p: NDArray, labels: NDArray) -> float:
    return float(_surprise(p, np.where(labels == VOID, 0, labels)).mean())


_LOSSES: tuple[tuple[Loss, str], ...] = (
    (
        lambda p, y: _surprise(p, y).sum() / y.size,
        "void pixels are in your divisor: divide by the number of labelled pixels.",
    ),
    (
        _as_background,
        "void counts as background here; nobody said that it is. Leave those pixels out.",
    ),
    (
        lambda p, y: _surprise(p, y).sum(),
        "that is the sum over the pixels; a mean is wanted, so that photos of any size compare.",
    ),
    (
        lambda p, y: -_surprise(p, y).mean(),
        "the sign is off: the logarithm of a probability is negative, and a loss is not.",
    ),
    (
        lambda p, y: _surprise(p, y).mean() / np.log(2),
        "that is in bits; take the natural logarithm, np.log.",
    ),
    (
        lambda p, y: (1 - np.exp(-_surprise(p, y))).mean(),
        "that is one minus the probability; its logarithm is wanted, which never forgives a "
        "confident mistake.",
    ),
    (
        lambda p, y: -np.log(p[y != VOID]).mean(),
        "that averages over all 21 classes; only the label's probability counts.",
    ),
    (
        lambda p, y: -np.log(p[y != VOID].max(-1)).mean(),
        "that takes the likeliest class, right or wrong; take the label's.",
    ),
)


def _judge_loss(function: Loss) -> str | None:
    """Runs the reader's `function` on thirty pixels; recognises eight slips.

    log(p + 1e-7), which never meets log 0, is as right as log(p): so the tolerance.
    """
    p, labels = _case()
    value, wanted = array(function(p.copy(), labels.copy())), float(_surprise(p, labels).mean())
    if value.ndim:
        return f"one number is wanted; yours has shape {value.shape}: take the mean."
    if isclose(value, wanted, rel_tol=1e-4):
        return None
    slip = recognise(_LOSSES, lambda slip: isclose(value, slip(p, labels), rel_tol=1e-4))
    return slip or f"{wanted:.4f} was wanted here, yours is {float(value):.4f}."


FINAL, GAMMA = 0.1, 1e-3
CASES = tuple((adam, t) for adam in (1e-6, 0.02, 0.3, 1e9) for t in (1, 50, 1000, 10**6))


def allowed(adam: float, t: int) -> float:
    """What AdaBound makes of Adam's step size at step `t`."""
    return min(max(adam, _low(t)), _high(t))


def _low(t: float, gamma: float = GAMMA) -> float:
    return FINAL * (1 - 1 / (gamma * t + 1))


def _high(t: float, gamma: float = GAMMA) -> float:
    return FINAL * (1 + 1 / (gamma * t))


_CLIPS: tuple[tuple[Clip, str], ...] = (
    (lambda a, t: a, "that is Adam; nothing is clipped."),
    (lambda a, t: FINAL, "that is the end, after infinitely many steps: SGD."),
    (lambda a, t: max(a, _low(t)), "the upper bound is missing: steps may still be too large."),
    (lambda a, t: min(a, _high(t)), "the lower bound is missing: steps may still be too small."),
    (
        lambda a, t: min(max(a, _high(t)), _low(t)),
        "lower and upper bound have changed places, so that it always gives the lower one.",
    ),
    (
        lambda a, t: min(max(a, _low(t, 1)), _high(t, 1)),
        "γ is missing from the bounds: they would be closed after a few steps.",
    ),
    (
        lambda a, t: min(max(a, _low(t) / FINAL), _high(t) / FINAL),
        "your bounds close on 1; they close on `final`.",
    ),
    (
        lambda a, t: min(max(a, _low(t + 1)), _high(t + 1)),
        "your steps count from 2: `t` is 1 at the first one already.",
    ),
)


def _judge_clip(function: Clip) -> str | None:
    """Runs the reader's `function` on small, middling and huge steps, early and late."""
    values = [number(function(adam, t), "one step size") for adam, t in CASES]

    def same(rule: Clip) -> bool:
        return np.allclose(values, [rule(a, t) for a, t in CASES], rtol=1e-6, atol=0)

    if same(allowed):
        return None
    apart = [abs(value / allowed(*case) - 1) for value, case in zip(values, CASES, strict=True)]
    adam, t = CASES[int(np.argmax(apart))]
    return recognise(_CLIPS, same) or (
        f"Adam's {adam:g} at step {t:,} should become {allowed(adam, t):.6g}."
    )


def luck(seeds: int) -> float:
    """The chance that all runs of one of two equal optimizers beat all of the other's."""
    return 2 / comb(2 * seeds, seeds)


_LUCKS: tuple[tuple[Luck, str], ...] = (
    (
        lambda n: 1 / comb(2 * n, n),
        "that is the chance for one of the two, named beforehand; either may be the lucky one.",
    ),
    (
        lambda n: 0.5**n,
        "that compares run with run in pairs; the rule wants every run above every other.",
    ),
    (
        lambda n: 2 * 0.5**n,
        "pairs again: the worst run of one must beat the best of the other, not only its partner.",
    ),
    (
        lambda n: 0.5 ** (n * n),
        "the comparisons are not independent: who beats the best has beaten the others too.",
    ),
    (
        lambda n: 1 / np.prod(np.arange(1, 2 * n + 1)),
        "that is one exact order of all runs; the order inside each half does not matter.",
    ),
)


def _judge_luck(function: Luck) -> str | None:
    """Runs the reader's `function` on 2, 3 and 5 seeds; recognises five slips."""
    seeds = (1, 2, 3, 5)
    values = [number(function(n), "one chance") for n in seeds]

    def same(rule: Luck) -> bool:
        return np.allclose(values[1:], [rule(n) for n in seeds[1:]], rtol=1e-6)

    if same(luck):
        return None
    if slip := recognise(_LUCKS, same):
        return slip
    if not isclose(values[0], 1):
        return f"with one seed each it must be 1, as one is always ahead; yours says {values[0]}."
    n, value = next(
        (n, v) for n, v in zip(seeds, values, strict=True) if not isclose(v, luck(n), rel_tol=1e-6)
    )
    return f"with {n} seeds each it is {luck(n):.4g}, yours says {value:.4g}."


def _verdict(numbers: dict[str, NDArray[np.float64]]) -> str:
    """What two sets of seeds support, by the rule of the chapter."""
    yours, theirs = numbers["yours"], numbers["the chapter's"]
    if min(yours.size, theirs.size) < 2:
        raise Wrong("one run of each proves nothing: take two seeds or more.")
    if not all(((scores >= 0) & (scores <= 1)).all() for scores in (yours, theirs)):
        raise Wrong("mIoU lies between 0 and 1; hand over the scores as `train` gives them.")
    if np.array_equal(yours, theirs):
        raise Wrong("both lists hold the same scores: train at two learning rates.")
    return apart(yours, theirs)


_RUN = {"learning_rate": 0.1, "yours": [0.41, 0.44], "the chapter's": [0.43, 0.46]}
RATE = Experiment(
    start={"learning_rate": 0.3},
    measured=("yours", "the chapter's"),
    conclusions=("better", "worse", "cannot tell"),
    supported=_verdict,
    slips=(
        ("better", "by the rule, your worst seed would have to beat the best of the chapter's."),
        ("worse", "by the rule, your best seed would have to stay below the chapter's worst."),
        ("cannot tell", "all seeds of one stand above all of the other: by the rule it can."),
    ),
)

EXERCISES = {
    "loss": Exercise(
        judge=_judge_loss,
        function="",
        praise="void neither teaches nor dilutes.",
        right=(
            lambda p, y: _surprise(p, y).mean(),
            lambda p, y: -np.log(p[y != VOID, y[y != VOID]] + 1e-7).mean(),
            lambda p, y: float(
                np.mean([-np.log(p[i][y[i]]) for i in np.ndindex(6, 5) if y[i] < 255])
            ),
        ),
        wrong=(
            (_surprise, "take the mean"),
            *_LOSSES,
            (lambda p, y: 3.0, "was wanted here"),
        ),
    ),
    "clip": Exercise(
        judge=_judge_clip,
        function="",
        praise="early it is Adam, late it is SGD, and γ says when.",
        right=(allowed, lambda a, t: np.clip(a, _low(t), _high(t))),
        wrong=(
            *_CLIPS,
            (lambda a, t: a + 1, "should become"),
        ),
    ),
    "luck": Exercise(
        judge=_judge_luck,
        function="",
        praise="with two seeds each luck wins one time in three, with three one time in ten.",
        right=(luck, lambda n: 2.0 / comb(2 * n, n)),
        wrong=(
            *_LUCKS,
            (lambda n: 0.5, "with one seed each"),
            (lambda n: 1 / n, "with 2 seeds each it is 0.3333, yours says 0.5"),
        ),
    ),
    "learning-rate": RATE.exercise(
        praise="the rule decides, and two seeds let luck win one time in three.",
        right=(
            {**_RUN, "conclusion": "cannot tell"},
            {**_RUN, "the chapter's": [0.31, 0.4], "conclusion": "better"},
            {**_RUN, "yours": np.array([0.2, 0.3, 0.1]), "conclusion": "Worse"},
        ),
        wrong=(
            ({**_RUN, "conclusion": "better"}, "your worst seed"),
            ({**_RUN, "conclusion": "worse"}, "your best seed"),
            ({**_RUN, "yours": [0.5, 0.6], "conclusion": "cannot tell"}, "it can"),
            ({**_RUN, "yours": [0.5], "conclusion": "better"}, "proves nothing"),
            ({**_RUN, "yours": [50, 60], "conclusion": "better"}, "between 0 and 1"),
            ({**_RUN, "yours": [0.43, 0.46], "conclusion": "better"}, "the same scores"),
        ),
    ),
}
