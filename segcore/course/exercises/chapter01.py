"""Exercises of chapter 1, "From pixels to classes": IoU, the baseline, a score read critically."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from segcore import metrics
from segcore.course import results
from segcore.course.checks import Exercise, Right, array, number, recognise
from segcore.data import toy

# Class 2 is labelled nowhere, yet predicted 5 times: it has no IoU, but it lengthens a union.
MATRICES = (
    np.array([[60, 8, 2], [4, 20, 6], [0, 1, 9]]),
    np.array([[50, 3, 5], [7, 15, 0], [0, 0, 0]]),
)
SCENES = 200
Score = Callable[[NDArray], NDArray]


def _judge_iou(function: Score) -> str | None:
    """Runs the reader's `function` on both matrices; recognises six well-known slips."""
    with np.errstate(all="ignore"):
        answers = [array(function(matrix.copy())) for matrix in MATRICES]
        for answer in answers:
            if answer.shape != (3,):
                return f"a 3×3 matrix has 3 IoUs, one a class; yours has shape {answer.shape}."
        slip = recognise(_SLIPS, lambda slip: np.allclose(answers[0], slip(MATRICES[0])))
    if slip or not np.allclose(answers[0], metrics.iou(MATRICES[0])):
        return slip or f"for the matrix {MATRICES[0].tolist()} the first IoU is 60/74, not " + (
            f"{answers[0][0]}."
        )
    if not np.allclose(answers[1][:2], metrics.iou(MATRICES[1])[:2]):
        return "a class that nobody labelled still takes pixels from others: keep its column."
    if answers[1][2] == 0:
        return Right(
            "by the rule of the VOC devkit, where a class that is predicted and labelled nowhere "
            "scores 0. This course gives it none (NaN) and leaves it out of the mean."
        )
    if not np.isnan(answers[1][2]):
        return f"a class that nobody labelled has no IoU: return NaN for it, not {answers[1][2]}."
    return None


def _diagonal(confusion: NDArray) -> NDArray:
    return np.diag(confusion).astype(float)


def _sides(confusion: NDArray) -> NDArray:
    """Labelled plus predicted pixels of each class, shared ones counted twice."""
    return confusion.sum(0) + confusion.sum(1)


def _true_iou(confusion: NDArray) -> NDArray:
    return _diagonal(confusion) / (_sides(confusion) - _diagonal(confusion))


_SLIPS: tuple[tuple[Score, str], ...] = (
    (
        lambda c: _diagonal(c) / c.sum(1),
        "this divides by the labelled pixels only (recall): a class painted everywhere gets 1.",
    ),
    (
        lambda c: _diagonal(c) / c.sum(0),
        "this divides by the predicted pixels only (precision): missed pixels cost nothing.",
    ),
    (
        lambda c: _diagonal(c) / _sides(c),
        "the shared pixels stand in the row and in the column: subtract them once from the union.",
    ),
    (
        lambda c: 2 * _diagonal(c) / _sides(c),
        "that is the Dice score, 2·I/(row + column); it is kinder than IoU. The union counts once.",
    ),
    (
        lambda c: _diagonal(c) / (_sides(c) - 2 * _diagonal(c)),
        "the shared pixels belong to the union too: subtract them once, not twice.",
    ),
    (
        lambda c: 100 * _true_iou(c),
        "right, but in percent: return fractions from 0 to 1.",
    ),
)


def _one_class_short(confusion: NDArray) -> NDArray:
    """A wrong answer: forgets class 2 when nobody labelled it, with the pixels it was given."""
    kept = confusion.copy()
    if not kept[2].any():
        kept[:, 2] = 0
    with np.errstate(all="ignore"):
        return _true_iou(kept)


@functools.cache
def _baseline() -> tuple[float, float]:
    """Accuracy and mIoU of "background everywhere" on the first 200 ToyVOC scenes, in percent."""
    masks = toy.scenes(SCENES)[1]
    confusion = metrics.confusion_matrix(masks, np.zeros_like(masks))
    return 100 * metrics.pixel_accuracy(confusion), 100 * metrics.mean_iou(confusion)


def _judge_baseline(answer: object) -> str | None:
    """Recognises swapped, unscaled, void-counting and photo-by-photo answers."""
    values = array(answer, "a pair of numbers")
    if values.shape != (2,):
        return "two numbers are wanted, (accuracy, mean IoU), both in percent."
    accuracy, miou = _baseline()
    slips = (
        ((accuracy / 100, miou / 100), "these are fractions; multiply by 100 for percent."),
        ((miou, accuracy), "the two have changed places: accuracy comes first."),
    )

    def near(pair: tuple[float, float]) -> bool:
        return np.allclose(values, pair, atol=0.06)

    if near((accuracy, miou)):
        return None
    return recognise(slips, near) or _why_baseline(values[0], values[1])


def _why_baseline(accuracy: float, miou: float) -> str:
    """A sentence for two numbers in percent of which at least one is off."""
    true_accuracy, _ = _baseline()
    fix = "Give the masks to the matrix as they are."
    if accuracy > true_accuracy + 0.06:
        return f"accuracy {accuracy:.1f} is too high: does void count as background? {fix}"
    if accuracy < true_accuracy - 0.06:
        return f"accuracy {accuracy:.1f} is too low: does void count as a mistake? {fix}"
    if abs(miou - true_accuracy) < 0.06:
        return "the 20 classes with IoU 0 belong to the mean: they were labelled and never found."
    return (
        f"the accuracy is right, mean IoU {miou:.1f} is not: fill one matrix from all 200 scenes, "
        "then take the mean. A mean over scenes is another number, here about 30."
    )


def _judge_objects(answer: object) -> str | None:
    """(accuracy - background) / (100 - background), in percent, to one decimal."""
    accuracy = results.get("paper.table2.keras.accuracy")
    background = results.get("voc_masks.share_percent.background")
    truth = 100 * (accuracy - background) / (100 - background)
    slips = (
        (truth / 100, "that is a fraction; percent is wanted: multiply by 100."),
        (
            accuracy - background,
            "that is a part of all pixels; divide by the part of them that is object.",
        ),
        (100 - truth, "that is the part of the objects that is wrong."),
        (
            100 * (accuracy - background) / accuracy,
            "that is a part of the right pixels; the question is about the object pixels.",
        ),
    )
    value = number(answer, "one number in percent")
    if abs(value - truth) <= 0.1:
        return None
    amount = "many" if value > truth else "few"
    return recognise(slips, lambda slip: abs(value - slip) <= min(0.1, 0.01 * slip)) or (
        f"too {amount}. Of 100 pixels, how many are right, how many of those are background, and "
        "how many of the 100 are objects?"
    )


EXERCISES = {
    "iou": Exercise(
        judge=_judge_iou,
        function="my_iou",
        praise="shared pixels, over all pixels that label or prediction claims.",
        right=(metrics.iou, lambda c: metrics.iou(c).tolist(), _true_iou),
        wrong=(
            (MATRICES[0], "without brackets"),
            (lambda c: ..., "behind return"),
            (lambda c: float(np.nanmean(metrics.iou(c))), "one a class"),
            (_SLIPS[0][0], "recall"),
            (_SLIPS[1][0], "precision"),
            (_SLIPS[2][0], "subtract them once from the union"),
            (_SLIPS[3][0], "Dice"),
            (_SLIPS[4][0], "not twice"),
            (_SLIPS[5][0], "in percent"),
            (lambda c: np.diag(c) / c.sum(), "60/74"),
            (lambda c: np.nan_to_num(metrics.iou(c), nan=1), "return NaN"),
            (_one_class_short, "keep its column"),
        ),
    ),
    "baseline": Exercise(
        judge=_judge_baseline,
        praise="a network that sees nothing has this accuracy; the mean IoU gives it away.",
        right=((73.2, 3.49), np.array([73.203, 3.486])),
        wrong=(
            (73.2, "two numbers"),
            ((0.732, 0.0349), "multiply by 100"),
            ((3.49, 73.2), "changed places"),
            ((74.86, 3.57), "too high"),
            ((68.68, 3.27), "too low"),
            ((73.2, 73.2), "belong to the mean"),
            ((73.2, 29.87), "one matrix"),
        ),
    ),
    "objects": Exercise(
        judge=_judge_objects,
        praise="at the least; for every background pixel lost, one more object pixel was right.",
        right=(35.94, np.float64(35.9)),
        wrong=(
            ("36", "one number"),
            (0.3594, "multiply by 100"),
            (9.552, "divide by the part"),
            (64.06, "is wrong"),
            (11.51, "part of the right pixels"),
            (82.98, "too many"),
            (20, "too few"),
        ),
    ),
}
