"""A whole small network from random weights on ToyVOC, end to end, on a CPU in two minutes.

    python experiments/toy_voc.py                # or: segcore train experiments/toy_voc.py --seed 1
    python experiments/toy_voc.py --resume       # goes on where it was stopped

DeepLabV3+ at a third of its width on scenes of 97 pixels, augmented anew at every step by NumPy.
Recorded in results/toy_voc.json. To expect: an accuracy little above that of "background", a mean
IoU several times as high, and a loss that is still falling. It is a smoke test that learns.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from segcore import metrics
from segcore._keras import keras
from segcore.course import results
from segcore.data import augment, toy
from segcore.data.images import signed
from segcore.models import deeplab
from segcore.training import losses
from segcore.training.runs import Run
from segcore.training.trainer import Trainer, train

SIZE, TRAIN, VAL, BATCH = 97, 300, 60, 8
RECIPE = augment.Recipe(scale=(0.7, 1.5))


def network(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = deeplab.deeplab_v3_plus(SIZE, filters=64, config=deeplab.DeepLabConfig(width=0.35))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # a few hundred steps are all it has
    return model


def objective(call: Any, batch: Any) -> Any:
    return losses.cross_entropy_and_dice(call(batch["image"]), batch["mask"])


def draw(images: np.ndarray, masks: np.ndarray, seed: int, step: int) -> dict[str, np.ndarray]:
    """The batch of `step`: `BATCH` random views of training scenes."""
    rng = np.random.default_rng((seed, step))
    index, content = rng.integers(0, TRAIN, BATCH), np.full((BATCH, 2), SIZE, np.float32)
    views = zip(*augment.draw(rng, content, SIZE, RECIPE), strict=True)
    pairs = [
        augment.apply(images[k], masks[k], content[0], augment.View(*view), SIZE)
        for k, view in zip(index, views, strict=True)
    ]
    shown, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    return {"image": shown, "mask": labels.astype(np.int32)}


def score(ids: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    confusion = metrics.confusion_matrix(masks, ids)
    return {
        "accuracy": 100 * metrics.pixel_accuracy(confusion),
        "miou": 100 * metrics.mean_iou(confusion),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("runs/toy_voc"))
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--steps", type=int, default=240)
    options.add_argument("--resume", action="store_true")
    options.add_argument("--trial", action="store_true", help="record nothing")
    chosen = options.parse_args()
    images, masks = toy.scenes(TRAIN + VAL, SIZE)
    unseen = signed(images[TRAIN:])
    run = Run(
        chosen.steps, 1e-2, warmup=chosen.steps // 20, l2=1e-4, average=0.95, every=60,
        log=20, seed=chosen.seed,
    )  # fmt: skip
    trainer = Trainer(network(chosen.seed), run, objective)

    def judge() -> dict[str, float]:
        logits = [np.asarray(trainer.network(part)) for part in np.array_split(unseen, 6)]
        return score(np.concatenate(logits).argmax(-1), masks[TRAIN:])

    rows = train(
        trainer, lambda step: draw(images, masks, run.seed, step), chosen.out, judge, chosen.resume
    )
    values = {"final": rows[-1], "history": rows, "parameters": trainer.network.count_params(),
              "background": score(np.zeros_like(masks[TRAIN:]), masks[TRAIN:])}  # fmt: skip
    print(values["final"], values["background"])
    if not chosen.trial:
        print(results.record("toy_voc", values, chosen.seed))


if __name__ == "__main__":
    main()
