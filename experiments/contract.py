"""What a broken preprocessing costs: six slips, each alone, on the 40 VOC val photos.

    python experiments/contract.py ../shared

The shipped network at 257 pixels sees each photo as it was promised (`right`); with red and blue
exchanged (`bgr`); with values from 0 to 1 (`half_range`); squeezed into the square (`squeezed`);
shrunk by the nearest pixel, without smoothing (`nearest`); with the photo in the middle of the grey
while the answer is cut from the corner (`centred`); lying on its side, as a phone's sensor delivers
it (`sideways`; the mask is turned back). Expected: sideways and centred cost most, nearest pixels
least. About a minute on two cores.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from segcore import metrics
from segcore.course import results
from segcore.data import voc
from segcore.data.images import letterbox, read_image, unletterbox
from segcore.inference.segmenter import load


def half_range(box, content):
    return (box // 2 + 128).astype(np.uint8), content


def centred(box, content):
    shift = [(len(box) - side) // 2 for side in content]
    return np.roll(box, shift, axis=(0, 1)), content


def resized(image, w, h, method):
    return np.asarray(Image.fromarray(image).resize((w, h), method))


def squeezed(image, size):
    return resized(image, size, size, Image.Resampling.BILINEAR), (size, size)


def nearest(image, size):
    box, (h, w) = letterbox(image, size)
    box[:h, :w] = resized(image, w, h, Image.Resampling.NEAREST)
    return box, (h, w)


WAYS = {
    "right": letterbox,
    "bgr": lambda image, size: letterbox(np.ascontiguousarray(image[..., ::-1]), size),
    "half_range": lambda image, size: half_range(*letterbox(image, size)),
    "squeezed": squeezed,
    "nearest": nearest,
    "centred": lambda image, size: centred(*letterbox(image, size)),
}


def answer(segmenter, way, image):
    """The mask of `image` (H, W) behind one way of preparing it."""
    box, content = way(image, segmenter.size)
    return unletterbox(segmenter.infer(box), content, image.shape[:2])


def masks(segmenter, image):
    """(name, mask) of each way; `sideways` turns the photo, and its mask back."""
    for name, way in WAYS.items():
        yield name, answer(segmenter, way, image)
    turned = np.ascontiguousarray(np.rot90(image))
    yield "sideways", np.rot90(answer(segmenter, letterbox, turned), -1)


if __name__ == "__main__":
    segmenter = load("float", 257)
    totals: dict = {}
    pairs = voc.file_pairs(Path(sys.argv[1]) / "voc")
    for path, label in tqdm(pairs, unit="photo"):
        labels = voc.read_mask(label)
        for name, mask in masks(segmenter, read_image(path)):
            totals[name] = totals.get(name, 0) + metrics.confusion_matrix(labels, mask)
    scores = {name: metrics.summary(total) for name, total in totals.items()}
    values = {
        name: {key: score[key] for key in ("miou", "accuracy")} for name, score in scores.items()
    }
    print(results.record("contract", {"photos": len(pairs), **values}))
    print(values)
