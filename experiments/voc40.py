"""The shipped network and Google's, scored by one evaluator on the 40 VOC val photos at hand.

    python experiments/voc40.py ../shared

Expected: 76.0 mIoU at 513 and 68.1 at 257 (66.0 with the layers of 513), Google's uint8 file 74.9
(width 1.0) and 66.5 (0.5), over the 12 classes with 20,000 labelled pixels or more. About a minute
on two cores. Beside them stand two numbers that look like mIoU and are not: the mean over photos,
and a score that counts void as background.
"""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from segcore import metrics, shipped
from segcore.course import results
from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import load, wrap
from segcore.models import checkpoint, deeplab

GOOGLE = "reference/deeplabv3_mnv2_{}pascal_quant.tflite"


def score(segmenter, pairs):
    """Scores of one network in percent, the mistaken ones too."""
    right, void_counts, photo_means, times = 0, 0, [], []
    for photo, label in tqdm(pairs, unit="photo", desc=segmenter.name[-30:]):
        labels, prediction = voc.read_mask(label), segmenter(read_image(photo))
        confusion = metrics.confusion_matrix(labels, prediction.mask)
        as_background = np.where(labels == voc.VOID, 0, labels)
        right = right + confusion
        void_counts = void_counts + metrics.confusion_matrix(as_background, prediction.mask)
        photo_means.append(metrics.mean_iou(confusion))
        times.append(prediction.inference_ms)
    mistakes = {
        "mean_over_photos": round(100 * float(np.mean(photo_means)), 2),
        "void_as_background": metrics.summary(void_counts)["miou"],
    }
    return metrics.summary(right) | mistakes | {"median_ms": round(float(np.median(times)), 1)}


def same_layers_at_257():
    """The network at 257 with what it has for 513: as it was before experiments/voc21.py."""
    network = deeplab.deeplab_v3_plus(257)
    checkpoint.load_weights(network, checkpoint.read_weights(shipped.FLOAT.file, 513))
    return wrap(network, "one set of layers")


def background_baseline(pairs):
    """What a network scores that says "background" everywhere."""
    confusion = 0
    for _, label in pairs:
        labels = voc.read_mask(label)
        confusion = confusion + metrics.confusion_matrix(labels, np.zeros_like(labels))
    return metrics.summary(confusion)


if __name__ == "__main__":
    shared = Path(sys.argv[1])
    pairs = voc.file_pairs(shared / "voc")
    values = {
        "photos": len(pairs),
        "background": background_baseline(pairs),
        "shipped_513": score(load("float", 513), pairs),
        "shipped_257": score(load("float", 257), pairs),
        "one_set_257": score(same_layers_at_257(), pairs),
        "google_513": score(load(shared / GOOGLE.format("")), pairs),
        "google_half_513": score(load(shared / GOOGLE.format("dm05_")), pairs),
    }
    print(results.record("voc40", values))
