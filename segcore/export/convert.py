"""A Keras network becomes a .tflite file, in four precisions, and is held to what it promised."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from segcore._errors import check
from segcore._files import quiet_stderr
from segcore.export import tflite
from segcore.export.calibration import Calibration

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Precision:
    """What a file stores its kernels as, and what its operators compute in."""

    weights: str
    activations: str
    meaning: str


PRECISIONS = {
    "float32": Precision("float32", "float32", "as trained"),
    "float16": Precision("float16", "float32", "kernels stored in half the bytes"),
    "dynamic": Precision("int8", "float32", "activations rounded anew for each photo, by operator"),
    "int8": Precision("int8", "int8", "integers from the first operator to the last"),
}
NO_RANGES = "calibration is None and the network has no ranges of its own; name some photos: "
INTERFACES = ("uint8", "int8", "float32")  # how photos enter an int8 file and scores leave it


def to_tflite(
    network: keras.Model,
    precision: str,
    calibration: Calibration | None = None,
    interface: str = "uint8",
    argmax: bool = False,
) -> bytes:
    """A Keras `network` with a batch of 1, images (1, S, S, 3) in [-1, 1] → bytes of a .tflite.

    int8 needs a `calibration`, unless the network carries its own ranges (see `qat`); `interface`
    says what goes in and out of it. With `argmax` class ids (1, S, S) int32 come out, else logits.
    Raises ValueError naming the argument, and when a file that should be int8 computes in float.
    Jacob et al. 2018, Quantization and Training of Neural Networks. Taught in chapter 9.
    """
    _check(network, precision, interface)
    if argmax:
        network = _with_argmax(network)
    from tensorflow.lite.python.convert_phase import ConverterError

    with _silence():
        converter = _converter(network, precision, calibration, interface)
        try:
            content = bytes(converter.convert())
        except (ConverterError, ValueError, RuntimeError) as error:
            why = (str(error).splitlines() or ["unknown"])[0][:200]
            advice = NO_RANGES if precision == "int8" and calibration is None else ""
            raise ValueError(f"no {precision} file from this network: {advice}{why}") from error
    if precision == "int8" and (floats := tflite.File(content).summary()["in_float"]):
        raise ValueError(f"{NO_RANGES}{', '.join(floats)} stayed in float")
    return content


def _converter(
    network: keras.Model, precision: str, calibration: Calibration | None, interface: str
) -> Any:
    """TensorFlow's converter with the switches of one precision."""
    import tensorflow as tf

    side = network.input_shape[1]
    frozen = _freeze(network, tf.TensorSpec(network.input_shape, name="image"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if precision == "float32":
        return converter
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.inference_input_type = tf.as_dtype(interface)
        converter.inference_output_type = tf.as_dtype(interface)
        if calibration is not None:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: ([x] for x in calibration.images(side))
    return converter


def _freeze(network: keras.Model, image: Any) -> Any:
    """`network` as one TensorFlow graph that holds its weights.

    Four times as fast as the converter's own way, which first writes the network to a folder.
    """
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    graph = tf.function(lambda x: network(x, training=False)).get_concrete_function(image)
    return convert_to_constants.convert_variables_to_constants_v2(graph)


def _with_argmax(network: keras.Model) -> Any:
    """`network` followed by the number of the highest score, int32.

    TensorFlow's own argmax: that of Keras treats -0.0 apart, with operators that TFLite lacks.
    """
    import tensorflow as tf

    from segcore._keras import keras

    winner = keras.layers.Lambda(lambda x: tf.argmax(x, -1, output_type=tf.int32), name="winner")
    return keras.Model(network.input, winner(network.output))


def _check(network: keras.Model, precision: str, interface: str) -> None:
    check("precision", precision, precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}")
    check("interface", interface, interface in INTERFACES, f"one of {', '.join(INTERFACES)}")
    for variable in network.weights:
        if not np.isfinite(np.asarray(variable, np.float32)).all():  # the converter hides infinity
            raise ValueError(f"network: {variable.path} holds values that are not finite")
    shape = getattr(network, "input_shape", None)
    fits = isinstance(shape, tuple) and len(shape) == 4 and shape[0] == 1
    why = "with a free batch, atrous convolutions fall apart into three operators"
    check("input", shape, fits, f"one image (1, S, S, 3): build with batch_size=1, for {why}")


_ONE_AT_A_TIME = Lock()  # loggers and warnings belong to the process, not to a thread


@contextmanager
def _silence() -> Iterator[None]:
    """Without the warnings that the converter has for every network."""
    with _ONE_AT_A_TIME, quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logged = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logged)
