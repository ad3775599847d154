"""A run so small that a test can do it again and again: 5 layers, 24 drawn scenes of 33 pixels."""

from __future__ import annotations

from dataclasses import replace
from time import sleep

import numpy as np

from segcore._keras import keras
from segcore.data import toy
from segcore.models import blocks
from segcore.training.batches import Batches
from segcore.training.fit import Recipe

RECIPE = Recipe(
    epochs=4, learning_rate=1e-2, optimizer="adabound", warmup=2, encoder_rate=0.5, kernel_l2=1e-3,
    average=0.9,
)  # fmt: skip
layers = keras.layers


def network(size: int = 33) -> keras.Model:
    """Images (B, 33, 33, 3) → logits, always with the same first weights; names of DeepLabV3+."""
    x = images = keras.Input((size, size, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = layers.BatchNormalization(momentum=0.9, name="bn_Conv1")(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="block_1_depthwise")(x)
    x = layers.Conv2D(8, 1, use_bias=False, name="decoder1_pointwise")(x)
    x = layers.BatchNormalization(momentum=0.9, name="decoder1_pointwise_BN")(x)
    x = layers.Conv2D(21, 1, name="logits")(layers.ReLU()(x))
    model = keras.Model(images, blocks.BilinearResize(size)(x), name="toy")  # files hold the name
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.name == "kernel":
            variable.assign(rng.normal(0, 0.3, variable.shape).astype(np.float32))
    return model


def shifted(rng, images, masks):
    """Inputs and targets with noise on the light; half of the photos are mostly void."""
    light = rng.normal(0, 0.1, (len(images), 1, 1, 1))
    masks[: len(masks) // 2, 5:] = 255
    return (images / 127.5 - 1 + light).astype(np.float32), masks


def slowly(rng, images, masks):
    """`shifted`, so slow that a kill falls between two batches as well."""
    sleep(0.05)
    return shifted(rng, images, masks)


def data(change=shifted, size: int = 4) -> Batches:
    """Six batches of four."""
    return Batches(toy.scenes(24, size=33), size, seed=0, change=change)


def validation() -> tuple[np.ndarray, np.ndarray]:
    """Six other scenes."""
    images, masks = toy.scenes(6, size=33, start=100)
    return (images / np.float32(127.5) - 1), masks


def recipe(**fields) -> Recipe:
    """`RECIPE` with other `fields`."""
    return replace(RECIPE, **fields)
