"""Whether augmentation on the host starves a training step on the same two cores.

`make bench` runs it; it writes results/augmentation.json. In each round one thread, the one that
`fit` draws with, makes 8 views of 385 pixels from photos of 513, and then the real network takes a
training step on 4 of them; medians over all rounds are compared. The result to expect: views come
several times as fast as steps use them up.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from segcore._keras import keras
from segcore.course import results
from segcore.data import toy
from segcore.data.augment import Augmentation
from segcore.models import deeplab
from segcore.training.losses import CrossEntropyAndDice

SIDE, CROP, VIEWS, BATCH, ROUNDS = 513, 385, 8, 4, 6


def main() -> None:
    options = results.parse(results.parser(__doc__))
    images, masks = toy.scenes(VIEWS, SIDE)
    contents, change = np.full((VIEWS, 2), SIDE, np.float32), Augmentation(CROP)
    network = deeplab.deeplab_v3_plus(CROP)
    network.compile(keras.optimizers.Adam(1e-3), CrossEntropyAndDice(0.0), jit_compile=False)
    rng, drawing, stepping = np.random.default_rng(0), [], []
    for number in range(ROUNDS + 1):
        begin = time.perf_counter()
        inputs, labels = change(rng, images, masks, contents)
        middle = time.perf_counter()
        network.train_on_batch(inputs[:BATCH], labels[:BATCH])
        if number:  # the first step compiles
            drawing.append((middle - begin) / VIEWS)
            stepping.append((time.perf_counter() - middle) / BATCH)
    view, image = statistics.median(drawing), statistics.median(stepping)
    values = {
        "views_per_second": round(1 / view, 1),
        "trained_per_second": round(1 / image, 2),
        "views_per_trained_image": round(image / view, 1),
        "crop": CROP,
        "photo": SIDE,
        "batch": BATCH,
    }
    print(values)
    print(results.record("augmentation", values, seed=0, trial=options.trial))


if __name__ == "__main__":
    main()
