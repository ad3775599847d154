"""Whether augmentation on the host starves a training step on the same two cores.

`make bench` runs it; it writes results/augmentation.json. In each round one thread, the one that
`train` draws with, makes 8 views of 385 pixels from photos of 513, and then the real
network takes a training step on 4 of them; medians over all rounds are compared. The result to
expect: views come several times as fast as steps use them up.
"""

import statistics
import time

import numpy as np

from segcore.course import results
from segcore.data import augment, toy
from segcore.models import deeplab
from segcore.training import losses
from segcore.training.runs import Run
from segcore.training.trainer import Trainer

SIDE, CROP, VIEWS, BATCH, ROUNDS = 513, 385, 8, 4, 6


def views(rng: np.random.Generator, images: np.ndarray, masks: np.ndarray) -> dict:
    """A batch of `VIEWS` random views."""
    content = np.full((VIEWS, 2), SIDE, np.float32)
    drawn = augment.draw(rng, content, CROP, augment.Recipe())
    index = rng.integers(0, len(images), VIEWS)
    pairs = [
        augment.apply(images[k], masks[k], content[i], augment.View(*(f[i] for f in drawn)), CROP)
        for i, k in enumerate(index)
    ]
    shown, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    return {"image": shown, "mask": labels.astype(np.int32)}


def objective(call, batch):
    loss = losses.cross_entropy(call(batch["image"]), batch["mask"])
    return loss, {}


def main() -> None:
    images, masks = toy.scenes(8, SIDE)
    network = deeplab.deeplab_v3_plus(CROP)
    trainer = Trainer(network, Run(ROUNDS, 1e-3), objective)
    rng, drawing, stepping = np.random.default_rng(0), [], []
    for number in range(ROUNDS + 1):
        begin = time.perf_counter()
        batch = views(rng, images, masks)
        middle = time.perf_counter()
        part = {key: array[:BATCH] for key, array in batch.items()}
        float(trainer.step(part, 1e-3)["loss"])
        if number:  # the first step compiles
            drawing.append((middle - begin) / VIEWS)
            stepping.append((time.perf_counter() - middle) / BATCH)
    view, image = statistics.median(drawing), statistics.median(stepping)
    values = {
        "views_per_second": round(1 / view, 1),
        "trained_per_second": round(1 / image, 2),
        "views_per_trained_image": round(image / view, 1),
        "crop": CROP, "photo": SIDE, "batch": BATCH,
    }  # fmt: skip
    print(values)
    print(results.record("augmentation", values, seed=0))


if __name__ == "__main__":
    main()
