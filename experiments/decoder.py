"""What the decoder does: mIoU, and IoU within a few pixels of a border, with it and without it.

    python experiments/decoder.py

Three networks on the 416 VOC val photos at 513: DeepLabV3 (no decoder), the one that ships
(DeepLabV3+ with a light decoder), and the same network whose low-level features are replaced by
their mean over the photo, so that the decoder runs but sees no edges. The first two differ in
training too (ours began as a copy of V3 and was taught on); the last two differ in nothing else.
About twenty minutes on two cores.
"""

from __future__ import annotations

import argparse

import common
import numpy as np
import scores
from tqdm import tqdm

from segcore import metrics
from segcore._keras import keras
from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import wrap
from segcore.metrics import PhotoMatrices
from segcore.models import checkpoint, deeplab, pretrained

WIDTHS = (1, 2, 4, 8, 16, 32)  # pixels


def without_low_level(plus: keras.Model) -> keras.Model:
    """`plus` with every low-level feature map replaced by its mean; same weights."""
    projected = plus.get_layer("low_projection_relu").output
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True)(projected)
    side = projected.shape[1]
    x = keras.layers.UpSampling2D((side, side), interpolation="nearest")(mean)
    for layer in (layer for layer in plus.layers if layer.name.startswith("decoder1_low")):
        x = layer(x)
    x = plus.get_layer("decoder1_add")([plus.get_layer("encoder_crop").output, x])
    for layer in plus.layers[plus.layers.index(plus.get_layer("decoder1_add")) + 1 :]:
        x = layer(x)
    return keras.Model(plus.inputs, x, name="no_low_level")


def score(network: keras.Model, pairs: common.Pairs) -> list[PhotoMatrices]:
    """Matrices of `network` over all pixels, and inside trimaps of each width."""
    segmenter, found = wrap(network, network.name), []
    for photo, label in tqdm(pairs, unit="photo", desc=network.name):
        labels, mask = voc.read_mask(label), segmenter(read_image(photo)).mask
        bands = [metrics.boundary_confusion(labels, mask, width) for width in WIDTHS]
        found.append([metrics.confusion_matrix(labels, mask), *bands])
    kinds = ("", *(f"_within_{width}" for width in WIDTHS))
    return [
        PhotoMatrices(scores.photo_names(pairs), each, model=f"decoder_{network.name}{kind}")
        for kind, each in zip(kinds, np.swapaxes(np.array(found), 0, 1), strict=True)
    ]


def rows(
    found: list[PhotoMatrices], first: list[PhotoMatrices], options: argparse.Namespace
) -> common.Row:
    """Scores over all pixels, and those of each trimap; differences to `first`, DeepLabV3."""
    whole, *near = [
        scores.keep(one, options, other) for one, other in zip(found, first, strict=True)
    ]
    return whole | {f"within_{width}": row for width, row in zip(WIDTHS, near, strict=True)}


if __name__ == "__main__":
    options = common.options(__doc__)
    pairs, v3 = common.val_pairs(options), deeplab.deeplab_v3()
    checkpoint.load_weights(v3, options.shared / common.DEEPLAB_V3)
    networks = (v3, pretrained.load(), without_low_level(pretrained.load()))
    found = {network.name: score(network, pairs) for network in networks}
    values = {name: rows(each, found[v3.name], options) for name, each in found.items()}
    common.record("decoder", values, options)
