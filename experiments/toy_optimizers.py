"""Three optimizers on ToyVOC behind a frozen encoder: the paper's comparison, in three minutes.

    python experiments/toy_optimizers.py        # or: segcore train experiments/toy_optimizers.py

The encoder of the shipped network looks at every scene once, and its maps are kept; then only a
thin head is trained, from fresh random weights. Each optimizer gets three rates (seed 0, a short
run), the best of them then three seeds, judged on 64 other scenes. Recorded in
results/toy_optimizers.json. To expect: by the rule of camvid.py Adam and AdaBound are not
told apart, and both are ahead of SGD. All three chose the highest rate they were offered: on so
short a run, a wider search might rank them otherwise.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segcore import metrics
from segcore._keras import keras
from segcore.course import results
from segcore.data import toy
from segcore.models import checkpoint, deeplab, pretrained
from segcore.training import losses, runs
from segcore.training.runs import Run
from segcore.training.trainer import Trainer, train

SIZE, TRAIN, VAL, BATCH = 97, 256, 64, 8
TRIAL, FINAL = 100, 200
RATES = {"adam": (3e-3, 1e-2, 3e-2), "sgd": (0.1, 0.3, 1.0), "adabound": (3e-3, 1e-2, 3e-2)}


def features() -> tuple[keras.Model, dict[str, np.ndarray]]:
    """A fresh head, and what the frozen encoder sees: `deep`, `low` and the labels between."""
    network = deeplab.deeplab_v3_plus(SIZE, filters=64)
    trained = pretrained.load(SIZE)
    for layer in network.layers:
        if runs.is_encoder(layer.name):
            layer.set_weights(trained.get_layer(layer.name).get_weights())
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9  # a few hundred steps are all it has
    scores = keras.Model(network.input, network.get_layer("logits").output)
    encoder, head = deeplab.split(scores)  # judged at every fourth pixel: four times quicker
    images, masks = toy.scenes(TRAIN + VAL, SIZE)
    parts = [encoder(images[i : i + 16] / np.float32(127.5) - 1) for i in range(0, len(images), 16)]
    deep, low = (np.concatenate([np.asarray(p[k]) for p in parts]) for k in (0, 1))
    return head, {"deep": deep, "low": low, "mask": masks[:, ::4, ::4].astype(np.int32)}


def objective(call: Any, batch: Any) -> Any:
    """Cross-entropy plus half of dice, as in camvid.py."""
    return losses.cross_entropy_and_dice(call([batch["deep"], batch["low"]]), batch["mask"])


def draw(data: dict[str, np.ndarray], seed: int, step: int) -> dict[str, np.ndarray]:
    index = np.random.default_rng((seed, step)).choice(TRAIN, BATCH, replace=False)
    return {key: array[index] for key, array in data.items()}


def score(head: keras.Model, data: dict[str, np.ndarray]) -> dict[str, float]:
    """Accuracy and mIoU on val, in percent."""
    part = slice(TRAIN, None)
    found = np.asarray(head([data["deep"][part], data["low"][part]], training=False)).argmax(-1)
    confusion = metrics.confusion_matrix(data["mask"][part], found)
    return {
        "accuracy": 100 * metrics.pixel_accuracy(confusion),
        "miou": 100 * metrics.mean_iou(confusion),
    }


def compete(
    name: str, head: keras.Model, data: dict[str, np.ndarray], chosen: argparse.Namespace
) -> dict[str, Any]:
    """Three rates, then three seeds of the best one."""
    base = Run(
        TRIAL, RATES[name][0], name, warmup=5, l2=1e-4, average=0.9, log=10, seed=chosen.seed
    )
    trainer = Trainer(head, base, objective)
    memory = trainer.memory()

    def go(run: Run) -> dict[str, Any]:
        first = checkpoint.fresh(head.variables, {}, run.seed)
        named = {f"network/{path}": array for path, array in first.items()}
        trainer.restart(run, {**memory, **named})
        folder = chosen.out / name / f"{run.rate:g}_{run.steps}_{run.seed}"
        if not chosen.resume:
            (folder / "state.npz").unlink(missing_ok=True)  # an earlier run's; all else may stay
        batches, judge = partial(draw, data, run.seed), partial(score, head, data)
        rows = train(trainer, batches, folder, judge, resume=chosen.resume)
        print(name, run.rate, "seed", run.seed, {k: round(v, 2) for k, v in rows[-1].items()})
        return {"miou": rows[-1]["miou"], "accuracy": rows[-1]["accuracy"], "history": rows}

    trials = {rate: go(replace(base, rate=rate, every=TRIAL))["miou"] for rate in RATES[name]}
    best = max(trials, key=trials.__getitem__)
    final = {
        str(seed): go(replace(base, rate=best, steps=FINAL, every=40, seed=seed))
        for seed in range(chosen.seed, chosen.seed + 3)
    }
    found = [run["miou"] for run in final.values()]
    spread = {"mean": float(np.mean(found)), "low": min(found), "high": max(found)}
    return {
        "trials": {f"{rate:g}": miou for rate, miou in trials.items()},
        "chosen": best, "final": final, "val_miou": spread,
    }  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("runs/toy_optimizers"))
    options.add_argument("--only", choices=runs.OPTIMIZERS, help="record nothing")
    options.add_argument("--seed", type=int, default=0, help="the first of the three")
    options.add_argument("--resume", action="store_true", help="go on with what --out holds")
    chosen = options.parse_args()
    head, data = features()
    names = [chosen.only] if chosen.only else runs.OPTIMIZERS
    values = {name: compete(name, head, data, chosen) for name in names}
    if not chosen.only:
        print(results.record("toy_optimizers", values, seed=chosen.seed))


if __name__ == "__main__":
    main()
