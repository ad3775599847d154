"""Quantisation-aware training on ToyVOC: rounded, biases corrected, and trained while rounded.

    python experiments/toy_qat.py

A network of fourteen convolutions learns on the CPU to tell things from background on 300 drawn
scenes, once for each of three seeds. Then it is quantised three times: after training (its ranges
read from 48 scenes), with biases corrected on these scenes, and with 160 more steps in which it
feels the rounding and imitates itself unrounded. At 8 bits the first and the last become files and
are scored as files; the rest, which no file has, as Keras networks. Scores are the mean IoU of
thing and background on 100 other scenes. Expected: at 8 bits nothing to win; at 3 bits rounding
alone ruins the network, and training brings back more than corrected biases do. About two minutes
a seed on two quiet cores.
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
from segcore.quantisation.bias_correction import correct_network
from segcore.training.batch_norm import re_estimate
from segcore.training.batches import Batches
from segcore.training.fit import Recipe, fit
from segcore.training.losses import CrossEntropyAndDice, Distillation

SIZE, BATCH, SEED = 65, 15, 0  # the scenes' seed
SEEDS = range(3)  # of weights and batches
FLOAT = Recipe(20, 5e-3, loss=CrossEntropyAndDice(dice_weight=0.0))  # epochs of 20 steps
QAT = Recipe(8, 2e-3, loss=Distillation())
BITS, CLASSES = (8, 4, 3), ("background", "thing")
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
        file = load(write_bytes(Path(folder) / "toy.tflite", content), class_names=CLASSES)
        return score(lambda image: file.infer(as_bytes(image)), images, masks)


def as_bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """-1..1 → 0..255."""
    return np.round((image + 1) * 127.5).astype(np.uint8)


def run(seed: int) -> common.Row:
    """Trains, quantises and scores one network."""
    keras.utils.set_random_seed(seed)
    (images, masks), (unseen, truth) = scenes(300, 0), scenes(100, 1000)
    model = network()
    fit(model, Batches((images, masks), BATCH, seed), FLOAT)
    re_estimate(model, np.split(images, 10))
    bits: common.Row = {}
    values: common.Row = {"float32": of_network(model, unseen, truth), "bits": bits}
    folded = fold.fold(model)
    folded.compile(jit_compile=False)
    teacher = np.asarray(keras.ops.softmax(folded.predict(images, verbose=0)))
    ranges = qat.calibrate(folded, [images[:24], images[24:48]])
    for count in BITS:
        corrected, student = (qat.quantise(folded, ranges, count) for _ in range(2))
        row: common.Row = {"ptq": of_network(student, unseen, truth)}
        correct_network(folded, corrected, images[:48])
        row["corrected"] = of_network(corrected, unseen, truth)
        fit(student, Batches((images, teacher), BATCH, seed), QAT)
        bits[str(count)] = row | {"qat": of_network(student, unseen, truth)}
        print(seed, count, bits[str(count)], flush=True)
        if count == 8:
            values["files"] = files(model, student, images, unseen, truth)
    return values


def spread(found: list[float]) -> common.Row:
    """Mean, least and most of one score or difference over the seeds."""
    ends = {"mean": float(np.mean(found)), "least": min(found), "most": max(found)}
    return {name: common.fraction(value) for name, value in ends.items()}


def main() -> None:
    options = common.options(__doc__, data=False)
    runs = [run(seed) for seed in SEEDS]
    values: common.Row = {"seeds": len(SEEDS)}
    values["float32"] = spread([common.number(run, "float32") for run in runs])
    bits: common.Row = {}
    for count in map(str, BITS):
        found = {
            way: [common.number(run, f"bits.{count}.{way}") for run in runs]
            for way in ("ptq", "corrected", "qat")
        }
        bits[count] = {way: spread(scores) for way, scores in found.items()} | {
            f"qat_above_{way}": spread(list(np.subtract(found["qat"], found[way])))
            for way in ("ptq", "corrected")
        }
    values |= {"bits": bits, "files": runs[0]["files"], "runs": runs}
    common.record("toy_qat", values, options, SEEDS[0])


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
