"""A Keras network becomes a .tflite file, in four precisions, and is held to what it promised."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore import metrics, runtime, tflite
from segcore._files import replacing
from segcore._stderr import quiet_stderr
from segcore.calibration import Calibration as Calibration
from segcore.calibration import draw as draw
from segcore.data import voc
from segcore.data.images import letterbox, read_image, unletterbox


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


def convert(
    network: Any,
    precision: str,
    calibration: Calibration | None = None,
    interface: str = "uint8",
    argmax: bool = False,
) -> bytes:
    """A Keras `network` with a batch of 1, images (1, S, S, 3) in [-1, 1] → bytes of a .tflite.

    int8 needs a `calibration`, unless the network carries its own ranges (see `qat`); `interface`
    says what goes in and out of it. With `argmax` class ids (1, S, S) int32 come out, else logits.
    Raises ValueError naming the argument, and when a file that should be int8 computes in float.
    Jacob et al. 2018, Quantization and Training of Neural Networks. Taught in chapter 8.
    """
    _check(network, precision, interface)
    if argmax:
        network = _with_argmax(network)
    with _silence():
        converter = _converter(network, precision, calibration, interface)
        try:
            content = bytes(converter.convert())
        except Exception as error:  # the converter raises its own, of several unrelated kinds
            why = (str(error).splitlines() or ["unknown"])[0][:200]
            advice = NO_RANGES if precision == "int8" and calibration is None else ""
            raise ValueError(f"no {precision} file from this network: {advice}{why}") from None
    if precision == "int8":
        _check_integers(content)
    return content


def write(path: str | Path, content: bytes) -> Path:
    """Writes `content` whole or not at all → the path."""
    with replacing(path) as file:
        file.write(content)
    return Path(path)


def contents(path: str | Path) -> dict[str, Any]:
    """What is in the file: bytes, operators by kind, kinds that compute in float. For JSON."""
    operators = tflite.operators(path)
    kinds = sorted({operator.kind for operator in operators})
    return {
        "bytes": Path(path).stat().st_size,
        "mib": round(Path(path).stat().st_size / 2**20, 2),
        "operators": {kind: sum(o.kind == kind for o in operators) for kind in kinds},
        "in_float": sorted({o.kind for o in operators if o.in_float}),
    }


def contract(
    path: str | Path,
    reference: runtime.Segmenter,
    pairs: Iterable[tuple[Path, Path]],
    min_pixels: int = 1,
) -> dict[str, Any]:
    """`contents` of the file at `path`, and how its answers differ from those of `reference`.

    Over all (photo, mask) `pairs`, at native size: `logit_difference`, the largest one between
    scores (None where one of the two gives class ids); `changed`, the share of pixels (0..1) with
    another class; `confusion` (21, 21), and from it `accuracy` and `miou` (0..1), the latter over
    classes with `min_pixels` labelled pixels. Taught in chapter 8.
    """
    segmenter = runtime.load(path)
    if segmenter.size != reference.size:
        raise ValueError(f"reference is made for {reference.size} pixels, {path} for another size")
    confusion = np.zeros((voc.NUM_CLASSES, voc.NUM_CLASSES), np.int64)
    changed, pixels, differences = 0, 0, []
    for photo, mask in pairs:
        ours, theirs, difference = _both(segmenter, reference, read_image(photo))
        confusion += metrics.confusion_matrix(voc.read_mask(mask), ours)
        changed, pixels = changed + int((ours != theirs).sum()), pixels + ours.size
        differences += [difference] if difference is not None else []
    return contents(path) | {
        "logit_difference": max(differences, default=None),
        "changed": changed / pixels if pixels else float("nan"),
        "confusion": confusion,
        "accuracy": metrics.pixel_accuracy(confusion),
        "miou": metrics.mean_iou(confusion, min_pixels),
    }


def _both(
    segmenter: runtime.Segmenter, reference: runtime.Segmenter, image: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], float | None]:
    """The masks (H, W) of two networks, and the largest difference between their scores if any."""
    box, content = letterbox(image, segmenter.size)
    answers = [model.infer(box) for model in (segmenter, reference)]
    ours, theirs = (unletterbox(a, content, image.shape[:2]) for a in answers)
    comparable = answers[0].shape == answers[1].shape and answers[0].ndim == 3
    return ours, theirs, float(np.abs(answers[0] - answers[1]).max()) if comparable else None


def _converter(
    network: Any, precision: str, calibration: Calibration | None, interface: str
) -> Any:
    """TensorFlow's converter with the switches of one precision."""
    import tensorflow as tf

    side = network.input_shape[1]
    frozen = _freeze(network, tf.TensorSpec((1, side, side, 3), name="image"))
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


def _freeze(network: Any, image: Any) -> Any:
    """`network` as one TensorFlow graph that holds its weights.

    Four times as fast as the converter's own way, which first writes the network to a folder.
    """
    import tensorflow as tf
    from tensorflow.python.framework import convert_to_constants

    graph = tf.function(lambda x: network(x, training=False)).get_concrete_function(image)
    return convert_to_constants.convert_variables_to_constants_v2(graph)


def _with_argmax(network: Any) -> Any:
    """`network` followed by the number of the highest score, int32.

    TensorFlow's own argmax: that of Keras treats -0.0 apart, with operators that TFLite lacks.
    """
    import tensorflow as tf

    from segcore._keras import keras

    winner = keras.layers.Lambda(lambda x: tf.argmax(x, -1, output_type=tf.int32), name="winner")
    return keras.Model(network.input, winner(network.output))


def _check(network: Any, precision: str, interface: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not known; wanted {', '.join(PRECISIONS)}")
    if interface not in INTERFACES:
        raise ValueError(f"interface {interface!r} is not known; wanted {', '.join(INTERFACES)}")
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[0] != 1:
        raise ValueError(
            f"network takes {shape}; wanted one image (1, S, S, 3), since with a free batch atrous "
            "convolutions fall apart into three operators: build it with batch_size=1"
        )


def _check_integers(content: bytes) -> None:
    """Refuses a file that computes in float although int8 was asked for."""
    floats = sorted({o.kind for o in tflite.operators(content) if o.in_float})
    if floats:
        raise ValueError(f"{NO_RANGES}{', '.join(floats)} stayed in float")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without the pages that the converter prints about what it saved on its way."""
    logged = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet_stderr(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logged)
