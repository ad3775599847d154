"""What stands in 2,895 official VOC 2012 masks: class frequencies, void, and two classic mistakes.

    python experiments/voc_masks.py

Expected: 73 % of the labelled pixels are background, 5 % of all pixels are void. About a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import common
import numpy as np
import scores
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from segcore.data import voc
from segcore.metrics import PhotoMatrices

SIDE = 257


def invented(mask: NDArray[np.uint8]) -> float:
    """Part of the pixels whose class is nowhere in `mask`, once its ids are resized bilinearly."""
    resized = np.asarray(Image.fromarray(mask).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return float(1 - np.isin(resized, np.unique(mask)).mean())


def statistics(paths: list[Path], options: argparse.Namespace) -> common.Row:
    """Counts over all masks, in pixels and photos, and fractions of them."""
    counts = np.zeros((len(paths), 256), np.int64)
    invented_parts = np.zeros(len(paths))
    for number, path in enumerate(tqdm(paths, unit="mask")):
        mask = voc.read_mask(path)
        counts[number] = np.bincount(mask.ravel(), minlength=256)
        invented_parts[number] = invented(mask)
    pixels, present = counts.sum(0), counts[:, :21] > 0
    baseline = np.zeros((len(paths), 21, 21), np.int64)
    baseline[:, :, 0] = counts[:, :21]
    names = tuple(path.stem for path in paths)
    answered = PhotoMatrices(names, baseline, model="voc_masks_background")
    by_class = dict(zip(voc.CLASSES, pixels[:21].tolist(), strict=True))
    labelled = sum(by_class.values())
    return {
        "masks": len(paths),
        "void_fraction": common.fraction(pixels[voc.VOID] / pixels.sum()),
        "fraction": {name: common.fraction(n / labelled) for name, n in by_class.items()},
        "photos": dict(zip(voc.CLASSES, present.sum(0).tolist(), strict=True)),
        "background_baseline": scores.keep(answered, options),
        "bilinear_invented_fraction": common.fraction(invented_parts.mean()),
        "bilinear_masks_hit_fraction": common.fraction((invented_parts > 0).mean()),
        "classes_per_photo": round(float(present[:, 1:].sum(1).mean()), 2),
        "rarest": min(by_class, key=lambda name: by_class[name]),
        "imbalance": round(float(pixels[0] / pixels[1:21].min())),
    }


if __name__ == "__main__":
    options = common.options(__doc__)
    common.record("voc_masks", statistics(common.official_masks(options.shared), options), options)
