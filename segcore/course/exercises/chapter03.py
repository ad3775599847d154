"""Exercises of chapter 3, "What a convolution costs": a stride, a depthwise loop, one eighth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, array, number, recognise

Depthwise = Callable[[NDArray, NDArray], Any]

STRIDED = 112 * 112 * 32 * 3 * 3 * 3  # MobileNetV2's Conv1
_STRIDED_SLIPS: tuple[tuple[float, str], ...] = (
    (224 * 224 * 32 * 27, "that is without the stride: the layer only visits every second pixel."),
    (
        2 * STRIDED,
        "twice too many: the stride halves both sides of the map, and a multiply with its add "
        "counts once.",
    ),
    (27 * 32, "those are the parameters; each of them is used at every cell of the new map."),
    (STRIDED // 3, "every filter reads all three colours: a factor of 3 is missing."),
    (STRIDED // 32, "that is one filter; the layer has 32."),
    (STRIDED // 9, "a 3×3 kernel makes 9 products per channel, not one."),
    (111 * 111 * 32 * 27, '111×111 is the map without padding; with "same" it is 224/2.'),
    (STRIDED / 1e6, "right, but in millions: give the count itself."),
)


def _judge_strided(answer: object) -> str | None:
    """An exact count; recognises a forgotten factor."""
    value = number(answer, "one number")
    if value == STRIDED:
        return None
    side = "many" if value > STRIDED else "few"
    return recognise(_STRIDED_SLIPS, lambda slip: abs(value - slip) <= 1e-3 * slip) or (
        f"{value:,.0f} is too {side}: cells of the new map, times 9, times channels in and out."
    )


def _loop(image: NDArray, kernel: NDArray) -> NDArray:
    """The oracle: a depthwise 3×3 convolution, cell by cell, zeros outside the map."""
    H, W, M = image.shape
    output = np.zeros((H, W, M))
    for row, column, m in np.ndindex(H, W, M):
        for i, j in np.ndindex(3, 3):
            y, x = row + i - 1, column + j - 1
            if 0 <= y < H and 0 <= x < W:
                output[row, column, m] += image[y, x, m] * kernel[i, j, m]
    return output


def _case() -> tuple[NDArray, NDArray]:
    """A map (5, 7, 3) and kernels (3, 3, 3) in which no two numbers are alike."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(5, 7, 3)), rng.normal(size=(3, 3, 3))


def _edge_padded(image: NDArray, kernel: NDArray) -> NDArray:
    wide = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    return _loop(wide, kernel)[1:-1, 1:-1]


def _shifted(image: NDArray, kernel: NDArray) -> NDArray:
    """All zeros added below and to the right: every kernel looks one cell too far."""
    wide = np.pad(image, ((0, 2), (0, 2), (0, 0)))
    return _loop(wide, kernel)[1:-1, 1:-1]


def _spread(image: NDArray, kernel: NDArray) -> NDArray:
    """Every output channel is the sum over all of them."""
    return np.repeat(_loop(image, kernel).sum(-1, keepdims=True), image.shape[-1], axis=-1)


_SAME_SHAPE_SLIPS: tuple[tuple[Depthwise, str], ...] = (
    (
        lambda a, k: _loop(a, k[::-1, ::-1]),
        "your kernels are upside down: networks do not turn them, whatever textbooks on signals "
        "do.",
    ),
    (
        lambda a, k: _loop(a, k.swapaxes(0, 1)),
        "rows and columns of the kernel have changed places.",
    ),
    (
        lambda a, k: _loop(a, np.repeat(k[..., :1], k.shape[-1], axis=-1)),
        "every channel is filtered with the kernel of channel 0; each has its own.",
    ),
    (
        _spread,
        "your channels are summed up: that is the pointwise half's work, keep them apart here.",
    ),
    (_edge_padded, "the inside is right, the rim is not: outside the map there are zeros."),
    (_shifted, "the map is off by one cell: one row of zeros goes above it, one below."),
    (
        lambda a, k: a * k[1, 1],
        "only the centre of each kernel is used; its eight neighbours are missing.",
    ),
)


def _judge_depthwise(function: Depthwise) -> str | None:
    """Runs the reader's `function` on a small case against a loop that shares no code with it."""
    image, kernel = _case()
    value = array(function(image.copy(), kernel.copy()))
    if value.shape != image.shape:
        return _why_shape(value.shape, image.shape)
    wanted = _loop(image, kernel)
    if np.allclose(value, wanted):
        return None
    row, column, channel = place = tuple(np.argwhere(~np.isclose(value, wanted))[0])
    return recognise(_SAME_SHAPE_SLIPS, lambda slip: np.allclose(value, slip(image, kernel))) or (
        f"at row {row}, column {column}, channel {channel} it should be {wanted[place]:.3f}, "
        f"yours is {value[place]:.3f}."
    )


def _why_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if shape == (wanted[0] - 2, wanted[1] - 2, wanted[2]):
        return "two rows and columns have gone: pad the map with zeros before you filter it."
    if shape == wanted[:2]:
        return "one map came out: do not sum over the channels, each stays on its own."
    if len(shape) == 4:
        return f"shape {shape} has one axis too many: every channel has one filter, not several."
    return f"a map of shape {wanted} must keep its shape; yours came out as {shape}."


def _judge_eighth(answer: object) -> str | None:
    """The N with 1/N + 1/9 = 1/8; says what another N costs."""
    channels = number(answer, "one number of channels")
    if abs(channels - 72) < 1e-6:
        return None
    if channels == 8:
        return "with 8 channels 1/N alone is an eighth: the 1/9 of the pointwise half comes on top."
    if channels == 1 / 8:
        return "that is the fraction; the question is which N has it."
    if channels <= 0 or channels != int(channels):
        return f"{channels:g} channels cannot be built: a whole number above zero is wanted."
    times = 1 / (1 / int(channels) + 1 / 9)
    if channels > 72:
        return f"{channels:.0f} channels are more than it takes: the work is already 1/{times:.2f}."
    return f"with {channels:.0f} channels the work is 1/{times:.2f}, more than an eighth."


EXERCISES = {
    "strided": Exercise(
        judge=_judge_strided,
        praise="a quarter of the cells, so a quarter of the work, with the same 864 parameters.",
        right=(10_838_016, 10_838_016.0, np.int64(10_838_016)),
        wrong=(
            ("10,838,016", "one number"),
            *((value, sentence[:40]) for value, sentence in _STRIDED_SLIPS),
            (99_999_999, "too many"),
            (12_345, "too few"),
        ),
    ),
    "depthwise": Exercise(
        judge=_judge_depthwise,
        function="my_depthwise",
        unanswered="your function returns ...; put the filtered map there.",
        raises=(
            (
                ValueError,
                "your function raised a ValueError. Do its shapes fit? np.pad pads channels too, "
                "unless it is told ((1, 1), (1, 1), (0, 0)).",
            ),
        ),
        praise="nine products for each channel of each cell, and no channel sees another.",
        right=(_loop, lambda a, k: _loop(a, k).astype(np.float32).tolist()),
        wrong=(
            (3.2, "without brackets"),
            (lambda a, k: ..., "returns ..."),
            (lambda a, k: np.pad(a, 1) * k[1, 1], "np.pad pads channels too"),
            (lambda a, k: _loop(a, k)[1:-1, 1:-1], "pad the map"),
            (lambda a, k: _loop(a, k).sum(-1), "one map came out"),
            (lambda a, k: _loop(a, k)[..., None] * np.ones(4), "one axis too many"),
            (lambda a, k: _loop(a, k)[::2, ::2], "must keep its shape"),
            *((slip, sentence[:40]) for slip, sentence in _SAME_SHAPE_SLIPS),
            (lambda a, k: 0 * a, "yours is 0.000"),
        ),
    ),
    "eighth": Exercise(
        judge=_judge_eighth,
        praise="1/72 + 1/9 = 1/72 + 8/72 = 9/72.",
        right=(72, 72.0, np.int64(72)),
        wrong=(
            ("72", "one number of channels"),
            (8, "comes on top"),
            (0.125, "which N has it"),
            (71.5, "cannot be built"),
            (64, "1/7.89, more than an eighth"),
            (256, "more than it takes"),
        ),
    ),
}
