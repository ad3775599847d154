"""What the decoder does: mIoU, and IoU within a few pixels of a border, with it and without it.

    python experiments/decoder.py ../shared

Three networks on the 40 VOC val photos at 513: DeepLabV3 (no decoder), DeepLabV3+ (shipped), and
the same DeepLabV3+ whose low-level features are replaced by their mean over the photo, so that the
decoder runs but sees no edges. The first two differ in training too (V3+ began as a copy of V3 and
was fine-tuned); the last two differ in nothing else. About three minutes on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segcore import metrics
from segcore._keras import keras
from segcore.course import results
from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import wrap
from segcore.models import checkpoint, deeplab, pretrained

WIDTHS = (1, 2, 4, 8, 16, 32)  # pixels


def without_low_level(plus):
    """`plus` with every low-level feature map replaced by its mean; same weights."""
    projected = plus.get_layer("low_projection_relu").output
    mean = keras.layers.GlobalAveragePooling2D(keepdims=True)(projected)
    side = projected.shape[1]
    flat = keras.layers.UpSampling2D((side, side), interpolation="nearest")(mean)
    x = plus.get_layer("decoder_concat")([plus.get_layer("encoder_crop").output, flat])
    start = plus.layers.index(plus.get_layer("decoder1_depthwise"))
    for layer in plus.layers[start:]:
        x = layer(x)
    return keras.Model(plus.inputs, x, name="no_low_level")


def score(network, pairs):
    """mIoU of `network` in percent, over all pixels and inside bands of each width."""
    segmenter = wrap(network, network.name)
    total, bands = 0, dict.fromkeys(WIDTHS, 0)
    for photo, label in tqdm(pairs, unit="photo", desc=network.name):
        labels, mask = voc.read_mask(label), segmenter(read_image(photo)).mask
        total = total + metrics.confusion_matrix(labels, mask)
        for width in WIDTHS:
            bands[width] = bands[width] + metrics.boundary_confusion(labels, mask, width)
    enough = total.sum(1) >= metrics.MIN_PIXELS
    boundary = {
        f"within_{width}": round(100 * float(np.nanmean(metrics.iou(band)[enough])), 2)
        for width, band in bands.items()
    }
    return {"miou": metrics.summary(total)["miou"], **boundary}


if __name__ == "__main__":
    shared = Path(sys.argv[1])
    pairs = voc.file_pairs(shared / "voc")
    v3 = deeplab.deeplab_v3()
    checkpoint.load_weights(v3, shared / "weights" / "deeplabv3_mnv2_coco_voc.npz")
    plus = pretrained.load()
    networks = (v3, plus, without_low_level(pretrained.load()))
    print(results.record("decoder", {network.name: score(network, pairs) for network in networks}))
