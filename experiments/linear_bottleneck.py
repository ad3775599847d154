"""Linear or ReLU behind the projection, with a shortcut and without: many tiny networks.

    python experiments/linear_bottleneck.py

Four blocks of chapter 4 on five arms of a spiral, bottlenecks of 2 and of 4 channels; forty random
starts of each kind, trained side by side on the same points. For each kind the mean accuracy on
new points, the lowest and the highest; for linear less ReLU the 95 % interval of the difference of
means (percentile bootstrap over starts). Other starts or another processor move each number; the
intervals say how far. Expected: the linear bottleneck is better without a shortcut and with one,
and the gain shrinks with 4 channels. Ten minutes on two cores.
"""

from __future__ import annotations

import common
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segcore._keras import keras
from segcore.course import tiny_networks

ARMS, STARTS, STEPS, SEED = 5, 40, 150, 1
KINDS = {"linear": (1, 0), "relu": (0, 0), "linear_shortcut": (1, 1), "relu_shortcut": (0, 1)}


def accuracies(width: int) -> dict[str, NDArray[np.float64]]:
    """Accuracies 0..1 on new points of every kind of network with bottlenecks of `width`."""
    keras.utils.set_random_seed(SEED)
    slopes, shortcuts = np.repeat(list(KINDS.values()), STARTS, axis=0).T
    network = tiny_networks.bottlenecks(slopes, shortcuts, width, classes=ARMS)
    tiny_networks.train(network, *tiny_networks.spiral_arms(100 * ARMS, 0, ARMS), steps=STEPS)
    found = tiny_networks.accuracies(network, *tiny_networks.spiral_arms(200 * ARMS, 1, ARMS))
    return dict(zip(KINDS, found.reshape(len(KINDS), STARTS), strict=True))


def row(found: NDArray[np.float64]) -> common.Row:
    """Mean, lowest and highest accuracy of one kind."""
    return {"mean": round(float(found.mean()), 3), "low": round(float(found.min()), 3),
            "high": round(float(found.max()), 3)}  # fmt: skip


def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> common.Row:
    """Mean of `a` less mean of `b`, with the 95 % interval over starts."""
    random = np.random.default_rng(0)
    draws = random.choice(a, (10_000, len(a))).mean(1) - random.choice(b, (10_000, len(b))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"difference": round(float(a.mean() - b.mean()), 3), "low": round(float(low), 3),
            "high": round(float(high), 3)}  # fmt: skip


if __name__ == "__main__":
    options = common.options(__doc__, data=False)
    values: common.Row = {"arms": ARMS, "starts": STARTS, "steps": STEPS}
    for width in tqdm((2, 4), unit="width"):
        found = accuracies(width)
        values[f"width_{width}"] = {
            **{kind: row(numbers) for kind, numbers in found.items()},
            "linear_less_relu": {
                "without_shortcut": difference(found["linear"], found["relu"]),
                "with_shortcut": difference(found["linear_shortcut"], found["relu_shortcut"]),
            },
        }
    common.record("linear_bottleneck", values, options, SEED)
