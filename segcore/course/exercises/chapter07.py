"""Exercises of chapter 7, "DeepLabV3+": the maps of a thinner network, and IoU near borders."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore import metrics
from segcore.course.checks import Exercise, array, recognise
from segcore.data import toy, voc

SIZES = (65, 96, 17, 160)  # the tap's side and channels, then the encoder's, at 257 and half width
WIDTHS = (2, 6)
Score = Callable[[NDArray, NDArray, int], Any]

_WRONG_SIZES = (
    (0, 129, "65 and not 129: the tap lies behind two strides, Conv1's and that of block_1."),
    (0, 64, "its side is not 64: 257 is 16k+1, and with `same` padding 257 → 129 → 65."),
    (0, 33, "that is the tap of no network here; its side is the input's, halved twice."),
    (1, 144, "144 is the tap at full width; here a block starts from fewer channels than 24."),
    (1, 72, "6 times 12 would be 72, but no block puts out 12: it must be a multiple of 8."),
    (1, 48, "48 is the projection that follows; the tap itself is what block_3 opens to."),
    (1, 16, "16 channels go into block_3; the tap is inside it, after the expansion."),
    (1, 64, "12 is rounded up to 16 here: rounding down would lose more than a tenth."),
    (2, 9, "9 cells would be output stride 32; ours is 16: the last stride became a rate."),
    (2, 33, "33 cells are the encoder's map at 513; at 257 it is half of that, and one."),
    (2, 16, "one cell is missing: (257 - 1) / 16 gaps have a cell at both of their ends."),
    (3, 320, "320 is the last map at full width; here it is half of that."),
    (3, 256, "256 is what ASPP puts out; the encoder's last map comes before it."),
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
    name = ("tap's side", "tap's channels", "encoder's side", "encoder's channels")[place]
    return recognise(slips, lambda slip: values[slip[0]] == slip[1]) or (
        f"the {name} {'are' if place % 2 else 'is'} not {values[place]:g}."
    )


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
        "that is the IoU of the whole picture; keep only the pixels inside the band.",
    ),
    (
        lambda y, p, w: _inside(y, p, ~metrics.boundary_band(y, w)),
        "that scores everything but the band: the inside of things, where it is easy.",
    ),
    (
        lambda y, p, w: _inside(y, p, metrics.boundary_band(p, w)),
        "your band follows the prediction, which then chooses its own test; take the label's.",
    ),
    (
        _emptied,
        "outside the band your arrays hold 0, so all of it counts as background, and as right; "
        "pick the pixels instead.",
    ),
    (
        _void_as_background,
        "void counts as background here; it must not be scored, and the band is full of it.",
    ),
    (
        _accuracies,
        "that divides by the labelled pixels only; pixels taken from others must cost too.",
    ),
    (
        lambda y, p, w: 100 * metrics.boundary_iou(y, p, w),
        "right, but in percent: return fractions from 0 to 1.",
    ),
    (
        lambda y, p, w: metrics.boundary_iou(y, p, 2 * w),
        "your band is twice as wide: `width` counts pixels on each side of a border.",
    ),
    (
        lambda y, p, w: metrics.boundary_iou(y, p, WIDTHS[0]),
        "right for one width only: use the argument `width`.",
    ),
)


def _judge_band(function: Score) -> str | None:
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
        return "a class without a labelled pixel in the band has no IoU: give it np.nan, not 0."
    return f"within {WIDTHS[0]} pixels the bus has {truth[6]:.3f}, yours {answers[0][6]:.3f}."


def _same(answers: list[NDArray], score: Score) -> bool:
    """Whether `score` gives these very `answers`, NaN included."""
    labels, prediction = _case()
    wanted = [score(labels, prediction, width) for width in WIDTHS]
    return all(np.allclose(a, b, equal_nan=True) for a, b in zip(answers, wanted, strict=True))


EXERCISES = {
    "sizes": Exercise(
        judge=_judge_sizes,
        praise="12 channels become 16, and a block opens them to 6 times as many.",
        right=(SIZES, [(65, 96), (17, 160)], np.array(SIZES)),
        wrong=(
            ((65, 17), "four numbers"),
            ((65, 17, 96, 160), "order"),
            *(
                ((*SIZES[:place], value, *SIZES[place + 1 :]), sentence[:30])
                for place, value, sentence in _WRONG_SIZES
            ),
            ((66, 96, 17, 160), "tap's side is not 66"),
            ((65, 96, 17, 161), "encoder's channels are not 161"),
        ),
    ),
    "band": Exercise(
        judge=_judge_band,
        function="",
        praise="the easy inside no longer hides the edges.",
        right=(metrics.boundary_iou, lambda y, p, w: metrics.boundary_iou(y, p, w).tolist()),
        wrong=(
            (_case()[0], "without brackets"),
            (lambda y, p, w: ..., "behind return"),
            (lambda y, p, w: float(np.nanmean(metrics.boundary_iou(y, p, w))), "21 classes"),
            *((slip, sentence[:40]) for slip, sentence in _SLIPS),
            (lambda y, p, w: np.nan_to_num(metrics.boundary_iou(y, p, w)), "np.nan"),
            (lambda y, p, w: metrics.boundary_iou(y, p, w) / 3, "the bus has"),
        ),
    ),
}
