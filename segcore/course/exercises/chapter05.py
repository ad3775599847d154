"""Exercises of chapter 5: strides into dilation, receptive field, dilation rates for a camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.course.checks import Exercise, Right, Wrong, array, number
from segcore.course.judges import Experiment, Function, Number

Pairs = list[tuple[int, int]]
LAYERS = ((2, 1), (2, 1), (1, 2), (1, 4))  # (stride, dilation rate) of four 3×3 convolutions
DEEPEST = 128  # layers whose receptive field the chapter's image of 257 pixels still holds
ROOT = "with the square root of the depth"


def _dilated(
    strides: Sequence[int],
    output_stride: int,
    early: bool = False,
    join: Callable[[int, int], int] = lambda dilation, lost: dilation * lost,
) -> Pairs:
    """(stride, dilation rate) of each layer, or the same with one of the usual slips."""
    jump, dilation, pairs = 1, 1, []
    for stride in strides:
        kept = stride if jump * stride <= output_stride else 1
        after = join(dilation, stride // kept)
        pairs.append((kept, after if early else dilation))
        jump, dilation = jump * kept, after
    return pairs


def _field(first: int = 1, weights: int = 2, early: bool = False) -> int:
    """1 + Σ 2·dilation·(strides in front), or the same with one of the usual slips."""
    field, jump = first, 1
    for stride, dilation in LAYERS:
        before = jump
        jump *= stride
        field += weights * dilation * (jump if early else before)
    return field


def _judge_camera(answer: Any) -> str | None:
    """A size of 16k+1 that the camera fills, and three dilation rates that its features allow."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong("two things are wanted: the size, and a tuple of three dilation rates.")
    size, dilations = number(answer[0], "one number as size"), array(answer[1])
    if dilations.shape != (3,):
        raise Wrong(f"three dilation rates are wanted, yours have the shape {dilations.shape}.")
    values = [size, *dilations.tolist()]
    if not all(np.isfinite(value) and value % 1 == 0 and value >= 1 for value in values):
        raise Wrong("size and dilation rates are whole numbers from 1.")
    if size % 16 != 1:
        nearest = round((size - 1) / 16) * 16 + 1
        raise Wrong(f"{size:.0f} is not of the form 16k + 1; the nearest is {nearest}.")
    if size > 641:
        raise Wrong("the camera gives 640 pixels: beyond 641 you pay for pixels it never saw.")
    if size < 129:
        raise Wrong(f"at {size:.0f}, five of six pixels along the longer side are thrown away.")
    return _judge_dilations(int(size), [int(value) for value in dilations])


def _judge_dilations(size: int, dilations: list[int]) -> str:
    """A `Right` with the weights inside the feature map, or what is wrong with them."""
    n, longest = (size - 1) // 16 + 1, max(dilations)
    if len(set(dilations)) < 3:
        return "two branches with the same dilation rate measure the same distance."
    if longest >= n:
        return (
            f"at {size} there are {n}×{n} features: at dilation rate {longest} "
            "only the centre weight lies inside, everywhere."
        )
    means = [((3 * n - 2 * dilation) / n) ** 2 for dilation in dilations]  # rows times columns
    if min(means) < 2:
        return f"at dilation rate {longest} only {min(means):.1f} of 9 weights lie inside."
    return Right(
        f"on {n}×{n} features {', '.join(f'{mean:.1f}' for mean in means)} of 9 weights lie inside "
        f"on average, and the kernels span {', '.join(str(32 * d + 1) for d in dilations)} pixels."
    )


def _growth(found: dict[str, NDArray[np.float64]]) -> str:
    """The law that the measured widths follow. Raises Wrong for what `width` does not give."""
    depths, widths = found["depths"], found["widths"]
    if len(depths) != len(widths):
        raise Wrong(f"{len(depths)} depths and {len(widths)} widths: one width a depth.")
    if min(depths) < 1 or max(depths) > DEEPEST or (depths % 1 != 0).any():
        raise Wrong(f"depths are whole numbers from 1 to {DEEPEST}: the image holds no more.")
    if len(set(depths)) < 3 or max(depths) < 4 * min(depths):
        raise Wrong("take three depths or more, the deepest four times the shallowest at least.")
    if np.array_equal(widths, 2 * depths + 1):
        raise Wrong("these are the receptive fields 2n + 1; what does width(...) measure?")
    far = np.abs(widths / (4 * np.sqrt(depths / 2)) - 1) > 0.1
    if far.any():
        n, width = depths[far][0], widths[far][0]
        raise Wrong(f"{n:.0f} plain layers do not measure {width:.1f}: run width(plain({n:.0f})).")
    return ROOT


_STRIDES = Function(
    _dilated,
    cases=(
        ((2, 2, 1, 2, 1), 4),
        ((2, 1, 2, 2, 2, 1, 2, 1), 16),
        ((2, 2, 1, 2, 1, 2, 1), 4),
    ),
    name="dilate",
    slips=(
        (
            lambda strides, wanted: _dilated(strides, wanted, early=True),
            "a layer whose stride goes reads the same features as before, so its own dilation rate "
            "stays; the layers behind it find a finer feature map.",
        ),
        (
            lambda strides, wanted: [(stride, 1) for stride, _ in _dilated(strides, wanted)],
            "the strides are right, but with dilation rates of 1 the weights behind them now stand "
            "half as far apart, counted in pixels.",
        ),
        (
            lambda strides, wanted: [(stride, 1) for stride in strides],
            "nothing was changed: the cumulative stride is still that of the classifier.",
        ),
        (
            lambda strides, wanted: _dilated(strides, wanted, join=lambda d, lost: d + lost - 1),
            "two strides of 2 that go make the feature map four times as fine, not three: "
            "multiply.",
        ),
        (
            lambda strides, wanted: _dilated(strides, wanted, join=max),
            "the second stride that goes doubles the dilation rate again.",
        ),
        (
            lambda strides, wanted: [stride for stride, _ in _dilated(strides, wanted)],
            "these are the strides alone: a pair (stride, dilation rate) is wanted for each layer.",
        ),
        (
            lambda strides, wanted: [pair[::-1] for pair in _dilated(strides, wanted)],
            "the pairs stand the other way round: first the stride, then the dilation rate.",
        ),
    ),
)

_FIELD = Number(
    _field(),
    hint="Start at 1 and add 2 · dilation rate · (product of the strides in front) a layer.",
    slips=(
        (
            _field(first=0),
            "almost: a feature starts with its own pixel, so begin to count at 1.",
        ),
        (
            1 + 2 * sum(2 ** min(i, 2) for i in range(4)),
            "you left out the dilation rates: at 4 the outer weights stand 4 features away, not 1.",
        ),
        (
            1 + 2 * sum(dilation for _, dilation in LAYERS),
            "you left out the strides: behind two strides of 2, neighbours are 4 pixels apart.",
        ),
        (
            9,
            "four plain 3×3 layers would see that much; strides and dilation stretch them here.",
        ),
        (
            _field(weights=3),
            "a 3×3 kernel adds 2 distances, not 3: its centre was counted already.",
        ),
        (
            _field(early=True),
            "a layer reads the feature map in front of it: its own stride counts for the next one.",
        ),
        (
            (_field() - 1) // 2,
            "that is the distance to one side; count both sides and the middle.",
        ),
        (
            _field() ** 2,
            "that is the number of pixels in the whole square; its side is asked for.",
        ),
    ),
)

_GROWTH = Experiment(
    start={"depths": 4},
    measured=("widths",),
    conclusions=("not at all", "with the depth", ROOT),
    supported=_growth,
    slips=(
        ("with the depth", "so grows the receptive field; divide the widths of depths 1 to 4."),
        ("not at all", "your deepest stack is wider than your shallowest: by which factor?"),
    ),
)
_MEASURED = {"depths": [4, 16, 64], "widths": [5.66, 11.31, 22.63], "conclusion": ROOT}

EXERCISES = {
    "strides": _STRIDES.exercise(
        "each stride that goes doubles the dilation rate of every layer behind it.",
        right=(lambda strides, wanted: np.array(_dilated(strides, wanted)),),
    ),
    "receptive-field": _FIELD.exercise(
        "1, 3, 7, 23, 55: two atrous layers add more than the two strides before them."
    ),
    "camera": Exercise(
        judge=_judge_camera,
        praise="that fits.",
        right=((385, (4, 9, 13)), (641, [6, 12, 18]), (257.0, np.array([3, 6, 9]))),
        wrong=(
            (385, "two things are wanted"),
            ((385, 6), "three dilation rates are wanted, yours have the shape ()"),
            ((385, (4.5, 9, 13)), "whole numbers from 1"),
            ((384, (4, 9, 13)), "the nearest is 385"),
            ((1025, (6, 12, 18)), "pixels it never saw"),
            ((97, (1, 2, 3)), "thrown away"),
            ((385, (6, 6, 12)), "the same distance"),
            ((257, (6, 12, 18)), "at dilation rate 18 only the centre weight"),
            ((257, (6, 12, 16)), "of 9 weights lie inside"),
        ),
    ),
    "growth": _GROWTH.exercise(
        "four times the depth, twice the width: the effective receptive field grows with the "
        "square root of the depth, so it fills less and less of the receptive field.",
        right=(_MEASURED, {**_MEASURED, "depths": [2, 8, 128], "widths": (4, 8, 32)}),
        wrong=(
            ({**_MEASURED, "widths": [5.66, 11.31]}, "one width a depth"),
            ({**_MEASURED, "depths": [4, 16, 256]}, "from 1 to 128"),
            ({**_MEASURED, "depths": [4, 5, 6]}, "three depths or more"),
            ({**_MEASURED, "widths": [9, 33, 129]}, "these are the receptive fields"),
            ({**_MEASURED, "widths": [5.7, 11.3, 40]}, "64 plain layers do not measure 40.0"),
            ({**_MEASURED, "conclusion": "with the depth"}, "so grows the receptive field"),
            ({**_MEASURED, "conclusion": "not at all"}, "by which factor"),
        ),
    ),
}
