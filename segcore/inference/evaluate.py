"""A segmenter scored on a folder of labelled photos, or held to the network it came from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore import metrics
from segcore.data import voc
from segcore.data.images import letterbox, read_image, unletterbox
from segcore.export import tflite
from segcore.inference.segmenter import Segmenter, load


def evaluate(
    segmenter: Segmenter, pairs: Iterable[tuple[Path, Path]]
) -> tuple[NDArray[np.int64], float]:
    """A confusion matrix for each (photo, mask), (N, 21, 21) at native size, and the median ms.

    Raises ValueError naming the file when a photo and its mask differ in size.
    """
    matrices, times = [np.zeros((0, voc.NUM_CLASSES, voc.NUM_CLASSES), np.int64)], []
    for photo, mask in pairs:
        image, labels = read_image(photo), voc.read_mask(mask)
        if image.shape[:2] != labels.shape:
            raise ValueError(
                f"{mask}: {_by(labels)} pixels, its photo has {_by(image)}; use the mask as drawn"
            )
        prediction = segmenter(image)
        times.append(prediction.inference_ms)
        matrices.append(metrics.confusion_matrix(labels, prediction.mask)[None])
    return np.concatenate(matrices), float(np.median(times)) if times else float("nan")


def compare_files(
    path: str | Path,
    reference: Segmenter,
    pairs: Iterable[tuple[Path, Path]],
    min_pixels: int = 1,
) -> dict[str, Any]:
    """What the file at `path` holds, and how its answers differ from those of `reference`.

    Over all (photo, mask) `pairs`, at native size: `logit_difference`, the largest one between
    scores (None where one of the two gives class ids); `changed`, the share of pixels (0..1) with
    another class; `matrices` (N, 21, 21) as `evaluate` gives, and from their sum `accuracy` and
    `miou` (0..1), the latter over classes with `min_pixels` labelled pixels. Taught in chapter 8.
    """
    segmenter = load(path)
    if segmenter.size != reference.size:
        raise ValueError(f"reference is made for {reference.size} pixels, {path} for another size")
    matrices = [np.zeros((0, voc.NUM_CLASSES, voc.NUM_CLASSES), np.int64)]
    changed, pixels, differences = 0, 0, []
    for photo, mask in pairs:
        ours, theirs, difference = _both(segmenter, reference, read_image(photo))
        matrices.append(metrics.confusion_matrix(voc.read_mask(mask), ours)[None])
        changed, pixels = changed + int((ours != theirs).sum()), pixels + ours.size
        differences += [difference] if difference is not None else []
    found = np.concatenate(matrices)
    confusion = found.sum(0)
    return tflite.File(path).summary() | {
        "logit_difference": max(differences, default=None),
        "changed": changed / pixels if pixels else float("nan"),
        "matrices": found,
        "accuracy": metrics.pixel_accuracy(confusion),
        "miou": metrics.mean_iou(confusion, min_pixels),
    }


def _both(
    segmenter: Segmenter, reference: Segmenter, image: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], float | None]:
    """The masks (H, W) of two networks, and the largest difference between their scores if any."""
    box, content = letterbox(image, segmenter.size)
    answers = [model.infer(box) for model in (segmenter, reference)]
    ours, theirs = (unletterbox(a, content, image.shape[:2]) for a in answers)
    comparable = answers[0].shape == answers[1].shape and answers[0].ndim == 3
    return ours, theirs, float(np.abs(answers[0] - answers[1]).max()) if comparable else None


def _by(array: NDArray) -> str:
    return f"{array.shape[1]}×{array.shape[0]}"
