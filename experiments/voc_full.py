"""Pascal VOC 2012 from ImageNet weights, as in a paper: for readers with the photos and a GPU.

    segcore download voc --to data
    KERAS_BACKEND=jax python experiments/voc_full.py --voc data --out runs/voc_full
    segcore evaluate data --model runs/voc_full/final.npz

NOT RUN BY US on all photos: we have a third of them. It was tried for a few steps on those, nothing
more, so there is no result to expect. 1,464 official training photos, MobileNetV2 with the ImageNet
weights of keras.applications, Adam, cross-entropy plus half of dice; all photos are kept in memory
(2 GB) and augmented anew in every epoch. On the way it is scored on the val photos at the size of a
crop; the last command scores at native size. A run that was killed goes on with --resume. On a
Colab GPU without bfloat16 (a T4) leave --policy at float32.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import common
import numpy as np
from numpy.typing import NDArray

from segcore._keras import keras
from segcore.data import dataset, voc
from segcore.data.augment import Augmentation
from segcore.data.images import signed
from segcore.models import checkpoint, deeplab
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit
from segcore.training.optimizers import is_encoder


def network(crop: int, size: int, start: Path | None) -> keras.Model:
    """DeepLabV3+ for crops, its encoder from ImageNet; `start` is a file of such weights."""
    config = deeplab.DeepLabConfig(dilation_rates=deeplab.dilation_rates(size))
    model = deeplab.deeplab_v3_plus(crop, config=config)
    if start is None:
        source = keras.applications.MobileNetV2(include_top=False, weights="imagenet")
        trained = checkpoint.arrays_of(source)
    else:
        trained = checkpoint.read_weights(start)
    for key, variable in checkpoint.variables_of(model).items():
        if key in trained and is_encoder(key):
            variable.assign(trained[key])
    return model


def unchanged(rng: np.random.Generator, images: NDArray, masks: NDArray) -> tuple:
    """Whole photos, letterboxed, for validation; `rng` is not asked."""
    return signed(images), masks


def options() -> argparse.Namespace:
    """What the command line says."""
    arguments = common.parser(__doc__, data=False)
    arguments.add_argument("--voc", type=Path, required=True, help="the folder of the download")
    arguments.add_argument("--out", type=Path, default=Path("runs/voc_full"))
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--resume", action="store_true")
    arguments.add_argument("--epochs", type=int, default=220, help="of 91 steps: 20,000 in all")
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--size", type=int, default=513)
    arguments.add_argument("--crop", type=int, default=385)
    arguments.add_argument("--limit", type=int, default=10_000, help="photos, for a quick look")
    arguments.add_argument("--policy", choices=("float32", "mixed_bfloat16"), default="float32")
    arguments.add_argument("--start", type=Path, help="an .npz in place of Keras' download")
    return common.parse(arguments)


def main() -> None:
    chosen = options()
    train, val = (
        dataset.read_photos(voc.file_pairs(chosen.voc, split)[: chosen.limit], size, bad="skip")
        for split, size in (("train", chosen.size), ("val", chosen.crop))
    )
    print(len(train), "photos to learn from,", len(val), "to judge by")
    keras.utils.set_random_seed(chosen.seed)
    keras.config.set_dtype_policy(chosen.policy)
    model = network(chosen.crop, chosen.size, chosen.start)
    arrays = (train.images, train.masks, train.contents)
    data = Batches(arrays, chosen.batch, chosen.seed, Augmentation(chosen.crop, scale=(0.5, 2.0)))
    warmup = chosen.epochs * len(data) // 20
    recipe = Recipe(
        chosen.epochs, 1e-3, warmup=warmup, encoder_rate=0.3, kernel_l2=1e-4, clip=1.0,
        average=0.998,
    )  # fmt: skip
    seen = Batches((val.images, val.masks), min(chosen.batch, len(val)), change=unchanged)
    history = fit(model, data, recipe, validation=seen, folder=chosen.out, resume=chosen.resume)
    print({name: values[-1] for name, values in history.items()})
    keras.config.set_dtype_policy("float32")
    whole = deeplab.deeplab_v3_plus(chosen.size)
    whole.set_weights(model.get_weights())
    checkpoint.save_weights(whole, chosen.out / "final.npz", class_names=voc.CLASSES)


if __name__ == "__main__":
    main()
