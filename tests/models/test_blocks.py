"""Separable and atrous convolution against loops that share no code with them."""

import numpy as np
import pytest

from segcore._keras import keras
from segcore.models import blocks

RNG = np.random.default_rng(0)


def _depthwise_loop(image, kernel, rate):
    """(H, W, C) and (3, 3, C) → (H, W, C), one cell after the other; zeros outside the map."""
    H, W, C = image.shape
    result = np.zeros_like(image)
    for row in range(H):
        for column in range(W):
            for channel in range(C):
                for i in range(3):
                    for j in range(3):
                        y, x = row + (i - 1) * rate, column + (j - 1) * rate
                        if 0 <= y < H and 0 <= x < W:
                            weight = kernel[i, j, channel]
                            result[row, column, channel] += image[y, x, channel] * weight
    return result


def _pointwise_loop(image, kernel):
    """(H, W, C) and (C, N) → (H, W, N)."""
    H, W, C = image.shape
    result = np.zeros((H, W, kernel.shape[1]))
    for row in range(H):
        for column in range(W):
            for n in range(kernel.shape[1]):
                for c in range(C):
                    result[row, column, n] += image[row, column, c] * kernel[c, n]
    return result


def _norm_and_relu(image, gamma, beta, mean, variance):
    return np.maximum(gamma * (image - mean) / np.sqrt(variance + 1e-3) + beta, 0)


def _randomise(model):
    for layer in model.layers:
        values = [RNG.normal(size=w.shape) for w in layer.weights]
        values = [
            abs(v) + 0.5 if "variance" in w.name else v
            for v, w in zip(values, layer.weights, strict=True)
        ]
        layer.set_weights(values)


@pytest.mark.parametrize("rate", [1, 2, 5, 9])  # at 9 only the centre of the kernel is left
def test_separable_convolution_equals_the_loop(rate):
    x = keras.Input((9, 9, 3))
    model = keras.Model(x, blocks.separable_convolution(x, 5, "s", rate))
    _randomise(model)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    image = RNG.normal(size=(9, 9, 3))
    expected = _depthwise_loop(image, weights["s_depthwise"][0][..., 0], rate)
    expected = _norm_and_relu(expected, *weights["s_depthwise_BN"])
    expected = _pointwise_loop(expected, weights["s_pointwise"][0][0, 0])
    expected = _norm_and_relu(expected, *weights["s_pointwise_BN"])
    found = model(image[None].astype("float32"))[0]
    assert expected.max() > 1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [2, 3, 4])
def test_atrous_equals_a_dense_kernel_with_zeros(rate):
    x = keras.Input((15, 15, 4))
    atrous = keras.layers.DepthwiseConv2D(3, padding="same", dilation_rate=rate, use_bias=False)
    side = 2 * rate + 1
    dense = keras.layers.DepthwiseConv2D(side, padding="same", use_bias=False)
    sparse, full = keras.Model(x, atrous(x)), keras.Model(x, dense(x))
    kernel = RNG.normal(size=(3, 3, 4, 1))
    holes = np.zeros((side, side, 4, 1))
    holes[::rate, ::rate] = kernel
    atrous.set_weights([kernel])
    dense.set_weights([holes])
    image = RNG.normal(size=(1, 15, 15, 4)).astype("float32")
    np.testing.assert_allclose(sparse(image), full(image), rtol=1e-4, atol=1e-4)
    expected = _depthwise_loop(image[0].astype(float), kernel[..., 0], rate)
    np.testing.assert_allclose(sparse(image)[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("filters", "stride", "adds"), [(8, 1, True), (8, 2, False), (16, 1, False), (16, 2, False)]
)
def test_the_input_is_added_only_where_the_shape_stays(filters, stride, adds):
    x = keras.Input((9, 9, 8))
    model = keras.Model(x, blocks.inverted_residual(x, blocks.Bottleneck(filters, 6, stride), "b"))
    _randomise(model)
    model.get_layer("b_project_BN").set_weights([np.zeros(filters)] * 2 + [np.ones(filters)] * 2)
    image = RNG.normal(size=(1, 9, 9, 8)).astype("float32")
    expected = image if adds else np.zeros((1, *model.output_shape[1:]))
    np.testing.assert_array_equal(model(image), expected)  # the inside is silenced


def test_inverted_residual_equals_the_loop():
    x = keras.Input((6, 6, 2))
    model = keras.Model(x, blocks.inverted_residual(x, blocks.Bottleneck(2), "b"))
    _randomise(model)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    image = RNG.normal(size=(6, 6, 2))

    def clipped(values, name):
        return np.minimum(_norm_and_relu(values, *weights[name]), 6)

    wide = clipped(_pointwise_loop(image, weights["b_expand"][0][0, 0]), "b_expand_BN")
    wide = _depthwise_loop(wide, weights["b_depthwise"][0][..., 0], 1)
    thin = _pointwise_loop(clipped(wide, "b_depthwise_BN"), weights["b_project"][0][0, 0])
    gamma, beta, mean, variance = weights["b_project_BN"]
    expected = image + gamma * (thin - mean) / np.sqrt(variance + 1e-3) + beta
    assert expected.min() < -0.5  # linear: the sum may be negative
    found = model(image[None].astype("float32"))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4, 16])
def test_aligned_upsampling_puts_feature_i_on_pixel_factor_i(factor):
    x = keras.Input((5, 5, 1))
    layer = keras.Model(x, blocks.upsample_aligned(x, factor, "a"))
    ramp = np.arange(5, dtype="float32") * factor  # each feature holds the pixel it stands for
    y = layer.predict_on_batch(np.broadcast_to(ramp[None, None, :, None], (1, 5, 5, 1)))[0, 0, :, 0]
    assert len(y) == 4 * factor + 1
    inside = np.arange(factor, 3 * factor)
    np.testing.assert_allclose(y[inside], inside - 0.5, atol=1e-4)  # half a pixel, no more


def test_rounding_up_errs_the_other_way():
    x = keras.Input((5, 5, 1))
    upward = keras.Model(x, blocks.upsample_aligned(x, 4, "a", round_up=True))
    ramp = np.arange(5, dtype="float32") * 4
    y = upward.predict_on_batch(np.broadcast_to(ramp[None, None, :, None], (1, 5, 5, 1)))[
        0, 0, :, 0
    ]
    np.testing.assert_allclose(y[4:12], np.arange(4, 12) + 0.5, atol=1e-4)


@pytest.mark.parametrize("activation", ["relu7", "", "linear"])
def test_refuses_an_unknown_activation(activation):
    with pytest.raises(ValueError, match=f'"relu", "relu6" or None, not {activation!r}'):
        blocks.convolution(keras.Input((9, 9, 3)), 5, "c", activation)


@pytest.mark.parametrize(("shape", "rates"), [((9, 9), (2, 9)), ((5, 9), (5,))])
def test_aspp_refuses_dilation_that_leaves_only_the_centre(shape, rates):
    with pytest.raises(ValueError, match=f"dilation_rates .* feature map of {shape[0]}×{shape[1]}"):
        blocks.aspp(keras.Input((*shape, 3)), 4, rates)


def test_resizing_computes_what_keras_does_and_leaves_batch_norm_at_peace():
    image = keras.Input((5, 5, 3))
    x = blocks.BilinearResize(13)(image)
    network = keras.Model(image, keras.layers.BatchNormalization()(x))
    network.layers[-1].moving_mean.assign([1, 2, 3])
    values = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype(np.float32)
    resized = np.asarray(keras.layers.Resizing(13, 13)(values))
    np.testing.assert_allclose(keras.Model(image, x)(values), resized, atol=1e-6)
    plain = np.asarray(network(values, training=False))
    np.testing.assert_array_equal(network(values), plain)  # Resizing would train here
    assert network.layers[-1].moving_mean.numpy().tolist() == [1, 2, 3]
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(network.layers[1])
    )
    assert (again.size, again.name) == (13, network.layers[1].name)
