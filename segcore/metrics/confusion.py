"""The confusion matrix, and the numbers read from it: accuracy, IoU per class, and their mean.

Which classes count. A class that is labelled nowhere has no IoU (NaN) and is left out of the mean,
even where it was predicted; the pixels that it took count in the unions of the others. The VOC
devkit and Keras' `MeanIoU` give such a class 0 instead. On a whole data set every class is
labelled, and the rules agree; they part on single photos and on small sets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segcore.data.voc import NUM_CLASSES, VOID

Counts = NDArray[np.int64]


def confusion_matrix(
    labels: NDArray, predictions: NDArray, num_classes: int = NUM_CLASSES, void: int | None = VOID
) -> Counts:
    """Counts (C, C) int64: row = labelled class, column = predicted class, void pixels left out.

    `labels` and `predictions` hold class ids in any integer dtype and the same shape. Add the
    matrices of many images, then read the numbers once: a mean over images is another number.
    Raises ValueError for shapes that differ, for ids outside 0..C-1, and for a predicted void.
    Taught in chapter 1.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(
            f"labels {labels.shape} and predictions {predictions.shape} differ in shape; "
            "bring the prediction to the label's own size first"
        )
    keep = np.ones(labels.shape, bool) if void is None else labels != void
    truth = _ids(labels[keep], "labels", num_classes)
    guess = _ids(predictions[keep], "predictions", num_classes)
    cells = np.bincount(truth * num_classes + guess, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def pixel_accuracies(confusions: NDArray) -> NDArray[np.float64]:
    """Part of the labelled pixels that have the right class: (..., C, C) → (...) in 0..1.

    NaN where nothing is labelled. All functions of matrices here take any leading axes.
    """
    total = confusions.sum((-2, -1), dtype=np.float64)
    right = np.trace(confusions, axis1=-2, axis2=-1)
    return np.divide(right, total, out=np.full(total.shape, np.nan), where=total > 0)


def pixel_accuracy(confusion: NDArray) -> float:
    """`pixel_accuracies` of one matrix (C, C). Taught in chapter 1."""
    return float(pixel_accuracies(confusion))


def iou(confusions: NDArray) -> NDArray[np.float64]:
    """Intersection over union per class, (..., C, C) → (..., C) float64 in 0..1.

    Everingham et al. 2010, The PASCAL Visual Object Classes Challenge, section 4.4. NaN for a class
    that nobody labelled, as this module's first lines say. Taught in chapter 1.
    """
    intersection = np.diagonal(confusions, axis1=-2, axis2=-1).astype(np.float64)
    labelled = confusions.sum(-1)
    union = confusions.sum(-2) + labelled - intersection
    empty = np.full(union.shape, np.nan)
    return np.divide(intersection, union, out=empty, where=labelled > 0)


def mean_ious(confusions: NDArray, classes: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Mean of `iou` over the labelled classes, (..., C, C) → (...) in 0..1; NaN without any.

    `classes` (C,) bool leaves out those that are False, however many pixels they have.
    """
    values = iou(confusions)
    counted = ~np.isnan(values) & (True if classes is None else classes)
    total, number = np.where(counted, values, 0).sum(-1), counted.sum(-1)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def mean_iou(confusion: NDArray) -> float:
    """`mean_ious` of one matrix (C, C). Taught in chapter 1."""
    return float(mean_ious(confusion))


def _ids(values: NDArray, argument: str, num_classes: int) -> NDArray[np.int64]:
    """`values` as int64, refused unless they are class ids."""
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{argument} must hold integer class ids, not {values.dtype}")
    if values.size and not 0 <= values.min() <= values.max() < num_classes:
        wrong = int(values[(values < 0) | (values >= num_classes)][0])
        raise ValueError(f"{argument} holds class {wrong}; known are 0 to {num_classes - 1}")
    return values.astype(np.int64)
