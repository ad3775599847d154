"""What a broken preprocessing costs: six mistakes, each alone, on the 416 VOC val photos.

    python experiments/contract.py

The shipped network at 257 pixels sees each photo as it was promised (`right`); with red and blue
exchanged (`bgr`); with values from 0 to 1 (`half_range`); squeezed into the square (`squeezed`);
shrunk by the nearest pixel, without smoothing (`nearest`); with the photo in the middle of the grey
while the answer is cut from the corner (`centred`); lying on its side, as a phone's sensor delivers
it (`sideways`; the mask is turned back). Expected: sideways and centred cost most, nearest pixels
least. About fifteen minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import common
import numpy as np
import scores
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from segcore import metrics
from segcore.data import voc
from segcore.data.images import letterbox, read_image, unletterbox
from segcore.inference.segmenter import Segmenter, load
from segcore.metrics import PhotoMatrices

Pixels = NDArray[np.uint8]
Box = tuple[Pixels, tuple[int, int]]  # what `letterbox` gives
Way = Callable[[Pixels, int], Box]


def resized(image: Pixels, w: int, h: int, method: Image.Resampling) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((w, h), method))


def bgr(image: Pixels, size: int) -> Box:
    return letterbox(np.ascontiguousarray(image[..., ::-1]), size)


def half_range(image: Pixels, size: int) -> Box:
    box, content = letterbox(image, size)
    return (box // 2 + 128).astype(np.uint8), content


def squeezed(image: Pixels, size: int) -> Box:
    return resized(image, size, size, Image.Resampling.BILINEAR), (size, size)


def nearest(image: Pixels, size: int) -> Box:
    box, (h, w) = letterbox(image, size)
    box[:h, :w] = resized(image, w, h, Image.Resampling.NEAREST)
    return box, (h, w)


def centred(image: Pixels, size: int) -> Box:
    box, content = letterbox(image, size)
    return np.roll(box, [(size - side) // 2 for side in content], axis=(0, 1)), content


WAYS: dict[str, Way] = {
    "right": letterbox,
    "bgr": bgr,
    "half_range": half_range,
    "squeezed": squeezed,
    "nearest": nearest,
    "centred": centred,
}


def answer(segmenter: Segmenter, way: Way, image: Pixels) -> Pixels:
    """The mask of `image` (H, W) behind one way of preparing it."""
    box, content = way(image, segmenter.size)
    return unletterbox(segmenter.infer(box), content, image.shape[:2])


def masks(segmenter: Segmenter, image: Pixels) -> Iterator[tuple[str, Pixels]]:
    """(name, mask) of each way; `sideways` turns the photo, and its mask back."""
    for name, way in WAYS.items():
        yield name, answer(segmenter, way, image)
    turned = np.ascontiguousarray(np.rot90(image))
    yield "sideways", np.rot90(answer(segmenter, letterbox, turned), -1)


if __name__ == "__main__":
    options, segmenter = common.options(__doc__), load("float", 257)
    matrices: dict[str, list[NDArray[np.int64]]] = {}
    pairs = common.val_pairs(options)
    for path, label in tqdm(pairs, unit="photo"):
        labels = voc.read_mask(label)
        for name, mask in masks(segmenter, read_image(path)):
            matrices.setdefault(name, []).append(metrics.confusion_matrix(labels, mask))
    names = scores.photo_names(pairs)
    found = {
        name: PhotoMatrices(names, np.stack(each), model=f"contract_{name}")
        for name, each in matrices.items()
    }
    values = {name: scores.keep(one, options, found["right"]) for name, one in found.items()}
    common.record("contract", values, options)
