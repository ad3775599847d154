"""Exercises of chapter 9, "Quantisation": a range, a layer in integers, a bias, and calibration."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, Right, array, number, recognise
from segcore.export.affine import Affine
from segcore.quantisation.integers import pointwise

SCALE, ZERO = 6 / 255, -128  # of ReLU6's output
CLOSE = 0.003  # fractions of pixels that four photos cannot tell apart
STEPS = 3_000  # 0.6 / (0.02 · 0.01): the bias in exercise 3
Layer = Callable[..., Any]

_WRONG_SCALES = (
    (6 / 256, "256 integers have 255 steps between them: like posts and the gaps of a fence."),
    (6 / 127, "that gives half of the integers to numbers below 0, which ReLU6 never puts out."),
    (12 / 255, "ReLU6 gives numbers from 0 to 6, not from -6: its range is 6 wide."),
    (255 / 6, "upside down: the scale is how much of a number one step is worth."),
    (6.0, "6 is the width of the whole range; the scale is the width of one step in it."),
)
_WRONG_ZEROS = (
    (0, "0 would be the integer for uint8; int8 begins at -128, and 0 is the least number here."),
    (127, "127 stands for the largest number, 6; which integer stands for 0?"),
    (-127, "-127 is the end of the range for kernels, which leave -128 out; activations use it."),
    (128, "an int8 ends at 127; and the least integer must mean the least number, 0."),
)


def _judge_range(answer: object) -> str | None:
    """Scale and zero point of ReLU6's range; names the first one that is off."""
    values = array(answer, "a pair of numbers, (scale, zero point),").ravel().tolist()
    if len(values) != 2:
        return f"two numbers are wanted, (scale, zero point); here are {len(values)}."
    scale, zero = values
    if np.isclose(scale, ZERO) and np.isclose(zero, SCALE, rtol=1e-3):
        return "the numbers are right, their order is not: scale first."
    if not np.isclose(scale, SCALE, rtol=1e-3):
        known = recognise(_WRONG_SCALES, lambda slip: np.isclose(scale, slip, rtol=1e-3))
        return known or f"the scale is not {scale:.4g}: 6 is cut into how many steps?"
    if zero != ZERO:
        known = recognise(_WRONG_ZEROS, lambda slip: zero == slip)
        return known or f"the zero point is not {zero:g}: which integer means 0?"
    return None


@functools.cache
def _case() -> tuple[NDArray, NDArray, NDArray, int, NDArray, int]:
    """A small layer: integers in, kernel, bias, zero point in, factors, zero point out."""
    random = np.random.default_rng(8)
    x = random.integers(-128, 128, (6, 7, 24)).astype(np.int8)
    kernel = random.integers(-127, 128, (24, 10)).astype(np.int8)
    bias = random.integers(-40_000, 40_000, 10).astype(np.int32)
    return x, kernel, bias, 11, random.uniform(0.0008, 0.004, 10), -37


def _layer(
    wide: bool = True,
    less_in: bool = True,
    rounded: bool = True,
    add_out: bool = True,
    clipped: bool = True,
    with_bias: bool = True,
) -> Layer:
    """The right layer, or one with a slip in it."""

    def run(x: NDArray, kernel: NDArray, bias: NDArray, zx: int, m: NDArray, zy: int) -> NDArray:
        x, kernel = (x.astype(np.int32), kernel.astype(np.int32)) if wide else (x, kernel)
        sums = (x - np.asarray(zx if less_in else 0, x.dtype)) @ kernel + bias * with_bias
        scaled = np.round(sums * m) if rounded else np.floor(sums * m)
        moved = scaled + (zy if add_out else 0)
        return (np.clip(moved, -128, 127) if clipped else moved.astype(np.int64)).astype(np.int8)

    return run


_SLIPS: tuple[tuple[Layer, str], ...] = (
    (
        _layer(wide=False),
        "your sums ran over: int8 times int8 stays int8 in NumPy, and 100 · 2 becomes -56 without "
        "a word. Make both int32 first.",
    ),
    (_layer(less_in=False), "the zero point of what comes in must be taken off: x - zx."),
    (_layer(rounded=False), "floor always goes down, which shifts every mean; round."),
    (_layer(add_out=False), "the zero point of what goes out is missing: + zy at the end."),
    (_layer(clipped=False), "what lies beyond -128 or 127 wrapped around to the other end; clip."),
    (_layer(with_bias=False), "the bias is missing: it joins the sums before they are rescaled."),
)


def _judge_layer(function: Layer) -> str | None:
    """Runs the reader's layer on a small case; recognises six slips."""
    with np.errstate(all="ignore"):
        answer = array(function(*(np.copy(p) if np.ndim(p) else p for p in _case())))
        x, kernel, bias, zx, m, zy = _case()
        truth = pointwise(x, kernel, bias, (Affine(1.0, zx), Affine(m), Affine(1.0, zy)))
        if answer.shape != truth.shape:
            return f"the shape must be {truth.shape}: (H, W, I) @ (I, O); yours is {answer.shape}."
        off = np.abs(answer - truth)
        if off.max() <= 1 and (off == 0).mean() > 0.95:
            return None
        if slip := recognise(_SLIPS, lambda slip: np.array_equal(answer, slip(*_case()))):
            return slip
    return f"the first integer of the first pixel is {truth[0, 0, 0]}, yours {answer[0, 0, 0]:g}."


def _judge_bias(answer: object) -> str | None:
    """How many steps the stored bias must rise."""
    wrong = {
        -STEPS: "the channel is too low, so the bias must rise.",
        30: "that divides by the scale of what comes in alone; the kernel's scale counts too.",
        60: "that divides by the scale of the kernel alone; what comes in has a scale too.",
        0.00012: "that multiplies by the two scales; dividing turns a number into steps.",
        0.6: "0.6 is the number itself; the file stores the bias in steps.",
        3: "that divides by 0.2: multiply the two scales once more.",
    }
    value = number(answer)
    if np.isclose(value, STEPS, rtol=0.01):
        return None
    slip = recognise(wrong.items(), lambda slip: np.isclose(value, slip, rtol=0.01))
    return slip or ("too many steps." if value > STEPS else "too few steps.")


def _judge_experiment(answer: object) -> str | None:
    """Fractions of changed pixels by brightness of the calibration photos, and the one to ship."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "two things are wanted: your results, and the brightness that you would ship."
    results, chosen = answer
    if not isinstance(results, dict):
        return "the first thing must be the dictionary: brightness → fraction of pixels changed."
    found = {number(key): number(value) for key, value in results.items()}
    if len(found) < 3:
        return f"three settings or more are wanted, 1 among them; yours are {len(found)}."
    if 1 not in found:
        return "brightness 1 is missing: without the photos as they are, there is no reference."
    if max(found.values()) > 1 or min(found.values()) < 0:
        return "the results must be fractions of all pixels, between 0 and 1."
    if len(set(found.values())) == 1:
        return "every setting changed exactly as many pixels: was each file made from its own set?"
    return _conclusion(found, number(chosen))


def _conclusion(found: dict[float, float], chosen: float) -> str | None:
    """What to say of the setting that the reader `chosen`, given all that was `found`."""
    if chosen not in found:
        return f"you would ship {chosen:g}, which you have not tried: choose one of your settings."
    least = min(found, key=lambda key: found[key])
    behind = found[chosen] - found[least]
    if behind > CLOSE:
        return (
            f"your own numbers speak for {least:g}: there {found[least]:.1%} of the pixels change, "
            f"with {chosen:g} it is {found[chosen]:.1%}. What else speaks for yours?"
        )
    rivals = sum(value - found[least] <= CLOSE for value in found.values())
    if rivals > 1:
        return Right(
            f"with {chosen:g} as few pixels change as with any. {rivals} of your settings are too "
            "close to be told apart on four photos, so take the one nearest to what you expect."
        )
    return Right(
        f"{chosen:g} changes least, and clearly so. These photos also calibrated the file: "
        "before you ship it, score it on others."
    )


EXERCISES = {
    "range": Exercise(
        judge=_judge_range,
        praise="the least integer means 0 and the largest 6; nothing is wasted.",
        right=((SCALE, ZERO), [0.02353, -128], np.array([6 / 255, -128])),
        wrong=(
            (SCALE, "two numbers"),
            ((ZERO, SCALE), "order"),
            *(((value, ZERO), text) for value, text in _WRONG_SCALES),
            ((0.5, ZERO), "the scale is not 0.5"),
            *(((SCALE, value), text) for value, text in _WRONG_ZEROS),
            ((SCALE, 5), "the zero point is not 5"),
        ),
    ),
    "layer": Exercise(
        judge=_judge_layer,
        function="",
        unanswered="return the integers of the layer.",
        praise="integers, but for m; a mean or an upsampling has integer rules of its own.",
        right=(_layer(), lambda *parts: _layer()(*parts).astype(int)),
        wrong=(
            (lambda *parts: np.zeros(3), "the shape must be"),
            *_SLIPS,
            (lambda *parts: np.zeros((6, 7, 10)), "the first integer"),
        ),
    ),
    "bias": Exercise(
        judge=_judge_bias,
        praise="a bias counts in steps of one product: input scale times kernel scale.",
        right=(3000, 3000.0, 0.6 / (0.02 * 0.01)),
        wrong=(
            ("3000", "a single number"),
            (-3000, "must rise"),
            (30, "kernel's scale counts"),
            (60, "of the kernel alone"),
            (0.00012, "multiplies by the two"),
            (0.6, "the number itself"),
            (3, "divides by 0.2"),
            (3500, "too many"),
            (2000, "too few"),
        ),
    ),
    "experiment": Exercise(
        judge=_judge_experiment,
        praise="your conclusion fits your numbers.",
        right=(
            ({1: 0.02, 0.25: 0.05, 4: 0.03}, 1),
            [{1: 0.021, 0.5: 0.02, 2: 0.08}, 1.0],
            ({1: np.float64(0.03), 2: np.float64(0.01), 4: np.float64(0.4)}, np.int64(2)),
        ),
        wrong=(
            (0.02, "two things"),
            (((0.02, 0.03, 0.05), 1), "must be the dictionary"),
            (({1: 0.02, 4: 0.03}, 1), "three settings"),
            (({0.5: 0.02, 2: 0.03, 4: 0.05}, 2), "brightness 1 is missing"),
            (({1: 2.0, 0.25: 5.1, 4: 3.0}, 1), "between 0 and 1"),
            (({1: 0.02, 0.25: 0.02, 4: 0.02}, 1), "exactly as many"),
            (({1: 0.02, 0.25: 0.05, 4: 0.03}, 2), "not tried"),
            (({1: 0.02, 0.25: 0.05, 4: 0.03}, 0.25), "speak for 1"),
            (({"dark": 0.02, 1: 0.05, 4: 0.03}, 1), "a single number"),
        ),
    ),
}
