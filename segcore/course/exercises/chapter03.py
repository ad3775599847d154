"""Exercises of chapter 3, "What a convolution costs": a stride, a loop, one eighth, a stopwatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, Wrong, array, number, recognise
from segcore.course.judges import Experiment

Depthwise = Callable[[NDArray, NDArray], Any]

STRIDED = 112 * 112 * 32 * 3 * 3 * 3  # MobileNetV2's Conv1
_STRIDED_SLIPS: tuple[tuple[float, str], ...] = (
    (224 * 224 * 32 * 27, "that is without the stride: the kernel moves by two pixels at a time."),
    (
        2 * STRIDED,
        "twice too many: the stride halves both sides of the feature map, and a product with its "
        "addition counts once.",
    ),
    (27 * 32, "those are the parameters; each of them is used at every position of the output."),
    (STRIDED // 3, "every filter reads all three colours: a factor of 3 is missing."),
    (STRIDED // 32, "that is one filter; the layer has 32."),
    (STRIDED // 9, "a 3×3 kernel makes 9 products per channel, not one."),
    (111 * 111 * 32 * 27, '111×111 is the output without padding; with "same" its side is 224/2.'),
    (STRIDED / 1e6, "right, but in millions: give the count itself."),
)


def _judge_strided(answer: object) -> str | None:
    """An exact count; recognises a forgotten factor."""
    value = number(answer, "one number")
    if value == STRIDED:
        return None
    side = "many" if value > STRIDED else "few"
    return recognise(_STRIDED_SLIPS, lambda slip: abs(value - slip) <= 1e-3 * slip) or (
        f"{value:,.0f} is too {side}: positions of the output, times 9, times channels in and out."
    )


def _loop(image: NDArray, kernel: NDArray) -> NDArray:
    """The oracle: a depthwise 3×3 convolution, position by position, zeros outside."""
    H, W, M = image.shape
    output = np.zeros((H, W, M))
    for row, column, m in np.ndindex(H, W, M):
        for i, j in np.ndindex(3, 3):
            y, x = row + i - 1, column + j - 1
            if 0 <= y < H and 0 <= x < W:
                output[row, column, m] += image[y, x, m] * kernel[i, j, m]
    return output


def _case() -> tuple[NDArray, NDArray]:
    """A feature map (5, 7, 3) and kernels (3, 3, 3) in which no two numbers are alike."""
    rng = np.random.default_rng(3)
    return rng.normal(size=(5, 7, 3)), rng.normal(size=(3, 3, 3))


def _edge_padded(image: NDArray, kernel: NDArray) -> NDArray:
    wide = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    return _loop(wide, kernel)[1:-1, 1:-1]


def _shifted(image: NDArray, kernel: NDArray) -> NDArray:
    """All zeros added below and to the right: every kernel sits one position too far."""
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
        "your channels are added up: that is the pointwise half's work, keep them apart here.",
    ),
    (
        _edge_padded,
        "the inside is right, the border is not: outside the feature map there are zeros.",
    ),
    (_shifted, "the output is off by one position: one row of zeros goes above, one below."),
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
    row, column, channel = at = tuple(np.argwhere(~np.isclose(value, wanted))[0])
    return recognise(_SAME_SHAPE_SLIPS, lambda slip: np.allclose(value, slip(image, kernel))) or (
        f"at row {row}, column {column}, channel {channel} it should be {wanted[at]:.3f}, "
        f"yours is {value[at]:.3f}."
    )


def _why_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    if shape == (wanted[0] - 2, wanted[1] - 2, wanted[2]):
        return "two rows and columns have gone: pad with zeros before you filter."
    if shape == wanted[:2]:
        return "a single channel came out: do not sum over the channels, each stays on its own."
    if len(shape) == 4:
        return f"shape {shape} has one axis too many: every channel has one filter, not several."
    return f"a feature map of shape {wanted} must keep its shape; yours came out as {shape}."


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


def _supported(measured: dict[str, NDArray[np.float64]]) -> str:
    """What rounds of both layers support: nine in ten decide, as in the chapter."""
    standard, separable = measured["standard"], measured["separable"]
    if standard.shape != separable.shape or standard.size < 10:
        raise Wrong("both layers must be timed in the same rounds, ten or more of them.")
    if min(standard.min(), separable.min()) <= 0:
        raise Wrong("a time is zero or less: hand over what milliseconds(...) gave.")
    N = measured["channels"].item()
    low, high = np.percentile(standard / separable, [5, 95])
    if low <= 1:
        return "slower" if high <= 1 else "cannot tell"
    return "as counted" if high >= 1 / (1 / N + 1 / 9) else "less than counted"


_STOPWATCH = Experiment(
    start={"side": 33, "channels": 8},
    measured=("standard", "separable"),
    conclusions=("slower", "cannot tell", "less than counted", "as counted"),
    supported=_supported,
    slips=(
        ("slower", "not even the upper bound may lie above 1 for that."),
        ("cannot tell", "both bounds lie on the same side of 1, so you can."),
        (
            "less than counted",
            "compare the two bounds with 1 and with the count: less needs both bounds above 1 and "
            "below the count.",
        ),
        ("as counted", "the upper bound does not come up to the count, or the lower one not to 1."),
    ),
)


def _run(channels: int, speed_up: float, conclusion: str, **more: Any) -> dict[str, Any]:
    """A run of the experiment in which the separable layer is `speed_up` times as fast."""
    standard = np.linspace(1, 1.2, 30)
    measured = {"standard": standard, "separable": standard / speed_up}
    return {"side": 65, "channels": channels, **measured, "conclusion": conclusion} | more


EXERCISES = {
    "strided": Exercise(
        judge=_judge_strided,
        praise="a quarter of the positions, a quarter of the work, the same 864 parameters.",
        right=(10_838_016, 10_838_016.0, np.int64(10_838_016)),
        wrong=(
            ("10,838,016", "one number"),
            *_STRIDED_SLIPS,
            (99_999_999, "too many"),
            (12_345, "too few"),
        ),
    ),
    "depthwise": Exercise(
        judge=_judge_depthwise,
        function="my_depthwise",
        unanswered="your function returns ...; put the filtered feature map there.",
        raises=(
            (
                ValueError,
                "your function raised a ValueError. Do its shapes fit? np.pad pads channels too, "
                "unless it is told ((1, 1), (1, 1), (0, 0)).",
            ),
        ),
        praise="nine products for each channel at each position, and no channel meets another.",
        right=(_loop, lambda a, k: _loop(a, k).astype(np.float32).tolist()),
        wrong=(
            (lambda a, k: np.pad(a, 1) * k[1, 1], "np.pad pads channels too"),
            (lambda a, k: _loop(a, k)[1:-1, 1:-1], "pad with zeros"),
            (lambda a, k: _loop(a, k).sum(-1), "a single channel came out"),
            (lambda a, k: _loop(a, k)[..., None] * np.ones(4), "one axis too many"),
            (lambda a, k: _loop(a, k)[::2, ::2], "must keep its shape"),
            *_SAME_SHAPE_SLIPS,
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
    "stopwatch": _STOPWATCH.exercise(
        praise="your numbers support that, on this machine and for this layer.",
        right=(
            _run(64, 5.5, "less than counted"),
            _run(256, 8.8, "as counted"),
            _run(4, 0.9, "Slower"),
            _run(4, 1.0, "cannot tell", separable=np.linspace(1.2, 1, 30)),
        ),
        wrong=(
            (_run(64, 5.5, "slower"), "upper bound may lie"),
            (_run(64, 5.5, "cannot tell"), "so you can"),
            (_run(64, 0.9, "less than counted"), "both bounds above 1"),
            (_run(64, 5.5, "as counted"), "come up to the count"),
            (_run(64, 5.5, "as counted", standard=[1.0, 1.0]), "same rounds"),
            (_run(64, 5.5, "as counted", standard=np.zeros(30)), "zero or less"),
        ),
    ),
}
