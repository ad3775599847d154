"""How many images a second Keras' training step takes: jax in bfloat16, on a GPU.

    python benchmarks/throughput.py

`make bench` runs it; where there is no GPU it says so and leaves the record as it is. The network
is DeepLabV3+ for 21 classes on crops of 385 pixels, the loss that of experiments/camvid.py, and one
batch is used again and again, so that nothing waits for data. After the first steps, which compile,
40 are timed at each batch size. The record on one H100 is of commit 47c1d4f28c, whose step also cut
the views.
"""

from __future__ import annotations

import os
import time

os.environ["KERAS_BACKEND"] = "jax"

from segcore._keras import keras
from segcore.course import results
from segcore.data import toy
from segcore.data.images import signed
from segcore.models import deeplab
from segcore.training.losses import CrossEntropyAndDice

CROP, CLASSES, BATCHES, STEPS = 385, 21, (16, 64), 40


def speed(model: keras.Model, batch: int) -> float:
    """Images a second over `STEPS` steps."""
    images, masks = toy.scenes(batch, CROP)
    inputs = signed(images)
    for _ in range(3):
        model.train_on_batch(inputs, masks)
    begin = time.perf_counter()
    for _ in range(STEPS):
        model.train_on_batch(inputs, masks)
    return batch * STEPS / (time.perf_counter() - begin)


def main() -> None:
    import jax

    options = results.parse(results.parser(__doc__))
    if jax.default_backend() != "gpu":
        print("no GPU here: results/throughput.json stays as it is")
        return
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = deeplab.deeplab_v3_plus(CROP, CLASSES)
    model.compile(keras.optimizers.Adam(1e-4), CrossEntropyAndDice(), jit_compile=True)
    found = {f"batch_{batch}": round(speed(model, batch), 1) for batch in BATCHES}
    values = {"images_per_second": found, "crop": CROP, "policy": "mixed_bfloat16"}
    print(values)
    device = jax.devices()[0].device_kind
    print(results.record("throughput", values, 0, device, trial=options.trial))


if __name__ == "__main__":
    main()
