"""The losses of one device and of two, by the backend at hand, as JSON on standard output.

Two logical CPUs: under tensorflow `MirroredStrategy`, under jax `DataParallel` over the two devices
that XLA_FLAGS=--xla_force_host_platform_device_count=2 makes.
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

if os.environ.get("KERAS_BACKEND") != "jax":  # before the first operation
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import toy_run

from segcore._keras import keras
from segcore.training.fit import fit


def two_devices() -> AbstractContextManager[Any]:
    """The scope in which a model is spread over both."""
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
        return nullcontext()
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()


def main() -> None:
    found: dict[str, Any] = {}
    for name, scope in (("one", nullcontext), ("two", two_devices)):
        with scope():
            model = toy_run.network()
            found[name] = fit(
                model, toy_run.data(), toy_run.RECIPE, validation=toy_run.validation()
            )
        found[name]["weights"] = [keras.ops.convert_to_numpy(v).tolist() for v in model.variables]
    found["refused"] = refused() if keras.backend.backend() == "tensorflow" else []
    print(json.dumps(found))


def refused() -> list[str]:
    """What `fit` says to runs that two devices would do otherwise."""
    said = []
    for recipe, size in ((toy_run.recipe(clip=1.0), 4), (toy_run.RECIPE, 3)):
        with two_devices():
            try:
                fit(toy_run.network(), toy_run.data(size=size), recipe)
            except ValueError as error:
                said.append(str(error))
    return said


if __name__ == "__main__":
    main()
