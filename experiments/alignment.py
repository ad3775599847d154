"""What half a cell costs: the same weights in four geometries, on the 40 VOC val photos.

    python experiments/alignment.py ../shared

Sizes of 16k put feature cell i on pixel 16i+15, where plain bilinear upsampling believes in
16i+7.5. Sizes of 16k+1 put it on pixel 16i; plain upsampling stretches the map there, and is right
in the middle and half a cell off at both ends. Expected for DeepLabV3, mIoU over 12 classes: 512
plain 69.2, 512 shifted 75.3, 513 plain 73.2, 513 aligned 74.8, 256 plain 53.2, 257 aligned 65.5.
About four minutes on two cores.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segcore import metrics, shipped
from segcore.course import results
from segcore.data import voc
from segcore.inference.evaluate import evaluate
from segcore.inference.segmenter import wrap
from segcore.models import checkpoint, deeplab

GEOMETRIES = {  # name: size, aligned upsampling, pixels that the answer is shifted by afterwards
    "512_plain": (512, False, 0),
    "512_shifted": (512, False, 7),
    "513_plain": (513, False, 0),
    "513_aligned": (513, True, 0),
    "256_plain": (256, False, 0),
    "256_shifted": (256, False, 7),
    "257_plain": (257, False, 0),
    "257_aligned": (257, True, 0),
}


def shifted(logits, pixels):
    """`logits` (S, S, C) moved right and down by `pixels`, the edge repeated."""
    padded = np.pad(logits, ((pixels, 0), (pixels, 0), (0, 0)), mode="edge")
    return padded[: len(logits), : len(logits)]


def score(network, pairs, pixels):
    """mIoU and accuracy of `network` on `pairs`, its answers shifted by `pixels`."""
    segmenter = wrap(network, network.name)
    moved = replace(segmenter, infer=lambda box: shifted(segmenter.infer(box), pixels))
    summary = metrics.summary(evaluate(moved, pairs)[0])
    return {key: summary[key] for key in ("miou", "accuracy")}


def networks(size, aligned, shared):
    """DeepLabV3 and V3+ in one geometry, with their weights."""
    v3 = deeplab.deeplab_v3(size, aligned=aligned)
    checkpoint.load_weights(v3, shared / "weights" / "deeplabv3_mnv2_coco_voc.npz")
    plus = deeplab.deeplab_v3_plus(size, wiring=deeplab.Wiring(aligned=aligned))
    same = checkpoint.read_weights(shipped.FLOAT.file, 513)  # whatever the size
    checkpoint.load_weights(plus, same)
    return v3, plus


if __name__ == "__main__":
    shared = Path(sys.argv[1])
    pairs = voc.file_pairs(shared / "voc")
    values: dict = {"deeplab_v3": {}, "deeplab_v3_plus": {}}
    for name, (size, aligned, pixels) in tqdm(GEOMETRIES.items(), unit="geometry"):
        for network in networks(size, aligned, shared):
            values[network.name][name] = score(network, pairs, pixels)
            tqdm.write(f"{network.name} {name} {values[network.name][name]}")
    print(results.record("alignment", values))
