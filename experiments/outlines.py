"""Four ways to be wrong about the same part of the pixels, on 2,895 official VOC 2012 masks.

    python experiments/outlines.py

Each way is made stronger until accuracy falls to the course paper's 83 %; what mean IoU is left
tells the ways apart. Expected in per cent: outlines shifted 47, shrunk 35, objects missed 40,
misnamed 27. Some minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import common
import numpy as np
import scores
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from tqdm import tqdm

from segcore import metrics
from segcore.course import results
from segcore.data import voc
from segcore.metrics import PhotoMatrices

STRENGTHS: dict[str, tuple[float, ...]] = {
    "shifted": (32, 36, 40, 44, 48),  # pixels down and right
    "shrunk": (36, 39, 42, 45, 48),  # pixels taken off every edge to the background
    "missed": (0.60, 0.62, 0.64, 0.66, 0.68),  # part of the masks that is left empty
    "misnamed": (0.60, 0.62, 0.64, 0.66, 0.68),  # part of the masks whose objects change class
}


def corrupt(
    labels: NDArray[np.uint8], depth: NDArray, chance: float
) -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
    """(way, number of its strength, `labels` made wrong in that way); `labels` hold no void.

    `depth` is each pixel's distance to the background, `chance` decides which masks are hit.
    """
    for number, pixels in enumerate(STRENGTHS["shifted"]):
        edge = int(pixels)
        padded = np.pad(labels, ((edge, 0), (edge, 0)), "edge")
        yield "shifted", number, padded[: len(labels), : labels.shape[1]]
    for number, pixels in enumerate(STRENGTHS["shrunk"]):
        yield "shrunk", number, np.where(depth > pixels, labels, 0).astype(np.uint8)
    others = {"missed": 0 * labels, "misnamed": np.where(labels, labels % 20 + 1, 0)}
    for way, wrong in others.items():
        for number, part in enumerate(STRENGTHS[way]):
            yield way, number, labels if chance >= part else wrong.astype(np.uint8)


def matrices(paths: list[Path]) -> dict[str, NDArray[np.int32]]:
    """way → (strengths, masks, 21, 21) counts; void takes its nearest pixel's class."""
    counts = {
        way: np.zeros((len(steps), len(paths), 21, 21), np.int32)
        for way, steps in STRENGTHS.items()
    }
    chances = np.random.default_rng(0).permutation(len(paths)) / len(paths)
    for mask, path in enumerate(tqdm(paths, unit="mask")):
        labels = voc.read_mask(path)
        if (labels == voc.VOID).all():
            continue
        near = distance_transform_edt(
            labels == voc.VOID, return_distances=False, return_indices=True
        )
        whole = labels[tuple(near)]
        depth = distance_transform_edt(whole > 0) if whole.any() else np.zeros(whole.shape)
        for way, number, wrong in corrupt(whole, depth, chances[mask]):
            counts[way][number, mask] = metrics.confusion_matrix(labels, wrong)
    return counts


def closest(counts: NDArray[np.int32], target: float) -> int:
    """Which strength's accuracy lies nearest to `target` (0..1)."""
    accuracies = metrics.pixel_accuracies(counts.sum(1, dtype=np.int64))
    return int(np.argmin(np.abs(accuracies - target)))


if __name__ == "__main__":
    options = common.options(__doc__)
    target = results.get("paper.table2.keras.accuracy") / 100
    masks = common.official_masks(options.shared)
    found: common.Row = {"masks": len(masks)}
    for way, counts in matrices(masks).items():
        best = closest(counts, target)
        names = tuple(path.stem for path in masks)
        kept = PhotoMatrices(names, counts[best].astype(np.int64), model=f"outlines_{way}")
        found[way] = scores.keep(kept, options) | {"step": STRENGTHS[way][best]}
    common.record("outlines", found, options, seed=0)
