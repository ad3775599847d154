"""Standard against separable 3×3 convolution: what the count promises and the stopwatch says.

    python experiments/latency_vs_macs.py

Every pair of channels and side of the feature map, as one float32 layer in LiteRT (one thread) and
in Keras as it comes; the two kinds are timed in turn so that a slow moment hits both. Expected: the
ratio nears 1/N + 1/9 where there are many channels, and stays far above it where there are few.
About three minutes on two cores.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import common
import numpy as np
from tqdm import tqdm

from segcore._files import quiet_stderr
from segcore._keras import keras
from segcore.export.interpreter import open_interpreter
from segcore.inference.benchmark import Run
from segcore.models import cost

CHANNELS = (8, 16, 32, 64, 128, 256)
SIDES = (17, 33, 65, 129)
ROUNDS = 15


def layer(kind: str, side: int, channels: int) -> keras.Model:
    """One convolution from `channels` to as many: "standard", or "separable" in two layers."""
    images = keras.Input((side, side, channels), batch_size=1)
    if kind == "standard":
        x = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False)(images)
    else:
        x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(images)
        x = keras.layers.Conv2D(channels, 1, use_bias=False)(x)
    return keras.Model(images, x)


def interpreter_of(model: keras.Model) -> Run:
    """`model` as a LiteRT interpreter with one thread → a function that runs it once."""
    import tensorflow as tf

    with quiet_stderr():
        content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = open_interpreter(content, 1)
    index = interpreter.get_input_details()[0]["index"]
    image = np.random.default_rng(0).random(model.input_shape, np.float32)

    def run() -> None:
        interpreter.set_tensor(index, image)
        interpreter.invoke()

    return run


def keras_call(model: keras.Model) -> Run:
    """`model` as a compiled Keras function → a function that runs it once."""
    model.compile(jit_compile=False)
    image = np.random.default_rng(0).random(model.input_shape, np.float32)
    return lambda: model.predict_on_batch(image)


def medians(runs: Mapping[str, Run]) -> dict[str, float]:
    """Median milliseconds of each function, called in turn; short ones repeated to be seen."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < 0.004 or count < 1:
                run()
                count += 1
            times[name].append(1000 * (time.perf_counter() - start) / count)
    return {name: round(statistics.median(values), 4) for name, values in times.items()}


def measure(side: int, channels: int) -> common.Row:
    """Counts and times of both kinds at one size."""
    kinds = {kind: layer(kind, side, channels) for kind in ("standard", "separable")}
    macs = {kind: cost.total(cost.layer_costs(model))[1] for kind, model in kinds.items()}
    row: common.Row = {"macs": macs, "theory": round(1 / channels + 1 / 9, 4)}
    for name, wrap in (("litert", interpreter_of), ("keras", keras_call)):
        ms = medians({kind: wrap(model) for kind, model in kinds.items()})
        row[name] = {"ms": ms, "ratio": round(ms["separable"] / ms["standard"], 4)}
    return row


if __name__ == "__main__":
    options = common.options(__doc__, data=False)
    keras.utils.disable_interactive_logging()
    sizes = [(side, channels) for side in SIDES for channels in CHANNELS]
    found: dict[str, dict[str, common.Row]] = {f"side_{side}": {} for side in SIDES}
    for side, channels in tqdm(sizes, unit="size"):
        found[f"side_{side}"][f"channels_{channels}"] = measure(side, channels)
    machine = cost.roofline()
    limits = {
        "gmacs_per_second": round(machine.macs_per_second / 1e9, 1),
        "gbytes_per_second": round(machine.bytes_per_second / 1e9, 1),
        "ridge_macs_per_byte": round(machine.ridge, 2),
    }
    common.record("latency_vs_macs", {**found, "machine": limits}, options)
