"""The networks that ship, trained: DeepLabV3 is taught to be DeepLabV3+, at 257 and at 513.

    python experiments/voc_teacher.py
    python experiments/voc_train.py --size 257
    python experiments/voc_train.py --size 513

The student starts as an exact copy of DeepLabV3 (`models.surgery`) and imitates what a better view
said (`voc_teacher`): Hinton's distillation, mixed with the labels where there are any. Its batch
norm is folded into the kernels first: frozen it is a constant factor, and a step costs a third
less. Everything learns; photos of rare classes are drawn more often (repeat factors, Gupta et al.
2019, LVIS, section 4), and every second one is without a mask. Scores during the run tell how far
it agrees with the teacher on the 200 photos without masks that are held apart, the comparison in
the end is of the 132 with masks; nothing here reads a val photo. A run that was killed goes on by
itself.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import common
import numpy as np
import scores
import voc_teacher
from numpy.typing import NDArray
from PIL import Image

from segcore._keras import keras
from segcore.data import voc
from segcore.data.augment import Augmentation, bilinear, draw, jitter, nearest
from segcore.data.augment import View as Light
from segcore.data.images import PAD
from segcore.inference.segmenter import load, wrap
from segcore.models import checkpoint, deeplab, surgery
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit
from segcore.training.losses import Distillation

SEED = 0
STEP = 4  # pixels between two of the student's scores
LABELS = 0.25  # what a label weighs beside the teacher
RARE = 0.1  # photos with a class that fewer of them show are drawn more often
STEPS = 300  # of an epoch, after which a run is saved
RECIPES = {
    257: Recipe(14, 8e-4, "sgd", warmup=100, clip=6.0, average=0.995, loss=Distillation()),
    513: Recipe(5, 2e-4, "sgd", warmup=100, clip=6.0, average=0.995, loss=Distillation()),
}
BATCH = {257: 8, 513: 4}
SCALES = {257: (0.7, 1.6), 513: (0.85, 1.4)}
layers = keras.layers
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Views:
    """A batch for the student: the `change` of `Batches`.

    Random views of photos that are drawn anew, each with its `chances`; without chances the photos
    asked for, whole, letterboxed, and labels alone, the teacher's where there are none. Images are
    (B, S, S, 3) float32; targets at every fourth pixel, probabilities (B, G, G, 21) or ids
    (B, G, G). `source` stands for the photos and the teacher in the identity of a run.
    """

    size: int
    source: int
    pool: voc_teacher.Pool = field(repr=False)
    chances: NDArray[np.float64] | None = field(default=None, repr=False)
    scales: tuple[float, float] = (1.0, 1.0)
    labels: float = LABELS

    @property
    def plain(self) -> bool:
        """Whether photos come as they are."""
        return self.chances is None

    def __call__(self, rng: np.random.Generator, chosen: NDArray[np.intp]) -> tuple:
        """A batch as large as `chosen` (B,), or of the photos with these indices."""
        if self.chances is not None:
            chosen = rng.choice(len(self.chances), len(chosen), p=self.chances)
        images, targets = zip(*(self.view(rng, int(index)) for index in chosen), strict=True)
        return np.stack(images), np.stack(targets)

    def view(self, rng: np.random.Generator, index: int) -> tuple[NDArray, NDArray]:
        """One view: a crop where the scaled photo is larger than it, else at the top left."""
        content, scale, flip = self.pool.contents[index], self.size / voc_teacher.BOX, False
        if not self.plain:
            scale *= np.exp(rng.uniform(*np.log(self.scales)))
            flip = rng.random() < 0.5
        crop = np.minimum(content, self.size / scale)
        h, w = (min(round(float(side * scale)), self.size) for side in crop)
        corner = rng.uniform(0, 1, 2) * (content - crop) * (not self.plain)
        image = np.full((self.size, self.size, 3), PAD, np.float32)
        image[:h, :w] = self.pixels(rng, index, (*corner, *crop), (h, w))[:, :: -1 if flip else 1]
        y, x = (np.arange(0, n, STEP, dtype=np.float32) for n in (h, w))
        x = w - 1 - x if flip else x
        y, x = (y + 0.5) * crop[0] / h - 0.5 + corner[0], (x + 0.5) * crop[1] / w - 0.5 + corner[1]
        target = self.target(index, y.astype(np.float32), x.astype(np.float32))
        return image / np.float32(127.5) - np.float32(1), target

    def pixels(
        self, rng: np.random.Generator, index: int, crop: tuple, shape: tuple[int, int]
    ) -> NDArray[np.float32]:
        """The crop (top, left, height, width) of a photo at `shape`, lit anew; Pillow averages to
        shrink, as when a photo is served."""
        top, left, height, width = crop
        h, w = (round(float(side)) for side in self.pool.contents[index])
        photo = Image.fromarray(self.pool.images[index][:h, :w])
        sides = (left, top, min(left + width, w), min(top + height, h))
        found = photo.resize(shape[::-1], Image.Resampling.BILINEAR, box=sides)
        pixels = np.asarray(found, np.float32)
        if self.plain:
            return pixels
        light = draw(rng, self.pool.contents[index][None], Augmentation(self.size))
        return jitter(pixels, Light(*(value[0] for value in light)))

    def target(self, index: int, y: Floats, x: Floats) -> NDArray:
        """What is to be said at rows `y` and columns `x` of photo `index`."""
        G = (self.size - 1) // STEP + 1
        content = self.pool.contents[index]
        ids = np.full((len(y), len(x)), voc.VOID, np.uint8)
        if labelled := index < len(self.pool.masks):
            ids = self.pool.masks[index][nearest(y, content[0])][:, nearest(x, content[1])]
        side = np.array([voc_teacher.POSITIONS] * 2, np.float32)
        said = bilinear(self.pool.teacher[index], y / np.float32(8), x / np.float32(8), side)
        if self.plain:
            whole = np.full((G, G), voc.VOID, np.uint8)
            whole[: len(y), : len(x)] = ids if labelled else said.argmax(-1)
            return whole
        one_hot = np.eye(256, voc.NUM_CLASSES, dtype=np.float32)[ids]
        known = (ids != voc.VOID)[..., None] * np.float32(self.labels)
        probabilities = np.zeros((G, G, voc.NUM_CLASSES), np.float32)
        probabilities[: len(y), : len(x)] = (1 - known) * said + known * one_hot
        return probabilities


def chances(photos: voc_teacher.Pool) -> NDArray[np.float64]:
    """How likely each photo is to be drawn, (N,).

    Half of the draws are photos with a mask; of either half, those with rare classes more often.
    """
    usable = ~photos.held & (photos.teacher[:, 0, 0, 0] >= 0)
    shown = np.zeros((len(usable), voc.NUM_CLASSES), bool)
    for index in np.flatnonzero(usable):
        labelled = index < len(photos.masks)
        ids = photos.masks[index] if labelled else photos.teacher[index].argmax(-1)
        counts = np.bincount(ids[ids != voc.VOID].ravel(), minlength=voc.NUM_CLASSES)
        shown[index] = counts > 0.01 * counts.sum()
    factor = np.sqrt(RARE / np.maximum(shown[usable].mean(0), 1e-6)).clip(1)
    often = np.where(shown, factor, 1).max(1) * usable
    parts = often[: len(photos.masks)], often[len(photos.masks) :]
    return np.concatenate([part / part.sum() / len(parts) for part in parts])


def start(size: int, shared: Path) -> keras.Model:
    """The student before its first step, a copy of DeepLabV3 with a light decoder."""
    network = deeplab.deeplab_light(size)
    v3 = checkpoint.read_weights(shared / common.DEEPLAB_V3)
    light = surgery.deeplab_v3_as_light(v3, checkpoint.arrays_of(network))
    checkpoint.load_weights(network, light)
    return network


def without_batch_norm(network: keras.Model) -> keras.Model:
    """The same scores at every fourth pixel from plain convolutions with bias, nothing frozen."""
    logits = keras.Model(network.input, network.get_layer("logits").output, name=network.name)

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = {key: value for key, value in layer.get_config().items() if key != "dtype"}
        biased = {} if norm_behind(logits, layer.name) is None else {"use_bias": True}
        return type(layer).from_config(config | biased)

    def call(
        layer: keras.layers.Layer, x: keras.KerasTensor, mask: None = None
    ) -> keras.KerasTensor:
        return x if isinstance(layer, layers.BatchNormalization) else layer(x)

    plain = keras.models.clone_model(logits, clone_function=clone, call_function=call)
    for layer in filter(lambda layer: layer.weights, plain.layers):
        source, norm = logits.get_layer(layer.name), norm_behind(logits, layer.name)
        kernel, *bias = source.get_weights()
        if norm is not None:
            gamma, beta, mean, variance = norm.get_weights()
            factor = gamma / np.sqrt(variance + norm.epsilon)
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            kernel = kernel * (factor[:, None] if depthwise else factor)
            bias = [beta + ((bias[0] if bias else 0) - mean) * factor]
        layer.set_weights([kernel, *bias])
    return plain


def with_batch_norm(plain: keras.Model, network: keras.Model) -> None:
    """Gives `network` the function that `plain` has learned: its batch norm only shifts."""
    for layer in filter(lambda layer: layer.weights, plain.layers):
        weights, norm = layer.get_weights(), norm_behind(network, layer.name)
        if norm is not None:
            bias = weights.pop()
            one = np.ones_like(bias)
            norm.set_weights([one, bias, 0 * one, one - norm.epsilon])
        network.get_layer(layer.name).set_weights(weights)


def norm_behind(network: keras.Model, name: str) -> keras.layers.BatchNormalization | None:
    """The batch norm that belongs to the convolution `name`, None where it has none."""
    names = {layer.name for layer in network.layers}
    found = next((n for n in (f"{name}_BN", f"bn_{name}") if n in names), None)
    return None if found is None else network.get_layer(found)


def main() -> None:
    arguments = common.parser(__doc__)
    arguments.add_argument("--size", type=int, choices=RECIPES, required=True)
    chosen = common.parse(arguments)
    size, recipe = chosen.size, RECIPES[chosen.size]
    photos = voc_teacher.pool(chosen.shared)
    keras.utils.set_random_seed(SEED)
    network = start(size, chosen.shared)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    student = without_batch_norm(network)
    often = chances(photos)
    slots = np.arange(STEPS * BATCH[size])
    data = Batches(
        (slots,), BATCH[size], SEED, Views(size, source(photos), photos, often, SCALES[size])
    )
    held = np.flatnonzero(photos.held[len(photos.masks) :]) + len(photos.masks)
    judged = Batches((held,), 4, SEED, Views(size, source(photos), photos))
    out = voc_teacher.CACHE / f"student_{size}"
    history = fit(student, data, recipe, validation=judged, folder=out, resume=out.exists())
    keras.mixed_precision.set_global_policy("float32")
    with_batch_norm(student, network)
    path = out / "final.npz"
    checkpoint.save_weights(network, path, class_names=voc.CLASSES)
    values = {
        "network": network.name,
        "size": size,
        "photos": {"taught": int((often > 0).sum()), "watched": len(held)},
        "steps": STEPS,
        "batch": BATCH[size],
        "recipe": recipe.identity(),
        "views": {"scales": SCALES[size], "labels": LABELS, "rare": RARE},
        "history": history,
        "held": judged_apart(path, size, photos, chosen),
    }
    common.record(f"voc_train_{size}", values, chosen, SEED)


def apart(photos: voc_teacher.Pool) -> common.Pairs:
    """Photo and mask of what is held apart."""
    files = (photos.files[index] for index in np.flatnonzero(photos.held))
    return [(photo, mask) for photo, mask in files if mask is not None]


def source(photos: voc_teacher.Pool) -> int:
    """A number that stands for the photos and what the teacher said of them."""
    return zlib.crc32(photos.teacher[:, ::16, ::16].tobytes())


def judged_apart(
    path: Path, size: int, photos: voc_teacher.Pool, options: argparse.Namespace
) -> common.Row:
    """Scores of the student and of DeepLabV3 on the photos with masks held apart, native size."""
    v3 = deeplab.deeplab_v3(size)
    checkpoint.load_weights(v3, options.shared / common.DEEPLAB_V3)
    pairs = apart(photos)
    before = scores.score(wrap(v3, "DeepLabV3"), pairs, f"held_deeplabv3_{size}")
    after = scores.score(load(path), pairs, f"held_student_{size}")
    kept = scores.keep(before, options)
    return {"deeplabv3": kept, "student": scores.keep(after, options, before)}


if __name__ == "__main__":
    main()
