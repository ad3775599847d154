"""A segmenter scored on a folder of labelled photos, or held to the network it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segcore import metrics
from segcore.data import voc
from segcore.data.images import read_image
from segcore.export import tflite
from segcore.inference.segmenter import Prediction, Segmenter, load
from segcore.metrics import Counts, PhotoMatrices

Look = Callable[[NDArray[np.uint8], Prediction], None]


class Evaluation(NamedTuple):
    """`photos`, a confusion matrix for each photo with its name, and `inference_ms` (N,)."""

    photos: PhotoMatrices
    inference_ms: NDArray[np.float64]

    @property
    def matrices(self) -> NDArray[np.int64]:
        """The matrices alone, (N, C, C)."""
        return self.photos.matrices

    @property
    def scores(self) -> metrics.Scores:
        """`metrics.summary` of them."""
        return metrics.summary(self.matrices, self.photos.class_names)


def evaluate(
    model: str | Path | Segmenter,
    photos: str | Path | Iterable[tuple[Path, Path]],
    split: str = "val",
    trimap_width: int = 0,
    look: Look | None = None,
) -> Evaluation:
    """`model` scored on labelled photos at native size, C its number of classes.

    `model` is what `load` takes, or a segmenter; `photos` a VOC folder, whose list `split` is
    taken, or (photo, mask) files. With a `trimap_width` the pixels at most so far from a labelled
    border are counted apart, too. `look` is called with each photo (H, W, 3) and the prediction
    for it. Raises ValueError naming the mask when it and its photo differ in size, or when it holds
    a class that the model does not have. Taught in chapter 1.

        >>> segcore.evaluate("phone", "VOCdevkit").scores["miou"]
    """
    segmenter = model if isinstance(model, Segmenter) else load(model)
    pairs = voc.file_pairs(photos, split) if isinstance(photos, str | Path) else photos
    found = [_score(segmenter, photo, mask, trimap_width, look) for photo, mask in pairs]
    C = len(segmenter.class_names)

    def stacked(column: int) -> NDArray[np.int64]:
        return np.array([row[column] for row in found], np.int64).reshape(-1, C, C)

    scored = PhotoMatrices(
        tuple(row[0] for row in found),
        stacked(1),
        segmenter.class_names,
        stacked(2) if trimap_width else None,
        trimap_width,
        segmenter.name,
        segmenter.size,
    )
    return Evaluation(scored, np.array([row[3] for row in found], np.float64))


def _score(
    segmenter: Segmenter, photo: Path, mask: Path, trimap_width: int, look: Look | None
) -> tuple[str, Counts, Counts | None, float]:
    """The name of one photo, its matrix, that within its trimap, and the network's milliseconds."""
    image, labels = read_image(photo), voc.read_mask(mask)
    if image.shape[:2] != labels.shape:
        raise ValueError(
            f"{mask}: {_by(labels)} pixels, its photo has {_by(image)}; use the mask as drawn"
        )
    prediction, C = segmenter(image), len(segmenter.class_names)
    near = None
    try:
        matrix = metrics.confusion_matrix(labels, prediction.mask, C)
    except ValueError as error:
        raise ValueError(f"{mask}: {error}; {segmenter.name} has {C} classes") from error
    if trimap_width:
        near = metrics.boundary_confusion(labels, prediction.mask, trimap_width, C)
    if look is not None:
        look(image, prediction)
    return photo.stem, matrix, near, prediction.inference_ms


def compare_files(
    path: str | Path, reference: Segmenter, pairs: Iterable[tuple[Path, Path]]
) -> dict[str, Any]:
    """What the file at `path` holds, and how its answers differ from those of `reference`.

    Over all (photo, mask) `pairs`, at native size: `logit_difference`, the largest one between
    scores (None where one of the two gives class ids); `changed`, the fraction of pixels (0..1)
    with another class; `matrices` (N, C, C) as `evaluate` gives, and from their sum `accuracy` and
    `miou` (0..1). Taught in chapter 9.
    """
    ours, theirs = _Watched(load(path)), _Watched(reference)
    if ours.segmenter.size != reference.size:
        raise ValueError(f"reference is made for {reference.size} pixels, {path} for another size")
    changed, pixels, differences = 0, 0, []

    def look(image: NDArray[np.uint8], prediction: Prediction) -> None:
        nonlocal changed, pixels
        other = theirs.segmenter(image)
        changed += int((prediction.mask != other.mask).sum())
        pixels += other.mask.size
        if ours.last.ndim == theirs.last.ndim == 3:
            differences.append(float(np.abs(ours.last - theirs.last).max()))

    found = evaluate(ours.segmenter, pairs, look=look).matrices
    confusion = found.sum(0)
    return tflite.File(path).summary() | {
        "logit_difference": max(differences, default=None),
        "changed": changed / pixels if pixels else float("nan"),
        "matrices": found,
        "accuracy": metrics.pixel_accuracy(confusion),
        "miou": metrics.mean_iou(confusion),
    }


class _Watched:
    """A segmenter whose `last` answer, scores or ids, is kept."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.last = np.zeros(0)
        self._infer = segmenter.infer
        self.segmenter = replace(segmenter, infer=self._watch)

    def _watch(self, box: NDArray[np.uint8]) -> NDArray:
        self.last = self._infer(box)
        return self.last


def _by(array: NDArray) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"
