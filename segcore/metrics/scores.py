"""What all tables print, from matrices photo by photo: scores, how sure they are, differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from segcore.data.voc import CLASSES
from segcore.metrics.bootstrap import (
    RESAMPLES,
    Interval,
    bootstrap_intervals,
    paired_bootstraps,
)
from segcore.metrics.confusion import Counts, iou, mean_ious, pixel_accuracies
from segcore.metrics.photos import PhotoMatrices, paired


class Scores(TypedDict):
    """Scores of a set of photos; all of them fractions, 0..1, NaN where there is nothing.

    `miou` is the mean over the labelled `classes`. `iou`, `pixels` and `photos_with` tell IoU,
    labelled pixels and number of photos of each labelled class, by name.
    """

    photos: int
    accuracy: float
    miou: float
    classes: int
    iou: dict[str, float]
    pixels: dict[str, int]
    photos_with: dict[str, int]


class ScoreIntervals(TypedDict):
    """An `Interval` for each score, or for the difference of each; `iou` by labelled class."""

    accuracy: Interval
    miou: Interval
    iou: dict[str, Interval]


def summary(matrices: Counts, class_names: Sequence[str] = CLASSES) -> Scores:
    """`Scores` from a confusion matrix for each photo, (N, C, C), and the C names of classes.

    Raises ValueError where the shape does not fit. Taught in chapter 1.
    """
    total = _checked(matrices, class_names).sum(0)
    photos_with, pixels = (matrices.sum(-1) > 0).sum(0), total.sum(-1)
    labelled = [(name, i) for i, name in enumerate(class_names) if pixels[i]]
    accuracy, miou, *each = _all_scores(total).tolist()
    return Scores(
        photos=len(matrices),
        accuracy=accuracy,
        miou=miou,
        classes=len(labelled),
        iou={name: each[i] for name, i in labelled},
        pixels={name: int(pixels[i]) for name, i in labelled},
        photos_with={name: int(photos_with[i]) for name, i in labelled},
    )


def score_intervals(
    matrices: Counts, class_names: Sequence[str] = CLASSES, resamples: int = RESAMPLES
) -> ScoreIntervals:
    """The 95 % interval of each score of `summary`, over photos. Taught in chapter 1."""
    _checked(matrices, class_names)
    found = bootstrap_intervals(matrices, _all_scores, resamples)
    return _named(found, class_names)


def score_differences(
    a: PhotoMatrices, b: PhotoMatrices, resamples: int = RESAMPLES
) -> ScoreIntervals:
    """How much more `b` scores than `a` on the same photos, score by score, with 95 % intervals.

    Raises ValueError as `paired` does. Taught in chapter 1.
    """
    first, second = paired(a, b)
    found = paired_bootstraps(first, second, _all_scores, resamples)
    return _named(found, a.class_names)


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction as it is printed, in per cent without the sign: 0.7324 → "73.2"."""
    return f"{100 * fraction:.{digits}f}"


def _all_scores(confusions: NDArray) -> NDArray[np.float64]:
    """Accuracy, mean IoU and the IoU of each class: (..., C, C) → (..., 2 + C)."""
    means = np.stack([pixel_accuracies(confusions), mean_ious(confusions)], -1)
    return np.concatenate([means, iou(confusions)], -1)


def _named(found: Sequence[Interval], class_names: Sequence[str]) -> ScoreIntervals:
    """Intervals of `_all_scores` by name, those of classes without a label left out."""
    accuracy, miou, *each = found
    named = zip(class_names, each, strict=True)
    by_class = {name: one for name, one in named if not np.isnan(one.value)}
    return ScoreIntervals(accuracy=accuracy, miou=miou, iou=by_class)


def _checked(matrices: Counts, class_names: Sequence[str]) -> Counts:
    """`matrices`, refused unless they are (N, C, C)."""
    C = len(class_names)
    if matrices.ndim != 3 or matrices.shape[1:] != (C, C):
        raise ValueError(f"matrices is {matrices.shape}; wanted (photos, {C}, {C}), one a photo")
    return matrices
