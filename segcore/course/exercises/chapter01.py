"""Exercises of chapter 1, "From pixels to classes": IoU, the objects alone, two annotators."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from segcore import metrics
from segcore.course import results
from segcore.course.checks import Exercise, Right, Wrong, array, number, recognise
from segcore.data import toy, voc

# Class 2 is labelled nowhere, yet predicted 5 times: it has no IoU, but it lengthens a union.
MATRICES = (
    np.array([[60, 8, 2], [4, 20, 6], [0, 1, 9]]),
    np.array([[50, 3, 5], [7, 15, 0], [0, 0, 0]]),
)
SCENES, SIZES = 20, (128, 256)
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
            "by the rule of the VOC devkit and of Keras' MeanIoU: a class that is predicted and "
            "labelled nowhere scores 0. This course gives it none (NaN): it is not in the mean."
        )
    if not np.isnan(answers[1][2]):
        return (
            "a class that is predicted and labelled nowhere gets NaN by this course's convention, "
            f"0 by that of the VOC devkit and Keras; yours gets {answers[1][2]}."
        )
    return None


def _diagonal(confusion: NDArray) -> NDArray:
    return np.diag(confusion).astype(float)


def _sides(confusion: NDArray) -> NDArray:
    """Labelled plus predicted pixels of each class, common ones counted twice."""
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
        "the common pixels stand in the row and in the column: subtract them once from the union.",
    ),
    (
        lambda c: 2 * _diagonal(c) / _sides(c),
        "that is the Dice score, 2·I/(row + column); it is kinder than IoU. The union counts once.",
    ),
    (
        lambda c: _diagonal(c) / (_sides(c) - 2 * _diagonal(c)),
        "the common pixels belong to the union too: subtract them once, not twice.",
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


def _objects(accuracy: float, background: float) -> float:
    """Right pixels among those of objects where all background is right; all three in percent."""
    return 100 * (accuracy - background) / (100 - background)


def _judge_objects(answer: object) -> str | None:
    """(accuracy - background) / (100 - background) in percent, with void left out or background."""
    accuracy = results.get("paper.table2.keras.accuracy")
    void = 100 * results.get("voc_masks.void_fraction")
    background = 100 * results.get("voc_masks.fraction.background")
    with_void = background * (1 - void / 100) + void
    truth, other = _objects(accuracy, background), _objects(accuracy, with_void)
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
        (
            _objects(accuracy, background + void),
            "the fraction of background is one of the labelled pixels, and void one of all pixels: "
            "scale the background before you add void.",
        ),
    )
    value = number(answer, "one number in percent")
    if abs(value - truth) <= 0.1:
        return None
    if abs(value - other) <= 0.1:
        return Right(
            "with void counted as background; where void is left out, as the rule has it, "
            f"the answer is {truth:.1f} %."
        )
    amount = "many" if value > truth else "few"
    return recognise(slips, lambda slip: abs(value - slip) <= min(0.1, 0.01 * slip)) or (
        f"too {amount}. Of 100 pixels, how many are right, how many of those are background, and "
        "how many of the 100 are objects?"
    )


@functools.cache
def _scenes(size: int) -> tuple[NDArray[np.uint8], ...]:
    return tuple(toy.scenes(SCENES, size)[1])


@functools.cache
def ceiling(size: int, pixels: float) -> float:
    """mIoU of a second annotator whose objects reach `pixels` further out, on 20 ToyVOC scenes."""
    total = np.zeros((21, 21), np.int64)
    for mask in _scenes(size):
        first = np.where(mask == voc.VOID, 0, mask)
        distance, near = distance_transform_edt(first == 0, return_indices=True)
        second = np.where(distance <= pixels, first[tuple(near)], 0)
        total += metrics.confusion_matrix(mask, second)
    return metrics.mean_iou(total)


def _judge_experiment(answer: object) -> str | None:
    """({(size, pixels): mIoU}, "pixels" or "fraction"): right numbers that tell the two apart."""
    if not (isinstance(answer, tuple | list) and len(answer) == 2):
        return "a pair is wanted: (measured, conclusion)."
    measured, conclusion = answer
    if measured is ... or conclusion is ... or measured is None or conclusion is None:
        return "fill in both measured and conclusion, and run the cell again."
    scores = _measured(measured)
    if not isinstance(conclusion, str) or conclusion not in ("pixels", "fraction"):
        return 'conclude "pixels" or "fraction", in these words.'
    return _unsupported(scores, conclusion)


def _measured(measured: object) -> dict[tuple[int, int], float]:
    """The reader's scores by (size, pixels); Wrong for others than `ceiling` gives."""
    if not isinstance(measured, dict) or len(measured) < 3:
        raise Wrong("measured is wanted as a dictionary of three settings or more.")
    scores = {}
    for setting, value in measured.items():
        if not _is_setting(setting):
            raise Wrong(f"the setting {setting!r} is none of size 128 or 256 and 0 to 64 pixels.")
        size, pixels = map(int, setting)
        score = number(value, "one mIoU for each setting")
        wanted = ceiling(size, pixels)
        if abs(score - 100 * wanted) < 0.6 and score > 1.5:
            raise Wrong(f"the score of {setting!r} is in percent: ceiling gives fractions.")
        if abs(score - wanted) > 0.006:
            raise Wrong(f"for {setting!r} ceiling gives {wanted:.3f}, not {score:.3f}.")
        scores[size, pixels] = score
    return scores


def _is_setting(setting: object) -> bool:
    """Whether it is (a size of SIZES, 0 to 64 whole pixels)."""
    if not isinstance(setting, tuple) or len(setting) != 2:
        return False
    return setting[0] in SIZES and setting[1] in range(65)


def _unsupported(scores: dict[tuple[int, int], float], conclusion: str) -> str | None:
    """Why the numbers do not carry the conclusion, None where they do."""
    small, large = ({pixels for size, pixels in scores if size == side} for side in SIZES)
    low = [pixels for pixels in small & large if scores[128, pixels] < 0.98]
    double = [pixels for pixels in small if 2 * pixels in large and scores[128, pixels] < 0.98]
    if not low:
        return (
            "your numbers cannot refute either: measure the same number of pixels, more than 2, at "
            "both sizes."
        )
    if not double:
        return (
            "one comparison is missing: the same fraction of the image, such as 4 pixels of 128 "
            "and 8 of 256."
        )
    if conclusion == "pixels":
        apart = 100 * (scores[256, low[0]] - scores[128, low[0]])
        return (
            f"your numbers say otherwise: {low[0]} pixels at both sizes give mIoUs that are "
            f"{apart:.0f} points apart."
        )
    return None


# What the solution measures: 2, 4 and 8 pixels of 128, and the same fractions of 256.
_MEASURED = {
    (128, 2): 1.0,
    (128, 4): 0.838,
    (128, 8): 0.658,
    (256, 4): 0.995,
    (256, 8): 0.83,
    (256, 16): 0.653,
}

EXERCISES = {
    "iou": Exercise(
        judge=_judge_iou,
        function="my_iou",
        praise="common pixels over all that label or prediction claims; a class without a "
        "label is left out of the mean, which is this course's convention.",
        right=(metrics.iou, lambda c: metrics.iou(c).tolist(), _true_iou),
        wrong=(
            (lambda c: float(np.nanmean(metrics.iou(c))), "one a class"),
            *_SLIPS,
            (lambda c: np.diag(c) / c.sum(), "60/74"),
            (lambda c: np.nan_to_num(metrics.iou(c), nan=1), "gets NaN by this course"),
            (_one_class_short, "keep its column"),
        ),
    ),
    "objects": Exercise(
        judge=_judge_objects,
        praise="at the least; for every background pixel lost, one more object pixel was right.",
        right=(35.94, np.float64(35.9), 32.24),
        wrong=(
            ("36", "one number"),
            (0.3594, "multiply by 100"),
            (9.552, "divide by the part"),
            (19.3, "scale the background"),
            (64.06, "is wrong"),
            (11.51, "part of the right pixels"),
            (82.98, "too many"),
            (20, "too few"),
        ),
    ),
    "experiment": Exercise(
        judge=_judge_experiment,
        praise="what counts is the distance as a fraction of the image; within the void boundary "
        "it costs nothing, and that is what void is for.",
        right=(
            (_MEASURED, "fraction"),
            [{**_MEASURED, (256, 0): np.float64(1)}, "fraction"],
        ),
        wrong=(
            (_MEASURED, "a pair is wanted"),
            ((..., "pixels"), "fill in both"),
            (({(128, 4): 0.838}, "fraction"), "three settings or more"),
            ((_MEASURED, "both"), "in these words"),
            ((_MEASURED, "pixels"), "points apart"),
            (({**_MEASURED, (64, 2): 1.0}, "fraction"), "setting (64, 2)"),
            (({s: 100 * v for s, v in _MEASURED.items()}, "fraction"), "is in percent"),
            (({**_MEASURED, (128, 4): 0.9}, "fraction"), "not 0.900"),
            (({(128, 1): 1.0, (256, 1): 1.0, (256, 2): 1.0}, "fraction"), "cannot refute either"),
            (
                ({(128, 8): 0.658, (256, 8): 0.83, (256, 1): 1.0}, "fraction"),
                "comparison is missing",
            ),
        ),
    ),
}
