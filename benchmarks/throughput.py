"""How many images a second the training step eats: jax in bfloat16, on a GPU.

    python benchmarks/throughput.py

`make bench` runs it; where there is no GPU it says so and leaves the record as it is. The network
is DeepLabV3+ for 21 classes, the loss that of experiments/camvid.py: random views of 385 pixels are
cut from photos of 513 on the GPU itself, inside the compiled step. After the first steps, which
compile, 40 are timed at each batch size. To expect on one H100: results/throughput.json.
"""

import os
import time

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=false")  # compiles in a minute

import numpy as np

from segcore._keras import keras
from segcore.course import results
from segcore.data import augment, toy
from segcore.models import deeplab
from segcore.training import fast, losses
from segcore.training.runs import Run
from segcore.training.trainer import Trainer

SIDE, CROP, CLASSES, BATCHES, STEPS = 513, 385, 21, (16, 64), 40


def speed(trainer: Trainer, photos: tuple, batch: int) -> float:
    """Images a second over `STEPS` steps of `batch` views, drawn as a real run draws them."""
    import jax

    content, rng = np.full((batch, 2), SIDE, np.float32), np.random.default_rng(0)

    def step() -> object:
        view = tuple(augment.draw(rng, content, CROP, augment.Recipe()))
        index = rng.integers(0, len(photos[0]), batch).astype(np.int32)
        return trainer.step({"index": index, "view": view, "data": photos}, 1e-4)

    for _ in range(3):
        jax.block_until_ready(step())
    begin = time.perf_counter()
    for _ in range(STEPS):
        last = step()
    jax.block_until_ready(last)
    return batch * STEPS / (time.perf_counter() - begin)


def main() -> None:
    import jax
    import jax.numpy as jnp

    if jax.default_backend() != "gpu":
        print("no GPU here: results/throughput.json stays as it is")
        return
    images, masks = toy.scenes(32, SIDE)
    photos = (
        jnp.asarray(images), jnp.full((len(images), 2), SIDE, jnp.float32), jnp.asarray(masks)
    )  # fmt: skip
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = fast.fast(deeplab.deeplab_v3_plus(CROP, CLASSES))
    trainer = Trainer(network, Run(STEPS, 1e-4), losses.on_views(CROP))
    found = {f"batch_{batch}": round(speed(trainer, photos, batch), 1) for batch in BATCHES}
    values = {"images_per_second": found, "crop": CROP, "photo": SIDE, "policy": "mixed_bfloat16"}
    print(values)
    print(results.record("throughput", values, seed=0, device=jax.devices()[0].device_kind))


if __name__ == "__main__":
    main()
