"""Where the time of a small convolution goes: its halves, a layer that only moves bytes, the call.

    python experiments/convolution_parts.py

Float32 on a feature map of 33×33, one thread: a ReLU (it reads and writes the same bytes as a
depthwise convolution and computes nothing to speak of), a depthwise 3×3, a pointwise 1×1 and a
standard 3×3 convolution, in LiteRT and as a TensorFlow graph, where a layer that returns its input
measures the call. The shortest of many runs, in microseconds: what the machine does meanwhile can
only lengthen a run. Expected: the depthwise half computes at a fraction of the speed of the other
two, and takes several times as long as the ReLU. A minute on two cores.
"""

from __future__ import annotations

import common
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segcore._keras import keras
from segcore.course import layer_times
from segcore.inference import benchmark

SIDE, ROUNDS = 33, 400
CHANNELS = (8, 16, 32, 64)


def parts(channels: int) -> dict[str, keras.layers.Layer]:
    """One layer of each kind, from `channels` to as many."""
    layers = keras.layers
    return {
        "relu": layers.ReLU(),
        "depthwise": layers.DepthwiseConv2D(3, padding="same", use_bias=False),
        "pointwise": layers.Conv2D(channels, 1, use_bias=False),
        "standard": layers.Conv2D(channels, 3, padding="same", use_bias=False),
    }


def graph_run(layer: keras.layers.Layer, channels: int) -> benchmark.Run:
    """`layer` as a TensorFlow graph → a function that runs it once."""
    import tensorflow as tf

    features = np.random.default_rng(0).random((1, SIDE, SIDE, channels), np.float32)
    call, tensor = tf.function(layer), tf.constant(features)
    return lambda: call(tensor).numpy()


def shortest(times: NDArray[np.float64]) -> float:
    """Microseconds of the shortest of `times` in milliseconds."""
    return round(1000 * float(times.min()), 2)


def in_tensorflow(channels: int) -> dict[str, float]:
    """Microseconds of each part, and of the `call` alone, as TensorFlow graphs."""
    import tensorflow as tf

    layers = {**parts(channels), "call": keras.layers.Lambda(tf.identity)}
    runs = {name: graph_run(layer, channels) for name, layer in layers.items()}
    for run in runs.values():
        run()
    found = {name: np.zeros(ROUNDS) for name in runs}
    for number in range(ROUNDS):
        for name, run in runs.items():
            found[name][number] = benchmark.milliseconds(run)
    return {name: shortest(times) for name, times in found.items()}


def measure(channels: int) -> common.Row:
    """Multiply-adds of each part at one position, and its microseconds in both runtimes."""
    stacks = {name: [layer] for name, layer in parts(channels).items()}
    litert = layer_times.milliseconds(stacks, (SIDE, SIDE, channels), ROUNDS)
    macs = {"relu": 0, "depthwise": 9 * channels, "pointwise": channels**2,
            "standard": 9 * channels**2}  # fmt: skip
    us = {name: shortest(times) for name, times in litert.items()}
    gmacs = {name: round(macs[name] * SIDE**2 / us[name] / 1000, 1) for name in us}
    return {
        "macs_at_a_position": macs,
        "litert": {"us": us, "gmacs_per_second": gmacs,
                   "depthwise_over_relu": round(us["depthwise"] / us["relu"], 1)},
        "tensorflow": {"us": in_tensorflow(channels)},
    }  # fmt: skip


if __name__ == "__main__":
    options = common.options(__doc__, data=False)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    rows = {f"channels_{channels}": measure(channels) for channels in tqdm(CHANNELS, unit="size")}
    common.record("convolution_parts", {"side": SIDE, **rows}, options)
