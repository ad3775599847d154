"""A small training run that can stand in a process of its own, to be killed, starved or spread.

    KERAS_BACKEND=jax python tests/training_job.py FOLDER [options]

The network has the layer names of DeepLabV3+ and 5 layers, so that a step compiles in a second. The
run's folder gets `losses.json` beside what `train` writes: the loss of every step.
"""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from time import sleep

import numpy as np


def network(size: int = 33):
    """Images (B, 33, 33, 3) → logits, always with the same first weights."""
    from segcore._keras import keras

    layers = keras.layers
    x = images = keras.Input((size, size, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = layers.BatchNormalization(momentum=0.9, name="bn_Conv1")(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="block_1_depthwise")(x)
    x = layers.Conv2D(8, 1, use_bias=False, name="decoder1_pointwise")(x)
    x = layers.BatchNormalization(momentum=0.9, name="decoder1_pointwise_BN")(x)
    x = layers.Conv2D(21, 1, name="logits")(layers.ReLU()(x))
    model = keras.Model(images, layers.Resizing(size, size)(x))
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.name == "kernel":
            variable.assign(rng.normal(0, 0.3, variable.shape).astype(np.float32))
    return model


def objective(call, batch):
    """Cross-entropy plus dice: the two losses whose means reach over all devices."""
    from segcore.training import losses

    logits = call(batch["image"])
    ce, dice = (loss(logits, batch["mask"]) for loss in (losses.cross_entropy, losses.dice))
    return ce + dice, {"ce": ce, "dice": dice}


def draw_from(images, masks, pause: float = 0.0):
    """A function step → batch of 8 photos, of which the second half is mostly void."""

    def draw(step: int):
        sleep(pause)
        index = np.random.default_rng((0, step)).choice(len(images), 8)
        labels = masks[index].astype(np.int32)
        labels[4:, 5:] = 255
        return {"image": images[index].astype(np.float32) / 127.5 - 1, "mask": labels}

    return draw


def scenes():
    from segcore.data import toy

    return toy.scenes(16, size=33)


def main() -> None:
    chosen = parse()
    if chosen.logical:
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * chosen.logical
        tf.config.set_logical_device_configuration(cpu, parts)

    from segcore._keras import keras
    from segcore.training import steps
    from segcore.training.runs import Run

    spread = None if chosen.devices == "one" else steps.spread(chosen.devices)
    keras.config.set_dtype_policy(chosen.policy)
    run = Run(
        chosen.steps, 1e-2, chosen.optimizer, warmup=2, encoder=0.5, l2=1e-3, clip=0.5,
        average=0.9, every=chosen.every,
    )  # fmt: skip
    with spread.scope() if spread else nullcontext():
        go(run, chosen.folder, chosen.devices, chosen.pause, chosen.resume)
    if chosen.also:
        go(run, chosen.also, "one")


def parse() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("--optimizer", default="adam")
    options.add_argument("--devices", default="one")
    options.add_argument("--logical", type=int, default=0, help="CPU devices under tensorflow")
    options.add_argument("--policy", default="float32")
    options.add_argument("--steps", type=int, default=12)
    options.add_argument("--every", type=int, default=3)
    options.add_argument("--resume", action="store_true")
    options.add_argument("--pause", type=float, default=0, help="seconds that drawing takes")
    options.add_argument("--also", type=Path, help="then the same run, on one device, in one go")
    return options.parse_args()


def go(run, folder: Path, devices: str, pause: float = 0.0, resume: bool = False) -> None:
    from segcore.training.trainer import Trainer, train

    trainer = Trainer(network(), run, objective, devices)
    step, losses = trainer.stepper.step, []

    def noting(batch, rate):
        terms = step(batch, rate)
        losses.append(float(terms["loss"]))
        return terms

    trainer.stepper.step = noting
    train(trainer, draw_from(*scenes(), pause), folder, resume=resume)
    (folder / "losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main()
