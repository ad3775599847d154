"""What freezing the encoder costs: the heads of voc_optimizers.py trained on, frozen and thawed.

    python experiments/voc_optimizers.py
    python experiments/voc_finetune.py
    ... both with --voc data for all of VOC

Our wiring (257, output stride 16) and Adam. The three final heads go on for ten epochs, at a third
of the learning rate that was chosen for them (not searched: this is a shorter schedule than a
thawed encoder deserves) in three ways. `frozen`: as before. `thawed`: the encoder's kernels learn,
too, at a tenth of that; its batch norm keeps what ImageNet left, as 8 photos are too few to measure
it. `augmented`: thawed, with views that features kept on disk cannot have: scaled, cropped, lit
anew. All three are scored at native size on the val photos, and the verdict is by the rule of
voc_optimizers.py. An hour on two cores; a run that was killed goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import common
import film
import numpy as np
import protocol
import voc_features
import voc_optimizers
from numpy.typing import NDArray
from voc_features import JUDGED, STEP, WIRINGS, Bench
from voc_optimizers import BATCH, SEEDS, Run, log

from segcore._keras import keras
from segcore.data import dataset
from segcore.data.augment import Augmentation
from segcore.data.images import signed
from segcore.metrics import PhotoMatrices
from segcore.models import checkpoint, deeplab
from segcore.training import batch_norm
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit

WIRING, OPTIMIZER = "ours", "adam"
FURTHER, SLOWER, ENCODER_RATE = 10, 3, 0.1
SIZE = WIRINGS[WIRING].size
VIEWS = {
    "thawed": Augmentation(SIZE, (1.0, 1.0), True, 0.0, 0.0, 0.0, corner=1.0),  # mirrored, no more
    "augmented": Augmentation(SIZE, (0.75, 1.5), corner=0.5),
}
WAYS = ("augmented", "thawed", "frozen")


@dataclass(frozen=True)
class Crops:
    """Views of photos, and the labels where the head has its scores: the `change` of `Batches`."""

    views: Augmentation

    def __call__(self, rng: np.random.Generator, *parts: NDArray) -> tuple:
        """Photos, masks and contents (B, ...) → images (B, S, S, 3) and labels (B, g, g)."""
        images, masks = self.views(rng, *parts)
        return images, masks[:, ::STEP, ::STEP]


def whole(rng: np.random.Generator, images: NDArray, masks: NDArray) -> tuple:
    """Photos as they are, to be scored by; `rng` is not asked."""
    return signed(images), masks[:, ::STEP, ::STEP]


@dataclass(frozen=True)
class Photos:
    """A bench's photos themselves, for an encoder that changes; `start` is what it began with."""

    bench: Bench
    train: dataset.Photos
    val: dataset.Photos
    encoder: keras.Model
    start: checkpoint.Arrays

    def begin(self, head: Path) -> None:
        """Brings back the encoder of ImageNet, and the head of a finished run."""
        voc_features.restore(self.encoder, self.start)
        checkpoint.load_weights(self.bench.head, checkpoint.read_weights(head / "weights.npz"))

    def setting(self, way: str, seed: int) -> tuple[keras.Model, Batches, Batches]:
        """What learns, from which batches, and by which it is judged."""
        bench, train, val = self.bench, self.train, self.val
        if way == "frozen":
            data = bench.batches(np.arange(len(train)), BATCH, seed)
            return bench.head, data, bench.judged(bench.val, np.arange(len(val)))
        arrays = (train.images, train.masks, train.contents)
        judged = Batches((val.images, val.masks), min(JUDGED, len(val)), change=whole)
        model = voc_features.scores_of(bench.network)
        return model, Batches(arrays, BATCH, seed, Crops(VIEWS[way])), judged


def open_photos(options: argparse.Namespace) -> Photos:
    """The photos at our size, and the network whose batch norm in the encoder is frozen."""
    bench = voc_features.bench(WIRING, options)
    encoder, _ = deeplab.split(bench.network)
    batch_norm.freeze(encoder)
    train, val = (dataset.read_photos(one.pairs, SIZE) for one in (bench.train, bench.val))
    return Photos(bench, train, val, encoder, voc_features.imagenet(options.start))


def go_on(
    photos: Photos, way: str, seed: int, head: Path, recipe: Recipe, out: Path
) -> tuple[Run, PhotoMatrices]:
    """Trains one head on, in one of the `WAYS`."""
    folder = out / "further" / f"{way}_{seed}"
    photos.begin(head)
    model, data, judged = photos.setting(way, seed)
    watch = film.Watch(folder, photos.bench.segmenter)
    history = fit(model, data, recipe, validation=judged, folder=folder, resume=True, watch=[watch])
    log(out, f"{way}, seed {seed}: {film.seconds(folder):.0f} s")
    name = f"voc_finetune_{way}_{seed}"
    return Run(folder, history), voc_optimizers.native(photos.bench, folder, name, out)


def slower(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe of a head that has been trained, for some more epochs."""
    warmup = recipe.warmup * epochs // recipe.epochs
    rate = recipe.learning_rate / SLOWER
    return replace(recipe, epochs=epochs, learning_rate=rate, warmup=warmup)


def measure(options: argparse.Namespace) -> common.Row:
    """The record: all seeds in all ways, and how they differ."""
    photos, (short, long) = open_photos(options), options.epochs
    tried, _ = voc_optimizers.choose(photos.bench, OPTIMIZER, short, options.out)
    best = protocol.best_of(tried)
    first = voc_optimizers.recipe_of(OPTIMIZER, *best, long, len(photos.train))
    heads = [
        voc_optimizers.final(photos.bench, first, seed, options.out)[0].folder for seed in SEEDS
    ]
    values = voc_features.facts(photos.bench) | {"batch": BATCH, "first": first.identity()}
    found: dict[str, list[PhotoMatrices]] = {}
    for way in WAYS:
        recipe = slower(first, options.further)
        if way != "frozen":
            recipe = replace(recipe, encoder_rate=ENCODER_RATE)
        done = [
            go_on(photos, way, seed, head, recipe, options.out)
            for seed, head in zip(SEEDS, heads, strict=True)
        ]
        runs, found[way] = [run for run, _ in done], [matrices for _, matrices in done]
        rows = voc_optimizers.seed_rows(runs, found[way], options)
        values[way] = {
            "recipe": recipe.identity(),
            "views": repr(VIEWS.get(way, "mirrored")),
            **rows,
        }
    return values | {"verdicts": protocol.verdicts(found)}


def main() -> None:
    arguments = voc_optimizers.parser(__doc__)
    arguments.add_argument("--further", type=int, default=FURTHER, help="epochs of each way")
    options = common.parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    common.record("voc_finetune", measure(options), options)


if __name__ == "__main__":
    main()
