"""Exercises of chapter 7, "DeepLabV3+": sizes, a copy through a ReLU, IoU in a trimap, a skip."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore import metrics
from segcore.course.checks import Exercise, Wrong, array, recognise
from segcore.data import toy, voc

# Side and channels of the low-level features, then the encoder's, at 257 and half width.
SIZES = (65, 96, 17, 160)
WIDTHS = (2, 6)
CLASSES, FILTERS = 5, 16  # of the small case that stands for 21 scores in 128 channels
START = "block_3_expand_relu"  # the layer that the chapter itself has tried
Score = Callable[[NDArray, NDArray, int], Any]
Kernels = Callable[[NDArray, int], Any]

_WRONG_SIZES = (
    (0, 129, "65 and not 129: these features lie behind two strides, Conv1's and block_1's."),
    (0, 64, "its side is not 64: 257 is 16k+1, and with `same` padding 257 → 129 → 65."),
    (0, 33, "33 is stride 8; low-level features have stride 4, the input's side halved twice."),
    (1, 144, "144 channels are those of full width; at half width block_3 starts from fewer."),
    (1, 72, "6 times 12 would be 72, but no block puts out 12: it must be a multiple of 8."),
    (1, 48, "48 is the projection that follows; the low-level features are its input."),
    (1, 16, "16 channels go into block_3; its expansion comes before the features are taken."),
    (1, 64, "12 is rounded up to 16 here: rounding down would lose more than a tenth."),
    (2, 9, "9 positions would be output stride 32; here the last stride became a dilation."),
    (2, 33, "33 positions are the encoder's at 513; at 257 there are half as many, and one."),
    (2, 16, "one position is missing: (257 - 1) / 16 gaps have one at both of their ends."),
    (3, 320, "320 is the encoder's output at full width; here it is half of that."),
    (3, 256, "256 is what ASPP puts out; the encoder's output comes before it."),
)


def _judge_sizes(answer: object) -> str | None:
    """Four integers, nested or not; names the first one that is off."""
    values = array(answer, "four numbers, side and channels of two maps,").ravel().tolist()
    if len(values) != 4:
        return f"four numbers are wanted, side and channels of two maps; here are {len(values)}."
    if values == list(SIZES):
        return None
    if values == [65, 17, 96, 160] or values == [96, 65, 160, 17]:
        return "the numbers are right, their order is not: side, channels, side, channels."
    slips = tuple(((place, value), sentence) for place, value, sentence in _WRONG_SIZES)
    place = next(i for i, (a, b) in enumerate(zip(values, SIZES, strict=True)) if a != b)
    owner, what = ("low-level", "encoder's")[place // 2], ("side", "channels")[place % 2]
    return recognise(slips, lambda slip: values[slip[0]] == slip[1]) or (
        f"the {owner} {what} {'are' if place % 2 else 'is'} not {values[place]:g}."
    )


@functools.cache
def _features() -> tuple[NDArray, NDArray]:
    """Non-negative features (200, 12), as behind ASPP, and a kernel (12, CLASSES) for scores."""
    rng = np.random.default_rng(7)
    return np.maximum(rng.normal(size=(200, 12)), 0), rng.normal(size=(12, CLASSES))


def _zeros(first: NDArray, last: NDArray) -> tuple[NDArray, NDArray]:
    """Both padded with zeros to FILTERS channels."""
    spare = FILTERS - first.shape[1]
    return np.pad(first, ((0, 0), (0, spare))), np.pad(last, ((0, spare), (0, 0)))


def _through_relu(scores: NDArray, filters: int) -> tuple[NDArray, NDArray]:
    """What `models.surgery.deeplab_v3_as_light` does, for kernels (F, C) of scores."""
    one = np.eye(CLASSES)
    return _zeros(np.hstack([scores, -scores]), np.vstack([one, -one]))


_COPY_SLIPS: tuple[tuple[Kernels, str], ...] = (
    (
        lambda s, n: _zeros(s, np.eye(CLASSES)),
        "the ReLU clips negative scores to 0: send -s through channels of its own, too.",
    ),
    (
        lambda s, n: _zeros(np.hstack([s, -s]), np.vstack([np.eye(CLASSES)] * 2)),
        "relu(s) + relu(-s) is |s|: the second half must be subtracted.",
    ),
    (
        lambda s, n: _zeros(np.hstack([s, -s]), np.vstack([-np.eye(CLASSES), np.eye(CLASSES)])),
        "every score comes out with the opposite sign: swap the two halves of one kernel.",
    ),
    (
        lambda s, n: _zeros(np.hstack([s, s]), np.vstack([np.eye(CLASSES), -np.eye(CLASSES)])),
        "both halves hold s, and their difference is 0: the second half needs -s.",
    ),
    (
        lambda s, n: _zeros(np.hstack([s, -s]), np.vstack([np.eye(CLASSES), -np.eye(CLASSES)]) / 2),
        "you take half of the difference; only one of the two is above 0, so do not halve it.",
    ),
)


def _judge_copy(function: Kernels) -> str | None:
    """Runs the reader's two kernels on non-negative features; recognises five slips."""
    features, scores = _features()
    first, last = _kernels(function(scores.copy(), FILTERS))
    wanted = ((len(scores), FILTERS), (FILTERS, CLASSES))
    if (first.shape, last.shape) != wanted:
        shapes = f"{wanted[0]} and {wanted[1]}"
        return f"the kernels should have shapes {shapes}; yours have {first.shape}, {last.shape}."
    came = np.maximum(features @ first, 0) @ last
    if np.allclose(came, features @ scores):
        return None

    def same(slip: Kernels) -> bool:
        a, b = map(np.asarray, slip(scores, FILTERS))
        return b.shape == last.shape and np.allclose(np.maximum(features @ a, 0) @ b, came)

    apart = float(np.abs(came - features @ scores).max())
    return recognise(_COPY_SLIPS, same) or (
        f"the scores that come out differ from those wanted by up to {apart:.3g}."
    )


def _kernels(answer: Any) -> tuple[NDArray, NDArray]:
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise Wrong("return two kernels, the one before the ReLU and the one behind it.")
    first, last = (array(part, "a kernel of numbers") for part in answer)
    return first, last


@functools.cache
def _case() -> tuple[NDArray, NDArray]:
    """A ToyVOC label (128, 128) with void, and a prediction: moved, with a hole deep inside."""
    labels = toy.scene(200)[1]
    things = np.where(labels == voc.VOID, 0, labels)
    prediction = np.roll(things, (3, -2), (0, 1))
    prediction[:6] = 7
    rows, columns = np.nonzero(labels == 6)
    prediction[rows[len(rows) // 2], columns] = 0
    return labels, prediction


def _inside(labels: NDArray, prediction: NDArray, near: NDArray) -> NDArray:
    return metrics.iou(metrics.confusion_matrix(labels[near], prediction[near]))


def _accuracies(labels: NDArray, prediction: NDArray, width: int) -> NDArray:
    confusion = metrics.boundary_confusion(labels, prediction, width)
    with np.errstate(all="ignore"):
        return np.diag(confusion) / confusion.sum(1)


def _emptied(labels: NDArray, prediction: NDArray, width: int) -> NDArray:
    near = metrics.boundary_band(labels, width)
    return metrics.iou(metrics.confusion_matrix(labels * near, prediction * near))


def _void_as_background(labels: NDArray, prediction: NDArray, width: int) -> NDArray:
    near = metrics.boundary_band(labels, width)
    return _inside(np.where(labels == voc.VOID, 0, labels), prediction, near)


_SLIPS: tuple[tuple[Score, str], ...] = (
    (
        lambda y, p, w: metrics.iou(metrics.confusion_matrix(y, p)),
        "that is the IoU of the whole picture; keep only the pixels inside the trimap.",
    ),
    (
        lambda y, p, w: _inside(y, p, ~metrics.boundary_band(y, w)),
        "that scores everything but the trimap: the inside of things, where it is easy.",
    ),
    (
        lambda y, p, w: _inside(y, p, metrics.boundary_band(p, w)),
        "your trimap follows the prediction, which then chooses its own test; take the label's.",
    ),
    (
        _emptied,
        "outside the trimap your arrays hold 0, so all of it counts as background, and as right; "
        "pick the pixels instead.",
    ),
    (
        _void_as_background,
        "void counts as background here; it must not be scored, and the trimap is full of it.",
    ),
    (
        _accuracies,
        "that divides by the labelled pixels only; pixels taken from others must cost too.",
    ),
    (
        lambda y, p, w: 100 * metrics.boundary_iou(y, p, w),
        "right, but in per cent: return fractions from 0 to 1.",
    ),
    (
        lambda y, p, w: metrics.boundary_iou(y, p, 2 * w),
        "your trimap is twice as wide: `width` counts pixels on each side of a border.",
    ),
    (
        lambda y, p, w: metrics.boundary_iou(y, p, WIDTHS[0]),
        "right for one width only: use the argument `width`.",
    ),
)


def _judge_trimap(function: Score) -> str | None:
    """Runs the reader's `function` on one scene at two widths; recognises nine slips."""
    labels, prediction = _case()
    with np.errstate(all="ignore"):
        answers = [array(function(labels.copy(), prediction.copy(), width)) for width in WIDTHS]
        if answers[0].shape != (voc.NUM_CLASSES,):
            return f"one IoU for each of 21 classes is wanted; yours has shape {answers[0].shape}."
        if _same(answers, metrics.boundary_iou):
            return None
        if slip := recognise(_SLIPS, lambda slip: _same(answers, slip)):
            return slip
    truth = metrics.boundary_iou(labels, prediction, WIDTHS[0])
    if np.allclose(np.nan_to_num(answers[0]), np.nan_to_num(truth)):
        return "a class without a labelled pixel in the trimap has no IoU: give it np.nan, not 0."
    return f"within {WIDTHS[0]} pixels the bus has {truth[6]:.3f}, yours {answers[0][6]:.3f}."


def _same(answers: list[NDArray], score: Score) -> bool:
    """Whether `score` gives these very `answers`, NaN included."""
    labels, prediction = _case()
    wanted = [score(labels, prediction, width) for width in WIDTHS]
    return all(np.allclose(a, b, equal_nan=True) for a, b in zip(answers, wanted, strict=True))


VERDICTS = ("better", "worse", "not told apart")
_ASKED = ("layer", "whole", "near", "conclusion")


def _judge_open(answer: Any) -> str | None:
    """A dict of the layer tried, two intervals (value, low, high), and what follows near edges."""
    if not isinstance(answer, Mapping):
        return "hand over a dict with layer, whole, near and conclusion."
    if missing := [key for key in _ASKED if key not in answer]:
        return f"the dict lacks {', '.join(missing)}."
    if not isinstance(answer["layer"], str):
        return "layer must be the name of the layer that you tried."
    if answer["layer"] == START:
        return f"the chapter has tried {START} already: take another layer, and run it."
    whole, near = (_interval(key, answer[key]) for key in ("whole", "near"))
    if np.allclose(whole, near):
        return "whole and near hold the same three numbers: one is of all pixels, one of few."
    supported = _supported(near)
    if answer["conclusion"] not in VERDICTS:
        return f"the conclusion must be one of these: {', '.join(VERDICTS)}."
    if answer["conclusion"] == supported:
        return None
    low, high = 100 * near[1], 100 * near[2]
    if supported == VERDICTS[2]:
        return f"near edges your interval reaches from {low:+.1f} to {high:+.1f}: it holds 0."
    return (
        f"your interval, {low:+.1f} to {high:+.1f}, lies on one side of 0: it does say {supported}."
    )


def _interval(key: str, given: Any) -> NDArray[np.float64]:
    """(value, low, high) as the bootstrap returns them."""
    values = array(given, f"an interval (value, low, high) as {key}").ravel()
    if values.size != 3:
        raise Wrong(f"{key} should be an interval of three numbers: value, low, high.")
    value, low, high = values
    if not low <= value <= high:  # false for NaN, too
        raise Wrong(f"{key} should be value, low, high in this order; its value lies outside.")
    if max(-low, high) > 1:
        raise Wrong(f"{key} should hold fractions, as they came out; these are too large.")
    return values


def _supported(interval: NDArray[np.float64]) -> str:
    return metrics.Interval(*interval.tolist()).verdict


_RUN = {
    "layer": "block_2_add",
    "whole": (0.02, -0.01, 0.05),
    "near": (0.03, 0.01, 0.05),
    "conclusion": "better",
}

EXERCISES = {
    "sizes": Exercise(
        judge=_judge_sizes,
        praise="12 channels become 16, and a block expands them to 6 times as many.",
        right=(SIZES, [(65, 96), (17, 160)], np.array(SIZES)),
        wrong=(
            ((65, 17), "four numbers"),
            ((65, 17, 96, 160), "order"),
            *(
                ((*SIZES[:place], value, *SIZES[place + 1 :]), sentence)
                for place, value, sentence in _WRONG_SIZES
            ),
            ((66, 96, 17, 160), "low-level side is not 66"),
            ((65, 96, 17, 161), "encoder's channels are not 161"),
        ),
    ),
    "copy": Exercise(
        judge=_judge_copy,
        function="my_kernels",
        praise="of s and -s one passes the ReLU, and their difference is s.",
        right=(
            _through_relu,
            lambda s, n: _zeros(np.hstack([-s, s]), np.vstack([-np.eye(CLASSES), np.eye(CLASSES)])),
        ),
        wrong=(
            (lambda s, n: s, "two kernels"),
            (lambda s, n: (s, np.eye(CLASSES)), "should have shapes"),
            *_COPY_SLIPS,
            (lambda s, n: [3 * part for part in _through_relu(s, n)], "by up to"),
        ),
    ),
    "trimap": Exercise(
        judge=_judge_trimap,
        function="my_boundary_iou",
        praise="the easy inside no longer hides the edges.",
        right=(metrics.boundary_iou, lambda y, p, w: metrics.boundary_iou(y, p, w).tolist()),
        wrong=(
            (lambda y, p, w: float(np.nanmean(metrics.boundary_iou(y, p, w))), "21 classes"),
            *_SLIPS,
            (lambda y, p, w: np.nan_to_num(metrics.boundary_iou(y, p, w)), "np.nan"),
            (lambda y, p, w: metrics.boundary_iou(y, p, w) / 3, "the bus has"),
        ),
    ),
    "open": Exercise(
        judge=_judge_open,
        praise="the conclusion is the one that your interval supports.",
        right=(
            _RUN,
            _RUN | {"near": metrics.Interval(0.01, -0.01, 0.02), "conclusion": "not told apart"},
            _RUN | {"near": (-0.02, -0.03, -0.01), "conclusion": "worse"},
        ),
        wrong=(
            ("better", "hand over a dict"),
            ({"layer": "block_2_add"}, "lacks whole, near, conclusion"),
            (_RUN | {"layer": 3}, "name of the layer"),
            (_RUN | {"layer": START}, "another layer"),
            (_RUN | {"whole": _RUN["near"]}, "same three numbers"),
            (_RUN | {"near": 0.03}, "three numbers: value, low, high"),
            (_RUN | {"near": (0.01, 0.03, 0.05)}, "in this order"),
            (_RUN | {"near": (3.0, 1.0, 5.0)}, "fractions"),
            (_RUN | {"conclusion": "it helps"}, "must be one of these"),
            (_RUN | {"near": (0.03, -0.01, 0.05)}, "it holds 0"),
            (_RUN | {"conclusion": "not told apart"}, "one side of 0"),
        ),
    ),
}
