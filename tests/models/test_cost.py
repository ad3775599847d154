"""Counts against published ones, reach against gradients, taps against brute force."""

import numpy as np
import pytest

from segcore._keras import keras
from segcore.models import cost, deeplab, mobilenet


def test_published_counts_of_mobilenet_v2():
    rows = cost.layer_costs(mobilenet.mobilenet_v2_classifier(224))
    parameters, macs = cost.total(rows)
    assert parameters == 3_538_984
    assert macs == pytest.approx(300e6, rel=0.01)  # Sandler et al. 2018, Table 4


def test_counts_of_deeplab_v3_plus():
    rows = cost.layer_costs(deeplab.deeplab_v3_plus(257))
    assert cost.total(rows) == (2_764_357, 1_528_120_112)
    assert cost.total(rows[:-3])[1] < 1.51e9  # without the scores


def test_macs_equal_the_loop_that_counts_them():
    x = keras.Input((9, 9, 4))
    y = keras.layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(x)
    y = keras.layers.DepthwiseConv2D(5, padding="same", use_bias=False)(y)
    y = keras.layers.GlobalAveragePooling2D()(y)
    model = keras.Model(x, keras.layers.Dense(7)(y))
    counted = [0, 0, 0]
    for _ in range(5 * 5):  # cells
        counted[0] += 3 * 3 * 4 * 6
        counted[1] += 5 * 5 * 6
    counted[2] = 6 * 7
    assert [row.macs for row in cost.layer_costs(model) if row.macs] == counted


@pytest.mark.parametrize(
    "layers",
    [
        [("conv", 3, 1, 1)],
        [("conv", 3, 2, 1), ("depthwise", 3, 1, 2)],
        [("conv", 3, 2, 1), ("depthwise", 3, 2, 1), ("depthwise", 3, 1, 3), ("conv", 1, 1, 1)],
        [("conv", 5, 2, 1), ("conv", 3, 1, 4), ("depthwise", 3, 1, 1)],
    ],
)
def test_reach_equals_the_one_found_by_gradient(layers):
    model = _stack(layers, 97)
    predicted = cost.layer_costs(model)[-1].receptive_field
    assert _reach_by_gradient(model) == predicted


@pytest.mark.slow
def test_reach_of_mobilenet_v2_by_gradient():
    images = keras.Input((641, 641, 3))
    model = keras.Model(images, mobilenet.mobilenet_v2(images))
    for layer in model.layers:  # positive weights, no clipping: nothing may cancel
        layer.set_weights([np.full(w.shape, _share(w), "float32") for w in layer.weights])
    assert _reach_by_gradient(model) == cost.layer_costs(model)[-1].receptive_field == 491


def _share(weight):
    """Mean-taking kernels: small enough not to clip, large enough not to vanish on the way back."""
    fan_in = weight.shape[:2] if weight.shape[-1:] == (1,) else weight.shape[:-1]
    return 1 / np.prod(fan_in) if weight.name == "kernel" else 1.0


def _stack(layers, size):
    x = images = keras.Input((size, size, 2))
    for kind, kernel, stride, rate in layers:
        options = {"strides": stride, "dilation_rate": rate, "padding": "same", "use_bias": False}
        if kind == "conv":
            x = keras.layers.Conv2D(3, kernel, kernel_initializer="ones", **options)(x)
        else:
            x = keras.layers.DepthwiseConv2D(kernel, depthwise_initializer="ones", **options)(x)
    return keras.Model(images, x)


def _reach_by_gradient(model):
    """Rows of the input that move the centre cell, counted one by one with TensorFlow's tape."""
    import tensorflow as tf

    x = tf.Variable(tf.fill((1, *model.input_shape[1:]), 1e-4))
    with tf.GradientTape() as tape:
        y = model(x, training=False)
        middle = tf.reduce_sum(y[0, y.shape[1] // 2, y.shape[2] // 2])
    gradient = tape.gradient(middle, x).numpy()[0]
    rows = np.flatnonzero(np.abs(gradient).sum((1, 2)))
    return rows[-1] - rows[0] + 1


@pytest.mark.parametrize(
    ("cells", "rate", "published"),
    [
        (17, 3, 7.0),
        (17, 6, 5.3),
        (17, 9, 3.8),
        (17, 12, 2.5),
        (17, 18, 1),
        (33, 6, 7.0),
        (33, 36, 1),
    ],
)
def test_weights_inside_map(cells, rate, published):
    by_loop = np.mean(
        [
            sum(
                0 <= row + i * rate < cells and 0 <= column + j * rate < cells
                for i in (-1, 0, 1)
                for j in (-1, 0, 1)
            )
            for row in range(cells)
            for column in range(cells)
        ]
    )
    assert cost.weights_inside_map(cells, rate) == pytest.approx(by_loop)
    assert round(by_loop, 1) == published


def test_table_ends_with_the_total():
    text = cost.table(cost.layer_costs(deeplab.deeplab_v3_plus(65)))
    assert "decoder1_depthwise" in text and "all" in text
    assert text.splitlines()[-1].split()[:2] == ["total", "2,764,357"]


def test_roofline_bounds_a_layer_by_the_slower_of_two():
    machine = cost.Roofline(macs_per_second=100.0, bytes_per_second=10.0)
    rows = [
        cost.LayerCost("a", "Conv2D", (1,), 0, macs=1000, bytes=10, receptive_field=1, stride=1),
        cost.LayerCost("b", "Conv2D", (1,), 0, macs=10, bytes=1000, receptive_field=1, stride=1),
    ]
    assert machine.ridge == 10
    assert [machine.seconds(row) for row in rows] == [10, 100]
    measured = cost.roofline(0.05)
    assert measured.macs_per_second > 1e8 and measured.bytes_per_second > 1e8


def test_refuses_what_it_cannot_count():
    images = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="fixed size"):
        cost.layer_costs(keras.Model(images, keras.layers.Conv2D(3, 1)(images)))
    with pytest.raises(ValueError, match=r"size, dilation, kernel must be .* not \(17, 0, 3\)"):
        cost.weights_inside_map(17, 0)


def test_refuses_a_convolution_that_it_does_not_know():
    images = keras.Input((9, 9, 3))
    model = keras.Model(images, keras.layers.SeparableConv2D(4, 3)(images))
    with pytest.raises(ValueError, match="SeparableConv2D, which is not counted"):
        cost.layer_costs(model)
