"""Many tiny networks side by side in one: honest about luck, at the price of a single training.

Tensors are (B, N, C): B points, N networks that never meet, C channels each.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segcore._errors import check
from segcore._keras import keras


def spiral_arms(n: int, seed: int, count: int = 3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`n` points (n, 2) float32 on `count` arms of a spiral, and each point's arm (n,), 0..count-1.

    One turn from the middle to a radius of 2, in turn from every arm. Taught in chapter 4.
    """
    arm = np.arange(n) % count
    radius = np.sqrt(np.random.default_rng(seed).uniform(0.02, 1, n))
    turn = 2 * np.pi * (radius + arm / count)
    points = 2 * radius * np.array([np.cos(turn), np.sin(turn)])
    return points.T.astype(np.float32), arm


def convolution(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """A 1×1 convolution with batch norm for each of N networks: (B, N, C) → (B, N, width).

    Each network has kernels and statistics of its own, started at random. Taught in chapter 4.
    """
    layers = keras.layers
    _, N, C = x.shape
    start = keras.initializers.RandomNormal(stddev=(2 / C) ** 0.5)
    x = layers.EinsumDense("bnc,ncd->bnd", (N, width), kernel_initializer=start)(x)
    x = layers.BatchNormalization(momentum=0.9)(layers.Flatten()(x))
    return layers.Reshape((N, width))(x)


def bottlenecks(
    slopes: ArrayLike, shortcuts: ArrayLike, width: int = 2, blocks: int = 4, classes: int = 5
) -> keras.Model:
    """N networks of 1×1 inverted residual blocks: points (B, N, 2) → logits (B, N, classes).

    Each of `blocks` expands `width` channels sixfold (ReLU6) and projects them back. Network n
    keeps `slopes[n]` of what is negative in the projection: 1 is linear, 0 a ReLU, what lies
    between a leaky ReLU; it adds a block's input where `shortcuts[n]` is 1, not where it is 0.
    Raises ValueError unless there are as many slopes as shortcuts. Taught in chapter 4.
    """
    slope, shortcut = (np.atleast_1d(a).astype(np.float32)[:, None] for a in (slopes, shortcuts))
    fits = slope.shape == shortcut.shape and slope.ndim == 2
    check("shortcuts", shortcut.shape[0], fits, f"one for each of {slope.shape[0]} slopes")
    x = inputs = keras.Input((len(slope), 2))
    if width != 2:
        x = convolution(x, width)
    for _ in range(blocks):
        expanded = keras.layers.ReLU(6.0)(convolution(x, 6 * width))
        y = convolution(expanded, width)
        x = keras.ops.maximum(y, 0.0) + keras.ops.minimum(y, 0.0) * slope + x * shortcut
    return keras.Model(inputs, convolution(x, classes))


def train(
    network: keras.Model, points: NDArray, labels: NDArray, steps: int, learning_rate: float = 0.02
) -> None:
    """Adam on all N networks at once: `points` (n, C) and `labels` (n,) are given to each.

    `network` maps (B, N, C) to logits (B, N, classes). Taught in chapter 4.
    """
    N = network.input_shape[1]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(learning_rate), loss, jit_compile=False)
    every = np.repeat(points[:, None], N, axis=1), np.repeat(labels[:, None], N, axis=1)
    network.fit(*every, batch_size=len(points), epochs=steps, shuffle=False, verbose=0)


def accuracies(network: keras.Model, points: NDArray, labels: NDArray) -> NDArray[np.float64]:
    """The fraction of `points` (n, C) that each of the N networks gets right, (N,), 0..1."""
    every = np.repeat(points[:, None], network.input_shape[1], axis=1)
    return (network.predict_on_batch(every).argmax(-1) == labels[:, None]).mean(axis=0)
