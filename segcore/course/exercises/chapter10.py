"""Exercises of chapter 10: a gradient through a staircase, batch norm folded, how few scenes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, Wrong, array, recognise
from segcore.course.judges import Experiment, apart

Gradient = Callable[[NDArray, NDArray, float, float], Any]
Fold = Callable[..., tuple[Any, Any]]

LOW, HIGH = -1.0, 0.5


def _case() -> tuple[NDArray, NDArray]:
    """Values inside and outside the range, both ends among them, and gradients from above."""
    x = np.array([-2.0, LOW, -0.4, 0.0, 0.3, HIGH, 0.8])
    return x, np.array([1.0, -2.0, 3.0, 0.5, -1.5, 2.5, -4.0])


def _inside(x: NDArray, low: float, high: float) -> NDArray:
    return (x >= low) & (x <= high)


_GRADIENTS: tuple[tuple[Gradient, str], ...] = (
    (
        lambda x, g, low, high: g,
        "values beyond the range are clipped: moving them changes nothing, so their gradient is 0.",
    ),
    (
        lambda x, g, low, high: np.zeros_like(x),
        "that is the staircase's own slope, 0 nearly everywhere; nothing could learn from it.",
    ),
    (
        lambda x, g, low, high: _inside(x, low, high).astype(float),
        "that is the slope alone; multiply it by `upstream`, as the chain rule wants.",
    ),
    (
        lambda x, g, low, high: g * ~_inside(x, low, high),
        "inside and outside are swapped: what is clipped must not learn, the rest must.",
    ),
    (
        lambda x, g, low, high: g * ((x > low) & (x < high)),
        "an end of the range still belongs to it: the largest weight of a kernel lies just there.",
    ),
    (
        lambda x, g, low, high: np.clip(g, low, high),
        "you clipped the gradient; it is `x` that tells where to pass it on.",
    ),
    (
        lambda x, g, low, high: g * np.clip(x, low, high),
        "the slope inside is 1, not the value itself.",
    ),
    (
        lambda x, g, low, high: g * (np.abs(x) <= high),
        "the range need not be symmetric: use `low` for its lower end.",
    ),
)


def straight_through(x: NDArray, upstream: NDArray, low: float, high: float) -> NDArray:
    """The answer: `upstream` where `x` is inside [low, high], else 0."""
    return upstream * _inside(x, low, high)


def _judge_gradient(function: Gradient) -> str | None:
    """Runs the reader's `function` on seven values; recognises the usual slips."""
    x, upstream = _case()
    answer = array(function(x.copy(), upstream.copy(), LOW, HIGH))
    if answer.shape != x.shape:
        return f"one gradient for each value is wanted, {x.shape}; yours has shape {answer.shape}."
    wanted = straight_through(x, upstream, LOW, HIGH)
    if np.allclose(answer, wanted):
        return None
    i = int(np.argmin(np.isclose(answer, wanted)))  # the first that is off
    place = "inside" if _inside(x, LOW, HIGH)[i] else "outside"
    return recognise(
        _GRADIENTS, lambda slip: np.allclose(answer, slip(x, upstream, LOW, HIGH))
    ) or (
        f"for x = {x[i]} {place} the range, {upstream[i]} comes in and {answer[i]:.3g} goes out; "
        f"it should be {wanted[i]:.3g}."
    )


def fold(
    kernel: NDArray, gamma: NDArray, beta: NDArray, mean: NDArray, variance: NDArray, epsilon: float
) -> tuple[NDArray, NDArray]:
    """The answer: a kernel (k, k, C, filters) and a bias (filters,) that do batch norm's work."""
    factor = gamma / np.sqrt(variance + epsilon)
    return kernel * factor, beta - mean * factor


def _numbers() -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray, float]:
    rng = np.random.default_rng(9)
    gamma, beta, mean = rng.uniform(0.5, 2, 4), rng.normal(0, 1, 4), rng.normal(0, 1, 4)
    return rng.normal(0, 1, (3, 3, 2, 4)), gamma, beta, mean, rng.uniform(0.1, 3, 4), 0.1


_FOLDS: tuple[tuple[Fold, str], ...] = (
    (
        lambda k, g, b, m, v, e: (k * g / np.sqrt(v), b - m * g / np.sqrt(v)),
        "epsilon is missing: it stands under the root, beside the variance.",
    ),
    (
        lambda k, g, b, m, v, e: (k * g / (v + e), b - m * g / (v + e)),
        "the root is missing: batch norm divides by the standard deviation.",
    ),
    (
        lambda k, g, b, m, v, e: (k * g / (np.sqrt(v) + e), b - m * g / (np.sqrt(v) + e)),
        "epsilon stands under the root, not beside it.",
    ),
    (
        lambda k, g, b, m, v, e: (k * g / np.sqrt(v + e), b),
        "the bias forgets the mean: what batch norm subtracts must go into it.",
    ),
    (
        lambda k, g, b, m, v, e: (k * g / np.sqrt(v + e), b - m),
        "the mean is subtracted before the scaling, so it is scaled as well.",
    ),
    (
        lambda k, g, b, m, v, e: (k * g / np.sqrt(v + e), b + m * g / np.sqrt(v + e)),
        "the sign of the mean is wrong: batch norm subtracts it.",
    ),
    (
        lambda k, g, b, m, v, e: (k / np.sqrt(v + e), b - m / np.sqrt(v + e)),
        "gamma is missing: batch norm scales by it after dividing.",
    ),
    (
        lambda k, g, b, m, v, e: (k, b - m * g / np.sqrt(v + e)),
        "the bias is right, the kernel is as it was: scale it too.",
    ),
)


def _judge_fold(function: Fold) -> str | None:
    """Runs the reader's `function` on a small kernel; recognises the usual slips."""
    case = _numbers()
    returned = function(*case)
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        return "two things are wanted: the new kernel, and the bias."
    answer = [array(part) for part in returned]
    if [part.shape for part in answer] != [case[0].shape, case[1].shape]:
        shapes = " and ".join(str(part.shape) for part in answer)
        return f"shapes {case[0].shape} and {case[1].shape} are wanted, not {shapes}."

    def same(rule: Fold) -> bool:
        return all(np.allclose(a, b) for a, b in zip(answer, rule(*case), strict=True))

    if same(fold):
        return None
    part = "kernel" if not np.allclose(answer[0], fold(*case)[0]) else "bias"
    return recognise(_FOLDS, same) or (
        f"the {part} is off; write (w·x - μ)·γ/√(σ² + ε) + β and sort it by x."
    )


def _supported(numbers: dict[str, NDArray[np.float64]]) -> str:
    """What fractions of changed pixels after correction and after training allow to say."""
    corrected, trained = numbers["corrected"], numbers["trained"]
    if corrected.shape != trained.shape:
        raise Wrong("corrected and trained must hold one fraction for each of your seeds.")
    if min(corrected.min(), trained.min()) < 0 or max(corrected.max(), trained.max()) > 1:
        raise Wrong("these are fractions of pixels, so each must lie between 0 and 1.")
    verdict = apart(-trained, -corrected)  # fewer changed pixels are better
    return {"better": "training", "worse": "correction"}.get(verdict, verdict)


_FEW = {
    "scenes": 8,
    "corrected": [0.05, 0.06],
    "trained": [0.08, 0.07],
    "conclusion": "correction",
}

EXERCISES = {
    "gradient": Exercise(
        judge=_judge_gradient,
        function="",
        praise="that is the whole straight-through estimator.",
        right=(straight_through, lambda x, g, low, high: np.where((x < low) | (x > high), 0, g)),
        wrong=(
            (lambda x, g, low, high: float(g.sum()), "one gradient for each"),
            *_GRADIENTS,
            (lambda x, g, low, high: 2 * g, "goes out"),
            (lambda x, g, low, high: g * (x >= low), "x = 0.8 outside the range"),
            (lambda x, g, low, high: g * (x <= high), "x = -2.0 outside the range"),
        ),
    ),
    "fold": Exercise(
        judge=_judge_fold,
        function="",
        praise="one layer less to run, and the rounding now sees the kernel that counts.",
        right=(fold, lambda *case: list(fold(*case))),
        wrong=(
            (lambda *case: fold(*case)[0], "two things"),
            (lambda *case: (fold(*case)[1], fold(*case)[0]), "shapes"),
            *_FOLDS,
            (lambda *case: (2 * fold(*case)[0], fold(*case)[1]), "the kernel is off"),
            (lambda *case: (fold(*case)[0], 2 * fold(*case)[1]), "the bias is off"),
        ),
    ),
    "experiment": Experiment(
        start={"scenes": 150},
        measured=("corrected", "trained"),
        conclusions=("training", "correction", "cannot tell"),
        supported=_supported,
        slips=(
            ("training", "training must change fewer pixels with each seed, and with two or more."),
            ("correction", "correction must change fewer with each seed, and with two or more."),
            ("cannot tell", "all your seeds agree: the two do not overlap, so you can tell."),
        ),
    ).exercise(
        "your seeds support it, for this network, these scenes and this learning rate.",
        right=(
            _FEW,
            _FEW | {"trained": [0.05, 0.055], "conclusion": "cannot tell"},
            _FEW | {"trained": np.array([0.01, 0.02]), "conclusion": "Training"},
            _FEW | {"corrected": 0.05, "trained": 0.08, "conclusion": "cannot tell"},
        ),
        wrong=(
            (_FEW | {"conclusion": "training"}, "fewer pixels with each seed"),
            (_FEW | {"conclusion": "cannot tell"}, "do not overlap"),
            (_FEW | {"trained": [0.01, 0.02]}, "correction must change fewer"),
            (_FEW | {"trained": [0.08]}, "one fraction for each"),
            (_FEW | {"trained": [8.0, 7.0]}, "between 0 and 1"),
            (_FEW | {"trained": []}, "at least one"),
        ),
    ),
}
