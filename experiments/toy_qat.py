"""Quantisation-aware training on ToyVOC: float32, rounded, and trained while rounded.

    python experiments/toy_qat.py

A network of fourteen convolutions learns on the CPU to tell things from background on 300 drawn
scenes. Then it is quantised twice: after training (its ranges read from 48 scenes), and with 160
more steps in which it feels the rounding and imitates itself unrounded. At 8 bits both become files
and are scored as files; at 6, 4 and 3 bits, which no file has, as Keras networks. Scores are the
mean IoU of thing and background on 100 other scenes. Expected: at 8 bits nothing to win, at 3 bits
rounding alone ruins the network and training brings half of it back. Under two minutes on two
quiet cores.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import common
import numpy as np
from numpy.typing import NDArray

from segcore import metrics
from segcore._files import write_bytes
from segcore._keras import keras
from segcore.data import toy
from segcore.data.images import signed
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.inference.segmenter import load
from segcore.models import blocks, checkpoint
from segcore.quantisation import fold, qat
from segcore.training.batch_norm import re_estimate
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit
from segcore.training.losses import CrossEntropyAndDice, Distillation

SIZE, BATCH, SEED = 65, 15, 0
FLOAT = Recipe(20, 5e-3, loss=CrossEntropyAndDice(dice_weight=0.0))  # epochs of 20 steps
QAT = Recipe(8, 2e-3, loss=Distillation())
BITS = (8, 6, 4, 3)
Infer = Callable[[NDArray], NDArray]


def scenes(count: int, start: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Images (N, S, S, 3) float32 in [-1, 1] and masks (N, S, S): 0, 1 for a thing, 255 void."""
    images, masks = toy.scenes(count, SIZE, SEED, start)
    return signed(images), np.where((masks > 0) & (masks < 255), 1, masks).astype(np.uint8)


def network(batch_size: int | None = None) -> keras.Model:
    """Four inverted residuals of growing atrous rate; the network of chapter 10."""
    x = photo = keras.Input((SIZE, SIZE, 3), batch_size)
    x = keras.layers.Conv2D(16, 3, 2, "same", use_bias=False, name="first")(x)
    x = blocks.normalise(x, "first_BN", "relu6")
    for number, (stride, rate) in enumerate([(2, 1), (1, 1), (1, 2), (1, 4)]):
        x = blocks.inverted_residual(x, blocks.Bottleneck(16, 4, stride, rate), f"block_{number}")
    x = keras.layers.Conv2D(2, 1, name="logits")(x)
    return keras.Model(photo, blocks.upsample_aligned(x, 4, "logits"))


def score(infer: Infer, images: NDArray, masks: NDArray) -> float | None:
    """Mean IoU of thing and background, 0..1."""
    confusion = sum(
        metrics.confusion_matrix(mask, infer(image).argmax(-1), 2)
        for image, mask in zip(images, masks, strict=True)
    )
    return common.fraction(metrics.mean_iou(np.asarray(confusion)))


def of_network(model: keras.Model, images: NDArray, masks: NDArray) -> float | None:
    """`score` of a Keras model."""
    model.compile(jit_compile=False)
    return score(lambda image: model.predict_on_batch(image[None])[0], images, masks)


def of_file(content: bytes, images: NDArray, masks: NDArray) -> float | None:
    """`score` of a .tflite."""
    with tempfile.TemporaryDirectory() as folder:
        file = load(write_bytes(Path(folder) / "toy.tflite", content))
        return score(lambda image: file.infer(as_bytes(image)), images, masks)


def as_bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """-1..1 → 0..255."""
    return np.round((image + 1) * 127.5).astype(np.uint8)


def main() -> None:
    options = common.options(__doc__, data=False)
    keras.utils.set_random_seed(SEED)
    (images, masks), (unseen, truth) = scenes(300, 0), scenes(100, 1000)
    model = network()
    fit(model, Batches((images, masks), BATCH, SEED), FLOAT)
    re_estimate(model, np.split(images, 10))
    bits: common.Row = {}
    values: common.Row = {"float32": of_network(model, unseen, truth), "bits": bits}
    print("float32", values["float32"], flush=True)
    folded = fold.fold(model)
    folded.compile(jit_compile=False)
    teacher = np.asarray(keras.ops.softmax(folded.predict(images, verbose=0)))
    ranges = qat.calibrate(folded, [images[:24], images[24:48]])
    for count in BITS:
        student = qat.quantise(folded, ranges, count)
        rounded = of_network(student, unseen, truth)
        fit(student, Batches((images, teacher), BATCH, SEED), QAT)
        bits[str(count)] = {"ptq": rounded, "qat": of_network(student, unseen, truth)}
        print(count, bits[str(count)], flush=True)
        if count == 8:
            values["files"] = files(model, student, images, unseen, truth)
            print(values["files"], flush=True)
    common.record("toy_qat", values, options, SEED)


def files(
    model: keras.Model, student: keras.Model, images: NDArray, unseen: NDArray, truth: NDArray
) -> common.Row:
    """The 8-bit files: rounded after training, and trained while rounded."""
    plain, trained = network(1), qat.quantise(network(1))
    checkpoint.load_weights(plain, checkpoint.arrays_of(model))
    checkpoint.load_weights(trained, checkpoint.arrays_of(student))
    photos = Calibration(tuple(as_bytes(image) for image in images[:48]))
    contents = {
        "ptq": to_tflite(plain, "int8", photos),
        "qat": to_tflite(trained, "int8"),
        "float32": to_tflite(plain, "float32"),
    }
    return {
        name: {"miou": of_file(content, unseen, truth), "bytes": len(content)}
        for name, content in contents.items()
    }


if __name__ == "__main__":
    main()
