"""What darkness costs on the 416 VOC val photos, and what training in the dark gives back.

    python experiments/low_light.py

Each photo is darkened as a sensor would (segcore.data.low_light), to a quarter, a 16th and a 64th
of its light, and shown to the network at 257 pixels in four ways: `dim`, less light without noise;
`dark`, with noise, as taken; `late`, that picture brightened afterwards; `lifted`, brightened by
the camera before it became bytes. Two networks are scored: the shipped one, and a copy trained on
darkened photos to give the scores that the shipped one gives in full light. No label is used, batch
norm is frozen, and the learning rate is low on purpose: at 1e-4 even 80 steps cost 7 mIoU in full
light. To expect: the dark costs a third to a half at a 64th of the light, and a hundred steps give
a part of that back. About an hour on two cores.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np
import scores
from numpy.typing import NDArray
from scipy.special import softmax
from tqdm import tqdm

from segcore import metrics
from segcore._keras import keras
from segcore.data import low_light, voc
from segcore.data.images import letterbox, read_image, signed
from segcore.data.srgb import to_bytes, to_light
from segcore.inference.segmenter import wrap
from segcore.metrics import PhotoMatrices
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
    named = [photo for photo in common.calibration(shared).photos if isinstance(photo, Path)]
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


def score(name: str, network: keras.Model, pairs: common.Pairs) -> dict[str, PhotoMatrices]:
    """Matrices in full light, and of each kind and light."""
    segmenter = wrap(network, name)
    ways = {"full": lambda photo: photo} | {
        f"{kind}_{name}": lambda photo, change=change, part=part: change(photo, part)
        for kind, change in KINDS.items()
        for name, part in LIGHTS.items()
    }
    found: dict[str, list[NDArray[np.int64]]] = {light: [] for light in ways}
    for path, mask in tqdm(pairs, unit="photo", leave=False):
        photo, labels = read_image(path), voc.read_mask(mask)
        for light, way in ways.items():
            found[light].append(metrics.confusion_matrix(labels, segmenter(way(photo)).mask))
    names = scores.photo_names(pairs)
    return {
        light: PhotoMatrices(names, np.stack(each), model=f"low_light_{name}_{light}")
        for light, each in found.items()
    }


def main() -> None:
    options = common.options(__doc__)
    pairs, photos = common.val_pairs(options), boxes(options.shared)
    values: common.Row = {"photos": len(pairs), "steps": len(photos) // BATCH, "size": SIZE}
    keras.utils.set_random_seed(SEED)
    found: dict[str, dict[str, PhotoMatrices]] = {}
    for name, make in (
        ("shipped", lambda: pretrained.load(SIZE)),
        ("in_dark", lambda: trained(photos)),
    ):
        found[name] = score(name, make(), pairs)
        values[name] = {
            light: scores.keep(one, options, found["shipped"][light])
            for light, one in found[name].items()
        }
    common.record("low_light", values, options, SEED)


if __name__ == "__main__":
    main()
