"""How good the edges are: scores within a few pixels of a labelled border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segcore.data.voc import NUM_CLASSES
from segcore.metrics.confusion import Counts, confusion_matrix, iou


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

    For a data set, add up `boundary_confusion` and take `iou` once. Taught in chapter 7.
    """
    return iou(boundary_confusion(labels, predictions, width, num_classes))
