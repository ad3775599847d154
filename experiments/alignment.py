"""What a misalignment of half a feature costs: the same weights in four geometries.

    python experiments/alignment.py

Sizes of 16k put feature i on pixel 16i+15, where plain bilinear upsampling believes in 16i+7.5.
Sizes of 16k+1 put it on pixel 16i; plain upsampling stretches the feature map there, and is right
in the middle and half a feature off at both ends. On the 416 VOC val photos, all 21 classes; each
geometry is compared with the aligned one of its size. To expect: plain 512 and 256 lose most,
shifting gives most of that back. About forty minutes on two cores.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import common
import numpy as np
import scores
from numpy.typing import NDArray
from tqdm import tqdm

from segcore import shipped
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


def score(network: keras.Model, pairs: common.Pairs, pixels: int, name: str) -> PhotoMatrices:
    """Matrices of `network` on `pairs`, its answers shifted by `pixels`."""
    segmenter = wrap(network, network.name)
    moved = replace(segmenter, infer=lambda box: shifted(segmenter.infer(box), pixels))
    return scores.score(moved, pairs, name)


def networks(size: int, aligned: bool, shared: Path) -> tuple[keras.Model, keras.Model]:
    """DeepLabV3 and V3+ in one geometry, with their weights."""
    v3 = deeplab.deeplab_v3(size, aligned=aligned)
    checkpoint.load_weights(v3, shared / common.DEEPLAB_V3)
    plus = deeplab.deeplab_v3_plus(size, config=deeplab.DeepLabConfig(aligned=aligned))
    same = checkpoint.read_weights(shipped.FLOAT.file, 513)  # whatever the size
    checkpoint.load_weights(plus, same)
    return v3, plus


if __name__ == "__main__":
    options = common.options(__doc__)
    pairs = common.val_pairs(options)
    values: dict[str, dict[str, common.Row]] = {"deeplab_v3": {}, "deeplab_v3_plus": {}}
    right: dict[str, PhotoMatrices] = {}
    for name, (size, aligned, pixels) in tqdm(GEOMETRIES.items(), unit="geometry"):
        for network in networks(size, aligned, options.shared):
            of = network.name
            found = score(network, pairs, pixels, f"alignment_{of}_{name}")
            if aligned:
                right[of] = found
            row = values[of][name] = scores.keep(found, options, right[of])
            tqdm.write(f"{of} {name} {row['miou']}")
    common.record("alignment", values, options)
