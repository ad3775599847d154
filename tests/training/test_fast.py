"""The fast forms of layers against the library's own."""

import numpy as np
import pytest

from segcore._keras import keras
from segcore.data import toy
from segcore.models import deeplab
from segcore.training import fast

layers = keras.layers
NARROW = deeplab.DeepLabConfig(width=0.35)


def scatter(network, seed=0):
    """Weights and statistics unlike those of any fresh network."""
    rng = np.random.default_rng(seed)
    for variable in network.variables:
        if variable.name in ("gamma", "beta", "moving_mean", "bias"):
            variable.assign(variable + rng.normal(0, 0.1, variable.shape).astype(np.float32))
        elif variable.name == "moving_variance":
            variable.assign(rng.uniform(0.5, 1.5, variable.shape).astype(np.float32))
    return network


@pytest.mark.parametrize("side", [9, 10])
@pytest.mark.parametrize(("stride", "rate"), [(1, 1), (2, 1), (1, 2), (1, 5)])
def test_shifted_depthwise_is_the_librarys(side, stride, rate):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, side, side + 3, 4)).astype(np.float32)
    layer = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", dilation_rate=rate, use_bias=False
    )
    wanted = layer(x)
    got = fast.shifted_depthwise(x, layer.kernel, stride, rate)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_fast_network_has_the_same_names_weights_and_scores():
    plain = scatter(deeplab.deeplab_v3_plus(65, 5, config=NARROW))
    twin = fast.fast(plain)
    assert [v.path for v in twin.variables] == [v.path for v in plain.variables]
    kinds = {type(layer) for layer in twin.layers}
    assert {fast.ShiftedDepthwise, fast.Pointwise} <= kinds
    assert layers.DepthwiseConv2D not in kinds
    images = toy.scenes(2, size=65)[0] / np.float32(127.5) - 1
    np.testing.assert_allclose(twin(images), plain(images), atol=1e-4)
    np.testing.assert_allclose(twin(images, training=True), plain(images, training=True), atol=1e-3)


def test_a_crop_takes_the_rates_of_the_whole_picture():
    plain = deeplab.deeplab_v3_plus(97, 5, config=NARROW)
    crop = fast.fast(plain, rates=(2, 4, 5))
    found = [crop.get_layer(f"aspp{i}_depthwise").dilation_rate for i in (1, 2, 3)]
    assert found == [(2, 2), (4, 4), (5, 5)]
    block = plain.get_layer("block_14_depthwise").dilation_rate
    assert crop.get_layer("block_14_depthwise").dilation_rate == block
