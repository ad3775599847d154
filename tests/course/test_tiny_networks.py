"""Networks side by side: they never meet, they learn, and the arms are what they claim to be."""

import numpy as np
import pytest

from segcore._keras import keras
from segcore.course import tiny_networks


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((4, 2))
    x = keras.layers.ReLU()(tiny_networks.convolution(x, 16))
    return keras.Model(inputs, tiny_networks.convolution(x, 3))


def test_arms_lie_on_their_spirals():
    points, arm = tiny_networks.spiral_arms(90, seed=0)
    radius = np.hypot(*points.T) / 2
    turn = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)
    off = (turn - radius - arm / 3 + 0.5) % 1 - 0.5
    np.testing.assert_allclose(off, 0, atol=1e-6)
    assert np.bincount(arm).tolist() == [30, 30, 30] and radius.max() <= 1


def test_what_one_network_sees_moves_no_other(network):
    x = np.random.default_rng(0).normal(size=(6, 4, 2)).astype("float32")
    before = np.asarray(network(x))
    x[:, 2] += 1
    moved = np.abs(np.asarray(network(x)) - before).max(axis=(0, 2)) > 0
    assert moved.tolist() == [False, False, True, False]


def test_each_network_starts_elsewhere_and_learns(network):
    points, arm = tiny_networks.spiral_arms(150, seed=0)
    labels = (points[:, 0] > 0).astype(int)  # an easy question
    tiny_networks.train(network, points, labels, steps=40)
    right = tiny_networks.accuracies(network, points, labels)
    assert right.shape == (4,) and right.min() > 0.9
    kernel = network.layers[1].get_weights()[0]
    assert kernel.shape == (4, 2, 16) and not np.allclose(kernel[0], kernel[1])
    assert tiny_networks.accuracies(network, points, arm).max() < 0.9


def by_hand(x, weights, slope, shortcut, blocks):
    """One of the networks in NumPy, from its own kernels; batch norm is untrained, all but 1."""
    kernels = iter(weights)
    for _ in range(blocks):
        expanded = np.clip(x @ next(kernels) / np.sqrt(1.001), 0, 6)
        y = expanded @ next(kernels) / np.sqrt(1.001)
        x = np.where(y > 0, y, slope * y) + shortcut * x
    return x @ next(kernels) / np.sqrt(1.001)


@pytest.mark.parametrize("width", [2, 3])
def test_a_block_is_what_its_slope_and_shortcut_say(width):
    slopes, shortcuts = [1, 0, 0.1, 0], [0, 0, 1, 1]
    network = tiny_networks.bottlenecks(slopes, shortcuts, width, blocks=2, classes=5)
    x = np.random.default_rng(0).normal(size=(6, 4, 2)).astype("float32")
    kernels = [layer.get_weights()[0] for layer in network.layers if "einsum" in layer.name]
    start = kernels.pop(0) if width != 2 else np.eye(2)[None].repeat(4, 0) * np.sqrt(1.001)
    for n, (slope, shortcut) in enumerate(zip(slopes, shortcuts, strict=True)):
        entered = x[:, n] @ start[n] / np.sqrt(1.001)
        wanted = by_hand(entered, [kernel[n] for kernel in kernels], slope, shortcut, 2)
        np.testing.assert_allclose(np.asarray(network(x))[:, n], wanted, rtol=1e-3, atol=1e-4)


def test_each_network_has_a_slope_and_a_shortcut():
    with pytest.raises(ValueError, match="one for each of 2 slopes"):
        tiny_networks.bottlenecks([1, 0], [0])
