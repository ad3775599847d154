"""The plain twin of a network: the same weights, resized as most programs do it."""

import numpy as np
import pytest

from segcore._keras import keras
from segcore.course.misalignment import plain_twin
from segcore.models import deeplab

RATES = (1, 2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 65])
def test_equals_the_network_that_is_built_so(size):
    network = deeplab.deeplab_v3_plus(65, config=deeplab.DeepLabConfig(dilation_rates=RATES))
    plain = deeplab.deeplab_v3_plus(
        size, config=deeplab.DeepLabConfig(dilation_rates=RATES, aligned=False)
    )
    plain.set_weights(network.get_weights())
    x = np.random.default_rng(0).uniform(-1, 1, (1, size, size, 3)).astype("float32")
    expected, found = plain(x).numpy(), plain_twin(network, size)(x).numpy()
    assert found.shape == (1, size, size, 21) and expected.std() > 0
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_leaves_its_network_alone():
    network = deeplab.deeplab_light(65)
    before = network(np.ones((1, 65, 65, 3), "float32")).numpy()
    assert plain_twin(network, 96).output_shape == (None, 96, 96, 21)
    np.testing.assert_array_equal(network(np.ones((1, 65, 65, 3), "float32")).numpy(), before)


def test_refuses_what_is_too_small():
    with pytest.raises(ValueError, match="size must be at least 32 pixels"):
        plain_twin(keras.Sequential([keras.Input((65, 65, 3))]), 16)
