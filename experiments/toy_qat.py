"""Quantisation-aware training on ToyVOC: float32, rounded, and trained while rounded.

    python experiments/toy_qat.py

A network of fourteen convolutions learns on the CPU to tell things from background on 300 drawn
scenes. Then it is quantised twice: after training (its ranges read from 48 scenes), and with 150
more steps in which it feels the rounding and imitates itself unrounded. At 8 bits both become files
and are scored as files; at 6, 4 and 3 bits, which no file has, as Keras networks. Scores are the
mean IoU of thing and background on 100 other scenes. Expected: at 8 bits nothing to win, at 3 bits
rounding alone ruins the network and training brings half of it back. Under two minutes on two
quiet cores.
"""

import tempfile
from pathlib import Path

import numpy as np

from segcore import metrics
from segcore._files import write_bytes
from segcore._keras import keras
from segcore.course import results
from segcore.data import toy
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.inference.segmenter import load
from segcore.models import blocks, checkpoint
from segcore.quantisation import fold, qat
from segcore.training import losses
from segcore.training.trainer import re_estimate

SIZE, BATCH, SEED = 65, 15, 0
FLOAT_STEPS, QAT_STEPS = 400, 150
BITS = (8, 6, 4, 3)


def scenes(count, start):
    """Images (N, S, S, 3) float32 in [-1, 1] and masks (N, S, S): 0, 1 for a thing, 255 void."""
    images, masks = toy.scenes(count, SIZE, SEED, start)
    return images / np.float32(127.5) - 1, np.where((masks > 0) & (masks < 255), 1, masks)


def network(batch_size=None):
    """Four inverted residuals of growing atrous rate; the network of chapter 9."""
    x = photo = keras.Input((SIZE, SIZE, 3), batch_size)
    x = keras.layers.Conv2D(16, 3, 2, "same", use_bias=False, name="first")(x)
    x = blocks.normalise(x, "first_BN", "relu6")
    for number, (stride, rate) in enumerate([(2, 1), (1, 1), (1, 2), (1, 4)]):
        x = blocks.inverted_residual(x, blocks.Bottleneck(16, 4, stride, rate), f"block_{number}")
    x = keras.layers.Conv2D(2, 1, name="logits")(x)
    return keras.Model(photo, blocks.upsample_aligned(x, 4, "logits"))


def fit(model, objective, optimizer, images, extra, steps):
    """`steps` batches of images and of what `objective(logits, extra)` wants beside them."""
    import tensorflow as tf

    rng = np.random.default_rng(SEED)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = objective(model(x, training=True), y)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    for _ in range(steps):
        chosen = rng.integers(len(images), size=BATCH)
        loss = step(images[chosen], extra[chosen])
    return float(loss)


def score(infer, images, masks):
    """Mean IoU in percent of thing and background."""
    confusion = sum(
        metrics.confusion_matrix(mask, infer(image).argmax(-1), 2)
        for image, mask in zip(images, masks, strict=True)
    )
    return round(100 * metrics.mean_iou(confusion), 2)


def of_network(model, images, masks):
    model.compile(jit_compile=False)
    return score(lambda image: model.predict_on_batch(image[None])[0], images, masks)


def of_file(content, images, masks):
    with tempfile.TemporaryDirectory() as folder:
        file = load(write_bytes(Path(folder) / "toy.tflite", content))
        return score(lambda image: file.infer(as_bytes(image)), images, masks)


def as_bytes(image):
    return np.round((image + 1) * 127.5).astype(np.uint8)


def imitate(logits, target):
    """How far the answer is from the unrounded network's."""
    return losses.distillation(logits, target, np.ones(target.shape[:3], bool))


def main():
    keras.utils.set_random_seed(SEED)
    (images, masks), (unseen, truth) = scenes(300, 0), scenes(100, 1000)
    model = network()
    rate = keras.optimizers.schedules.CosineDecay(5e-3, FLOAT_STEPS)
    fit(model, losses.cross_entropy, keras.optimizers.Adam(rate), images, masks, FLOAT_STEPS)
    re_estimate(model, [images[i : i + 30] for i in range(0, 300, 30)])
    values = {"float32": of_network(model, unseen, truth), "bits": {}}
    print("float32", values["float32"], flush=True)
    folded = fold.fold(model)
    folded.compile(jit_compile=False)
    parts = [folded.predict_on_batch(images[i : i + 20]) for i in range(0, 300, 20)]
    target = np.concatenate(parts)
    target = np.exp(target - target.max(-1, keepdims=True))
    target /= target.sum(-1, keepdims=True)
    ranges = qat.calibrate(folded, [images[:24], images[24:48]])
    for bits in BITS:
        student = qat.quantise(folded, ranges, bits)
        rounded = of_network(student, unseen, truth)
        rate = keras.optimizers.schedules.CosineDecay(2e-3, QAT_STEPS)
        fit(student, imitate, keras.optimizers.Adam(rate), images, target, QAT_STEPS)
        values["bits"][str(bits)] = {"ptq": rounded, "qat": of_network(student, unseen, truth)}
        print(bits, values["bits"][str(bits)], flush=True)
        if bits == 8:
            values["files"] = files(model, student, images, unseen, truth)
            print(values["files"], flush=True)
    print(results.record("toy_qat", values, SEED))


def files(model, student, images, unseen, truth):
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
    return {name: {"miou": of_file(content, unseen, truth), "bytes": len(content)}
            for name, content in contents.items()}  # fmt: skip


if __name__ == "__main__":
    main()
