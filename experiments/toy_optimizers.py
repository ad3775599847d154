"""Three optimizers on ToyVOC behind a frozen encoder: the course paper's comparison, in minutes.

    python experiments/toy_optimizers.py

The encoder of the shipped network looks at every scene once, and its feature maps are kept; then
only a thin head is trained, from fresh random weights. Each optimizer gets three learning rates
(seed 0, a short run), the best of them then three seeds, judged on 64 other scenes. Recorded in
results/toy_optimizers.json. To expect: by the rule of camvid.py Adam and AdaBound are not
told apart, and both are ahead of SGD. All three chose the highest learning rate they were offered:
on so short a run, a wider search might rank them otherwise.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import common
import numpy as np
from numpy.typing import NDArray

from segcore._keras import keras
from segcore.data import toy
from segcore.data.images import signed
from segcore.models import deeplab, pretrained
from segcore.training.batch_norm import layers_of
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit
from segcore.training.optimizers import is_encoder

SIZE, TRAIN, VAL, BATCH = 97, 256, 64, 8
TRIAL, FINAL = 3, 6  # epochs of 32 steps
RATES = {"adam": (3e-3, 1e-2, 3e-2), "sgd": (0.1, 0.3, 1.0), "adabound": (3e-3, 1e-2, 3e-2)}
Arrays = dict[str, NDArray]


def features() -> tuple[keras.Model, Arrays]:
    """A fresh head, and what the frozen encoder sees: `deep`, `low` and the labels between."""
    network, trained = deeplab.deeplab_v3_plus(SIZE, filters=64), pretrained.load(SIZE)
    for layer in network.layers:
        if is_encoder(layer.name):
            layer.set_weights(trained.get_layer(layer.name).get_weights())
    for norm in layers_of(network):
        norm.momentum = 0.9  # a few hundred steps are all it has
    scores = keras.Model(network.input, network.get_layer("logits").output)
    encoder, head = deeplab.split(scores)  # judged at every fourth pixel: four times quicker
    images, masks = toy.scenes(TRAIN + VAL, SIZE)
    parts = [encoder(signed(images[i : i + 16])) for i in range(0, len(images), 16)]
    deep, low = (np.concatenate([np.asarray(p[k]) for p in parts]) for k in (0, 1))
    return head, {"deep": deep, "low": low, "mask": masks[:, ::4, ::4]}


def paired(rng: np.random.Generator, deep: NDArray, low: NDArray, mask: NDArray) -> tuple:
    """A batch of features as Keras wants it: both inputs together, then the targets."""
    return (deep, low), mask


def train(head: keras.Model, data: Arrays, recipe: Recipe, seed: int, folder: Path) -> common.Row:
    """One run from fresh weights; what `folder` holds of an unfinished one is gone on with."""
    first = common.fresh(head.variables, {}, seed)
    for variable in head.variables:
        variable.assign(first[variable.path])
    seen = [array[:TRAIN] for array in data.values()]
    deep, low, mask = (array[TRAIN:] for array in data.values())
    batches = Batches(seen, BATCH, seed, paired)
    history = fit(head, batches, recipe, validation=((deep, low), mask), folder=folder, resume=True)
    found = {name: history[f"val_{name}"][-1] for name in ("miou", "accuracy")}
    print(folder.name, {name: round(value, 4) for name, value in found.items()}, flush=True)
    return found | {"history": history}


def compete(name: str, head: keras.Model, data: Arrays, out: Path, seed: int) -> common.Row:
    """Three learning rates, then three seeds of the best one."""

    def run(rate: float, epochs: int, seed: int) -> common.Row:
        recipe = Recipe(epochs, rate, name, warmup=5, kernel_l2=1e-4, clip=1.0, average=0.9)
        return train(head, data, recipe, seed, out / f"{name}_{rate:g}_{epochs}_{seed}")

    trials = {rate: common.number(run(rate, TRIAL, seed)["miou"]) for rate in RATES[name]}
    best = max(trials, key=trials.__getitem__)
    final = {str(s): run(best, FINAL, s) for s in range(seed, seed + 3)}
    found = [common.number(row["miou"]) for row in final.values()]
    spread = {"mean": float(np.mean(found)), "low": min(found), "high": max(found)}
    return {
        "trials": {f"{rate:g}": miou for rate, miou in trials.items()},
        "chosen": best,
        "final": final,
        "val_miou": spread,
    }


def main() -> None:
    arguments = common.parser(__doc__, data=False)
    arguments.add_argument("--out", type=Path, default=Path("runs/toy_optimizers"))
    arguments.add_argument("--only", choices=RATES, help="record nothing")
    arguments.add_argument("--seed", type=int, default=0, help="the first of the three")
    arguments.add_argument("--resume", action="store_true", help="go on with what --out holds")
    options = common.parse(arguments)
    head, data = features()
    names = (options.only,) if options.only else tuple(RATES)
    if not options.resume:
        for name in names:
            for folder in options.out.glob(f"{name}_*_*_*"):
                shutil.rmtree(folder)  # an earlier run's; all else stays
    values = {name: compete(name, head, data, options.out, options.seed) for name in names}
    if not options.only:
        common.record("toy_optimizers", values, options, options.seed)


if __name__ == "__main__":
    main()
