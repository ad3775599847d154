"""What a misalignment of half a feature costs: the same weights in four geometries.

    python experiments/alignment.py

Sizes of 16k put feature i on pixel 16i+15, where plain bilinear upsampling believes in 16i+7.5.
Sizes of 16k+1 put it on pixel 16i; plain upsampling stretches the feature map there, and is right
in the middle and half a feature off at both ends. DeepLabV3 on the 416 VOC val photos, all 21
classes; each geometry is compared with the aligned one of its size. To expect: plain 512 and 256
lose most, shifting gives most of that back. About fifteen minutes on two cores.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import common
import numpy as np
import scores
from numpy.typing import NDArray
from tqdm import tqdm

from segcore._keras import keras
from segcore.inference.segmenter import wrap
from segcore.metrics import PhotoMatrices
from segcore.models import checkpoint, deeplab

GEOMETRIES = {  # name: size, aligned upsampling, pixels that the answer is shifted by afterwards
    "513_aligned": (513, True, 0),  # the right ones first: the others are compared with them
    "513_plain": (513, False, 0),
    "512_plain": (512, False, 0),
    "512_shifted": (512, False, 7),
    "257_aligned": (257, True, 0),
    "257_plain": (257, False, 0),
    "256_plain": (256, False, 0),
    "256_shifted": (256, False, 7),
}


def shifted(logits: NDArray, pixels: int) -> NDArray:
    """`logits` (S, S, C) moved right and down by `pixels`, the edge repeated."""
    padded = np.pad(logits, ((pixels, 0), (pixels, 0), (0, 0)), mode="edge")
    return padded[: len(logits), : len(logits)]


def score(trained: keras.Model, pairs: common.Pairs, pixels: int, name: str) -> PhotoMatrices:
    """Matrices of `trained` on `pairs`, its answers shifted by `pixels`."""
    segmenter = wrap(trained, trained.name)
    moved = replace(segmenter, infer=lambda box: shifted(segmenter.infer(box), pixels))
    return scores.score(moved, pairs, name)


def network(size: int, aligned: bool, shared: Path) -> keras.Model:
    """DeepLabV3 in one geometry, with its weights."""
    v3 = deeplab.deeplab_v3(size, aligned=aligned)
    checkpoint.load_weights(v3, shared / common.DEEPLAB_V3)
    return v3


if __name__ == "__main__":
    options = common.options(__doc__)
    pairs = common.val_pairs(options)
    rows: dict[str, common.Row] = {}
    right: PhotoMatrices | None = None
    for name, (size, aligned, pixels) in tqdm(GEOMETRIES.items(), unit="geometry"):
        found = score(network(size, aligned, options.shared), pairs, pixels, f"alignment_{name}")
        right = found if aligned else right
        rows[name] = scores.keep(found, options, right)
        tqdm.write(f"{name} {rows[name]['miou']}")
    common.record("alignment", {"deeplab_v3": rows}, options)
