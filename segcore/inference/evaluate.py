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

Look = Callable[[NDArray[np.uint8], Prediction], None]


class Evaluation(NamedTuple):
    """`matrices` (N, C, C) int64, a confusion matrix for each photo, and `inference_ms` (N,)."""

    matrices: NDArray[np.int64]
    inference_ms: NDArray[np.float64]


def evaluate(
    segmenter: Segmenter, pairs: Iterable[tuple[Path, Path]], look: Look | None = None
) -> Evaluation:
    """`segmenter` scored on (photo, mask) files at native size, C its number of classes.

    `look` is called with each photo (H, W, 3) and the prediction for it. Raises ValueError naming
    the mask when it and its photo differ in size, or when it holds a class that the segmenter does
    not have. Taught in chapter 1.
    """
    C = len(segmenter.class_names)
    matrices, times = [np.zeros((0, C, C), np.int64)], []
    for photo, mask in pairs:
        image, labels = read_image(photo), voc.read_mask(mask)
        if image.shape[:2] != labels.shape:
            raise ValueError(
                f"{mask}: {_by(labels)} pixels, its photo has {_by(image)}; use the mask as drawn"
            )
        prediction = segmenter(image)
        try:
            matrix = metrics.confusion_matrix(labels, prediction.mask, C)
        except ValueError as error:
            raise ValueError(f"{mask}: {error}; {segmenter.name} has {C} classes") from error
        matrices.append(matrix[None])
        times.append(prediction.inference_ms)
        if look is not None:
            look(image, prediction)
    return Evaluation(np.concatenate(matrices), np.array(times, np.float64))


def compare_files(
    path: str | Path,
    reference: Segmenter,
    pairs: Iterable[tuple[Path, Path]],
    min_pixels: int = 1,
) -> dict[str, Any]:
    """What the file at `path` holds, and how its answers differ from those of `reference`.

    Over all (photo, mask) `pairs`, at native size: `logit_difference`, the largest one between
    scores (None where one of the two gives class ids); `changed`, the fraction of pixels (0..1)
    with another class; `matrices` (N, C, C) as `evaluate` gives, and from their sum `accuracy` and
    `miou` (0..1), the latter over classes with `min_pixels` labelled pixels. Taught in chapter 8.
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

    found = evaluate(ours.segmenter, pairs, look).matrices
    confusion = found.sum(0)
    return tflite.File(path).summary() | {
        "logit_difference": max(differences, default=None),
        "changed": changed / pixels if pixels else float("nan"),
        "matrices": found,
        "accuracy": metrics.pixel_accuracy(confusion),
        "miou": metrics.mean_iou(confusion, min_pixels),
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
