"""What darkness costs on the 40 VOC val photos, and what training in the dark gives back.

    python experiments/low_light.py

Each photo is darkened as a sensor would (segcore.data.low_light), to a quarter, a 16th and a 64th
of its light, and shown to the network at 257 pixels in four ways: `dim`, less light without noise;
`dark`, with noise, as taken; `late`, that picture brightened afterwards; `lifted`, brightened by
the camera before it became bytes. Two networks are scored: the shipped one, and a copy trained on
darkened photos to give the scores that the shipped one gives in full light. No label is used, batch
norm is frozen, and the learning rate is low on purpose: at 1e-4 even 80 steps cost 7 mIoU in full
light. Expected of the first checkpoint: 66.0 in full light; at a 64th 38.1 dim, 29.5 dark, 35.2
lifted; after 100 steps in the dark 63.1 in full light, 31.4 dark and 42.4 lifted. About six
minutes on two cores. Both were chosen among two by a look at these same 40 photos.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from tqdm import tqdm

from segcore import metrics
from segcore._keras import keras
from segcore.data import low_light, voc
from segcore.data.images import letterbox, read_image, signed
from segcore.data.srgb import to_bytes, to_light
from segcore.inference.segmenter import wrap
from segcore.models import pretrained
from segcore.training import batch_norm
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit
from segcore.training.losses import Distillation

SIZE, PHOTOS, BATCH, SEED = 257, 400, 4, 0
RECIPE = Recipe(epochs=1, learning_rate=2e-5, loss=Distillation())  # 100 steps
LIGHTS = {"4": 1 / 4, "16": 1 / 16, "64": 1 / 64}  # named by the fraction's denominator
KINDS = {
    "dim": lambda photo, part: low_light.darken(photo, part, noise=False),
    "dark": lambda photo, part: low_light.darken(photo, part),
    "late": lambda photo, part: brightened(low_light.darken(photo, part), 1 / part),
    "lifted": lambda photo, part: low_light.darken(photo, part, gain=1 / part),
}


def brightened(photo: NDArray[np.uint8], gain: float) -> NDArray[np.uint8]:
    """`photo` with its light multiplied in software: what was rounded to a byte stays rounded."""
    return to_bytes(to_light(photo, np.float32) * gain)


def boxes(shared: Path, count: int = PHOTOS) -> NDArray[np.uint8]:
    """Letterboxed training photos (count, SIZE, SIZE, 3) uint8: VOC train and unlabelled ones."""
    named = [photo for photo, _ in voc.file_pairs(shared / "voc", "train")]
    free = sorted((shared / "voc" / "unlabelled").rglob("*.jpg"))
    drawn = np.random.default_rng(SEED).choice(len(free), count - len(named), replace=False)
    paths = named + [free[i] for i in sorted(drawn)]
    return np.stack([letterbox(read_image(path), SIZE)[0] for path in paths])


def darkened(rng: np.random.Generator, photos: NDArray, answers: NDArray) -> tuple:
    """Photos mirrored by chance, with a 64th to all of their light, and the answers to them."""
    step = rng.choice([-1, 1])
    parts = np.exp(rng.uniform(np.log(1 / 64), 0, len(photos)))
    gains = (1 / parts) ** rng.uniform(0, 1, len(photos))
    seed = int(rng.integers(2**31))
    several = zip(photos[:, :, ::step], parts, gains, strict=True)
    dark = np.stack([low_light.darken(*each, seed=seed) for each in several])
    return signed(dark), answers[:, :, ::step]


def trained(photos: NDArray[np.uint8]) -> keras.Model:
    """A copy of the shipped network after an epoch in the dark, taught by the shipped one.

    They are compared at every eighth pixel, where the shipped one's answers are kept.
    """
    network = pretrained.load(SIZE)
    batch_norm.freeze(network)
    coarse = keras.Model(network.input, network.output[:, ::8, ::8])
    coarse.compile(jit_compile=False)
    answers = [softmax(coarse.predict_on_batch(signed(photo[None])), -1) for photo in photos]
    fit(coarse, Batches((photos, np.concatenate(answers)), BATCH, SEED, darkened), RECIPE)
    return network


def score(network: keras.Model, pairs: common.Pairs) -> common.Row:
    """mIoU, 0..1, in full light, and of each kind and light."""
    segmenter = wrap(network, network.name)
    ways = {"full": lambda photo: photo} | {
        f"{kind}_{name}": lambda photo, change=change, part=part: change(photo, part)
        for kind, change in KINDS.items()
        for name, part in LIGHTS.items()
    }
    totals = dict.fromkeys(ways, np.zeros((voc.NUM_CLASSES, voc.NUM_CLASSES), np.int64))
    for path, mask in tqdm(pairs, unit="photo", leave=False):
        photo, labels = read_image(path), voc.read_mask(mask)
        for name, way in ways.items():
            found = metrics.confusion_matrix(labels, segmenter(way(photo)).mask)
            totals[name] = totals[name] + found
    return {
        name: common.fraction(metrics.mean_iou(total, metrics.MIN_PIXELS))
        for name, total in totals.items()
    }


def main() -> None:
    options = common.options(__doc__)
    pairs, photos = common.val_pairs(options.shared), boxes(options.shared)
    values: common.Row = {"photos": len(pairs), "steps": len(photos) // BATCH, "size": SIZE}
    keras.utils.set_random_seed(SEED)
    for name, make in (
        ("shipped", lambda: pretrained.load(SIZE)),
        ("in_dark", lambda: trained(photos)),
    ):
        values[name] = score(make(), pairs)
        print(name, values[name], flush=True)
    common.record("low_light", values, options, SEED)


if __name__ == "__main__":
    main()
