"""A whole small network from random weights on ToyVOC, end to end, on a CPU in two minutes.

    python experiments/toy_voc.py
    python experiments/toy_voc.py --resume       # goes on where it was stopped

DeepLabV3+ at a third of its width on scenes of 97 pixels, augmented anew in every epoch by NumPy.
Recorded in results/toy_voc.json. To expect: an accuracy little above that of "background", a mean
IoU several times as high, and a loss that is still falling. It is a smoke test that learns.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np

from segcore import metrics
from segcore._keras import keras
from segcore.data import toy
from segcore.data.augment import Augmentation
from segcore.data.images import signed
from segcore.models import deeplab
from segcore.training.batch_norm import layers_of
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit

SIZE, TRAIN, VAL, BATCH = 97, 300, 60, 8
VIEWS = Augmentation(SIZE, scale=(0.7, 1.5))


def network(seed: int) -> keras.Model:
    """A thin DeepLabV3+ with random weights."""
    keras.utils.set_random_seed(seed)
    model = deeplab.deeplab_v3_plus(SIZE, filters=64, config=deeplab.DeepLabConfig(width=0.35))
    for norm in layers_of(model):
        norm.momentum = 0.9  # a few hundred steps are all it has
    return model


def main() -> None:
    arguments = common.parser(__doc__, data=False)
    arguments.add_argument("--out", type=Path, default=Path("runs/toy_voc"))
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--epochs", type=int, default=7, help="of 37 steps each")
    arguments.add_argument("--resume", action="store_true")
    options = common.parse(arguments)
    images, masks = toy.scenes(TRAIN + VAL, SIZE)
    contents = np.full((TRAIN, 2), SIZE, np.float32)
    data = Batches((images[:TRAIN], masks[:TRAIN], contents), BATCH, options.seed, VIEWS)
    model = network(options.seed)
    recipe = Recipe(
        options.epochs, 1e-2, warmup=2 * options.epochs, kernel_l2=1e-4, clip=1.0, average=0.95
    )
    unseen = signed(images[TRAIN:]), masks[TRAIN:]
    history = fit(model, data, recipe, validation=unseen, folder=options.out, resume=options.resume)
    nothing = metrics.confusion_matrix(unseen[1], np.zeros_like(unseen[1]))
    background = {
        "accuracy": metrics.pixel_accuracy(nothing),
        "miou": metrics.mean_iou(nothing),
    }
    final = {name: history[f"val_{name}"][-1] for name in background}
    print(final, "background alone:", background)
    values = {"final": final, "background": background, "parameters": model.count_params()}
    common.record("toy_voc", values | {"history": history}, options, options.seed)


if __name__ == "__main__":
    main()
