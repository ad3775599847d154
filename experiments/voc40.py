"""The shipped network and Google's, scored by one evaluator on the 40 VOC val photos at hand.

    python experiments/voc40.py

Expected mIoU in per cent: 76.0 at 513 and 68.1 at 257 (66.0 with the layers of 513), Google's uint8
file 74.9 (width 1.0) and 66.5 (0.5), over the 12 classes with 20,000 labelled pixels or more. About
a minute on two cores. Beside them stand two numbers that look like mIoU and are not: the mean over
photos, and a score that counts void as background.
"""

from __future__ import annotations

import common
import numpy as np
from tqdm import tqdm

from segcore import metrics, shipped
from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import Segmenter, load, wrap
from segcore.models import checkpoint, deeplab


def score(segmenter: Segmenter, pairs: common.Pairs) -> common.Row:
    """Scores of one network, the mistaken ones too."""
    right, void_counts, times = [], [], []
    for photo, label in tqdm(pairs, unit="photo", desc=segmenter.name[-30:]):
        labels, prediction = voc.read_mask(label), segmenter(read_image(photo))
        right.append(metrics.confusion_matrix(labels, prediction.mask))
        as_background = np.where(labels == voc.VOID, 0, labels)
        void_counts.append(metrics.confusion_matrix(as_background, prediction.mask))
        times.append(prediction.inference_ms)
    return common.score_row(np.stack(right)) | {
        "mean_over_photos": common.fraction(metrics.mean_ious(np.stack(right)).mean()),
        "void_as_background": common.score_row(np.stack(void_counts))["miou"],
        "p50_ms": round(float(np.median(times)), 1),
    }


def same_layers_at_257() -> Segmenter:
    """The network at 257 with what it has for 513: as it was before results/voc21.json."""
    network = deeplab.deeplab_v3_plus(257)
    checkpoint.load_weights(network, checkpoint.read_weights(shipped.FLOAT.file, 513))
    return wrap(network, "layers of 513")


def background_baseline(pairs: common.Pairs) -> common.Row:
    """What a network scores that says "background" everywhere."""
    masks = [voc.read_mask(label) for _, label in pairs]
    return common.score_row(
        np.stack([metrics.confusion_matrix(mask, np.zeros_like(mask)) for mask in masks])
    )


if __name__ == "__main__":
    options = common.options(__doc__)
    pairs = common.val_pairs(options.shared)
    networks = {
        "shipped_513": load("float", 513),
        "shipped_257": load("float", 257),
        "one_set_257": same_layers_at_257(),
        **{name: load(path) for name, path in common.google(options.shared).items()},
    }
    values: common.Row = {"photos": len(pairs), "background": background_baseline(pairs)}
    values |= {name: score(segmenter, pairs) for name, segmenter in networks.items()}
    common.record("voc40", values, options)
