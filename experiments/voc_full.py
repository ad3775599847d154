"""Pascal VOC 2012 from ImageNet weights, as in a paper: for readers with the photos and a GPU.

    segcore download voc --to data
    segcore train experiments/voc_full.py --backend jax -- --voc data --out runs/voc_full

NOT RUN BY US: we have a tenth of the photos. It was tried for a few steps on those, nothing more,
so there is no result to expect. 1,464 official training photos, MobileNetV2 with the ImageNet
weights of keras.applications, Adam, cross-entropy plus half of dice; all photos
are kept on the GPU (2 GB) and augmented there. Scored on the 1,449 val photos at 513 pixels, their
masks resized: `segcore evaluate data --model runs/voc_full/final.npz` scores at native size.
On a Colab GPU without bfloat16 (a T4) leave --policy at float32.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from segcore import metrics
from segcore._keras import keras
from segcore.data import augment, dataset, voc
from segcore.models import checkpoint, deeplab
from segcore.training import fast, losses, runs
from segcore.training.runs import Run
from segcore.training.trainer import Trainer, train

RECIPE = augment.Recipe(scale=(0.5, 2.0))


def read(root: Path, split: str, size: int, limit: int) -> dataset.Photos:
    """One official split; a photo that cannot be read is named and left out."""
    return dataset.load(voc.file_pairs(root, split)[:limit], size, bad="skip")


def network(crop: int, size: int, start: Path | None) -> keras.Model:
    """DeepLabV3+ for crops, its encoder from ImageNet; `start` is a file of such weights."""
    plain = deeplab.deeplab_v3_plus(crop)
    if start is None:
        source = keras.applications.MobileNetV2(include_top=False, weights="imagenet")
        trained = checkpoint.arrays_of(source)
    else:
        trained = checkpoint.read_weights(start)
    for key, variable in checkpoint.variables_of(plain).items():
        if key in trained and runs.is_encoder(key):
            variable.assign(trained[key])
    return fast.fast(plain, rates=deeplab.dilation_rates(size))


def draw(found: dataset.Photos, data: Any, crop: int, batch: int, seed: int, step: int) -> Any:
    rng = np.random.default_rng((seed, step))
    index = rng.integers(0, len(found), batch).astype(np.int32)
    view = augment.draw(rng, found.contents[index], crop, RECIPE)
    return {"index": index, "view": tuple(view), "data": data}


def judge_of(net: keras.Model, size: int, unseen: dataset.Photos) -> Any:
    """A function that scores `net` on whole photos: accuracy and mIoU in percent."""
    plain = fast.fast(deeplab.deeplab_v3_plus(size))
    groups = (plain.trainable_variables, plain.non_trainable_variables)
    look = jax.jit(lambda w, o, x: plain.stateless_call(w, o, x, training=False)[0].argmax(-1))

    def judge() -> dict[str, float]:
        values = {v.path: v.value for v in net.variables}
        arrays = [[values[v.path] for v in group] for group in groups]
        confusion = np.zeros((voc.NUM_CLASSES, voc.NUM_CLASSES), np.int64)
        for begin in range(0, len(unseen), 8):
            part = np.arange(begin, begin + 8) % len(unseen)
            ids = np.asarray(look(*arrays, unseen.images[part] / np.float32(127.5) - 1))
            new = slice(begin, begin + 8)
            confusion += metrics.confusion_matrix(unseen.masks[new], ids[: len(unseen.masks[new])])
        return {"accuracy": 100 * metrics.pixel_accuracy(confusion),
                "miou": 100 * metrics.mean_iou(confusion)}  # fmt: skip

    return judge


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--voc", type=Path, required=True, help="the folder of the download")
    options.add_argument("--out", type=Path, default=Path("runs/voc_full"))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--resume", action="store_true")
    options.add_argument("--steps", type=int, default=20_000)
    options.add_argument("--every", type=int, default=1000)
    options.add_argument("--batch", type=int, default=16)
    options.add_argument("--size", type=int, default=513)
    options.add_argument("--crop", type=int, default=385)
    options.add_argument("--limit", type=int, default=10_000, help="photos, for a quick look")
    options.add_argument("--policy", choices=("float32", "mixed_bfloat16"), default="float32")
    options.add_argument("--start", type=Path, help="an .npz in place of Keras' download")
    chosen = options.parse_args()
    if keras.backend.backend() != "jax":
        raise ValueError("this experiment cuts its views with jax; add --backend jax")
    sets = [read(chosen.voc, split, chosen.size, chosen.limit) for split in ("train", "val")]
    print(len(sets[0]), "photos to learn from,", len(sets[1]), "to judge by")
    keras.utils.set_random_seed(chosen.seed)
    keras.config.set_dtype_policy(chosen.policy)
    net = network(chosen.crop, chosen.size, chosen.start)
    keras.config.set_dtype_policy("float32")
    run = Run(
        chosen.steps, 1e-3, warmup=chosen.steps // 20, encoder=0.3, l2=1e-4, average=0.998,
        every=chosen.every, seed=chosen.seed,
    )  # fmt: skip
    trainer = Trainer(net, run, losses.on_views(chosen.crop))
    data = [jnp.asarray(array) for array in (sets[0].images, sets[0].contents, sets[0].masks)]
    pick = partial(draw, sets[0], data, chosen.crop, chosen.batch, chosen.seed)
    judge = judge_of(net, chosen.size, sets[1])
    print(train(trainer, pick, chosen.out, judge, chosen.resume)[-1])
    weights = checkpoint.read_weights(chosen.out / "weights.npz")
    checkpoint.write_weights(weights, chosen.out / "final.npz")


if __name__ == "__main__":
    main()
