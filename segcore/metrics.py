"""One confusion matrix for a data set, and the numbers read from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore.data.voc import CLASSES, NUM_CLASSES, VOID

Counts = NDArray[np.int64]

MIN_PIXELS = 20_000  # labelled pixels below which a class's IoU is noise


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


def pixel_accuracy(confusion: Counts) -> float:
    """Share of labelled pixels with the right class, 0..1. NaN when nothing is labelled."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def iou(confusion: Counts) -> NDArray[np.float64]:
    """Intersection over union per class, (C,) float64 in 0..1; NaN for a class nobody labelled.

    Everingham et al. 2010, The PASCAL Visual Object Classes Challenge, section 4.4. A class that
    is predicted but never labelled takes pixels from other classes' unions and has no own score.
    """
    intersection = np.diag(confusion).astype(float)
    union = confusion.sum(0) + confusion.sum(1) - intersection
    labelled = confusion.sum(1) > 0
    return np.divide(intersection, union, out=np.full(len(union), np.nan), where=labelled)


def mean_iou(confusion: Counts, min_pixels: int = 1) -> float:
    """Mean of `iou` over the classes with at least `min_pixels` labelled pixels, 0..1.

    NaN when there is none. A small data set has classes with a handful of pixels, whose IoU is
    noise: raise `min_pixels` and say how many classes are left.
    """
    enough = confusion.sum(1) >= max(min_pixels, 1)
    return float(iou(confusion)[enough].mean()) if enough.any() else float("nan")


def boundary_band(labels: NDArray, width: int) -> NDArray[np.bool_]:
    """Where a class border is at most `width` pixels away, (H, W) bool: the trimap of `labels`.

    Void counts as a class of its own here, so the band lies along VOC's white rims, on both sides.
    Raises ValueError for a width below 1. Kohli et al. 2009, Robust Higher Order Potentials.
    """
    if width < 1:
        raise ValueError(f"width must be 1 pixel or more, not {width}")
    from scipy import ndimage  # at the top it would slow the start of `segcore predict`

    side = 2 * width + 1
    return ndimage.maximum_filter(labels, side) != ndimage.minimum_filter(labels, side)


def boundary_confusion(
    labels: NDArray, predictions: NDArray, width: int, num_classes: int = NUM_CLASSES
) -> Counts:
    """`confusion_matrix` of the pixels inside `boundary_band(labels, width)` alone."""
    band = boundary_band(labels, width)
    return confusion_matrix(labels[band], predictions[band], num_classes)


def boundary_iou(
    labels: NDArray, predictions: NDArray, width: int, num_classes: int = NUM_CLASSES
) -> NDArray[np.float64]:
    """IoU per class, (C,), within `width` pixels of a labelled border: how good the edges are.

    For a data set, add up `boundary_confusion` and take `iou` once. Taught in chapter 6.
    """
    return iou(boundary_confusion(labels, predictions, width, num_classes))


def summary(confusion: NDArray[np.int64]) -> dict[str, Any]:
    """Scores in percent from a confusion matrix (21, 21), ready for JSON.

    `miou` counts classes with at least 20,000 labelled pixels, `miou_all` every labelled one.
    """
    per_class = zip(CLASSES, iou(confusion), confusion.sum(1), strict=True)
    return {
        "accuracy": round(100 * pixel_accuracy(confusion), 2),
        "miou": round(100 * mean_iou(confusion, MIN_PIXELS), 2),
        "miou_all": round(100 * mean_iou(confusion), 2),
        "classes": int((confusion.sum(1) >= MIN_PIXELS).sum()),
        "iou": {name: round(100 * value, 2) for name, value, pixels in per_class if pixels},
        "pixels": {name: int(n) for name, n in zip(CLASSES, confusion.sum(1), strict=True) if n},
    }


def _ids(values: NDArray, argument: str, num_classes: int) -> NDArray[np.int64]:
    """`values` as int64, refused unless they are class ids."""
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{argument} must hold integer class ids, not {values.dtype}")
    if values.size and not 0 <= values.min() <= values.max() < num_classes:
        wrong = int(values[(values < 0) | (values >= num_classes)][0])
        raise ValueError(f"{argument} holds class {wrong}; known are 0 to {num_classes - 1}")
    return values.astype(np.int64)
