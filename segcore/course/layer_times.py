"""Single layers on a stopwatch: what one convolution takes in LiteRT on one thread."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from segcore._errors import check
from segcore._keras import keras
from segcore.export.convert import to_tflite
from segcore.inference import benchmark

Layers = Sequence[keras.layers.Layer]


def milliseconds(
    stacks: Mapping[str, Layers], shape: tuple[int, int, int], rounds: int = 30
) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of each of `stacks` in each of `rounds`, (rounds,) by name.

    A stack is a sequence of Keras layers; they are applied one after another to one square feature
    map of `shape` (H, W, C), as a float32 .tflite in LiteRT on one thread. All are timed in turn,
    so that a slow moment of the machine hits all of them. ValueError for no stacks, no rounds or a
    map that is not square. Taught in chapter 3.
    """
    check("stacks", list(stacks), stacks, "one or more")
    check("rounds", rounds, rounds >= 1, "1 or more")
    check("shape", shape, shape[0] == shape[1], "a square feature map (H, H, C)")
    runs = {name: benchmark.file_run(_file(stack, shape), 1) for name, stack in stacks.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(benchmark.milliseconds(run, at_least=benchmark.SHORT_MS))
    return {name: np.array(values) for name, values in times.items()}


def _file(stack: Layers, shape: tuple[int, int, int]) -> bytes:
    """The .tflite of `stack` on one feature map."""
    x = features = keras.Input(shape, batch_size=1)
    for layer in stack:
        x = layer(x)
    return to_tflite(keras.Model(features, x), "float32")
