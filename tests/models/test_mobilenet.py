"""MobileNetV2 against Keras' own: the same weights by name must give the same numbers."""

import numpy as np
import pytest

from segcore._keras import keras
from segcore.models import checkpoint, mobilenet

SIZE = 64


def _well_scaled(shapes, seed=0):
    """Random values for a dict of weight shapes; a deep network's signal stays near one."""
    random = np.random.default_rng(seed)
    values = {}
    for key, shape in shapes.items():
        if key.endswith("kernel"):
            depthwise = shape[-1] == 1 and len(shape) == 4
            fan_in = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
            values[key] = random.normal(0, np.sqrt(2 / fan_in), shape)
        elif key.endswith(("gamma", "moving_variance")):
            values[key] = random.uniform(0.7, 1.3, shape)
        else:  # biases, betas, moving means
            values[key] = random.normal(0, 0.2, shape)
    return values


def _share_weights(ours, theirs):
    """Fills Keras' model with random weights, then ours from Keras' by name."""
    shapes = {key: tuple(v.shape) for key, v in checkpoint.variables_of(theirs).items()}
    checkpoint.load_weights(theirs, _well_scaled(shapes))
    checkpoint.load_weights(ours, checkpoint.arrays_of(theirs))


def _features(model):
    """The last feature map and the probabilities."""
    return keras.Model(model.input, [model.get_layer("out_relu").output, model.output])


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.35, 0.5, 1.0, 1.4])
def test_equals_keras_at_every_width(width):
    theirs = keras.applications.MobileNetV2((SIZE, SIZE, 3), alpha=width, weights=None)
    ours = mobilenet.mobilenet_v2_classifier(SIZE, width)
    _share_weights(ours, theirs)
    assert ours.count_params() == theirs.count_params()
    x = np.random.default_rng(1).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype("float32")
    features, answers = _features(ours)(x)
    expected_features, expected_answers = _features(theirs)(x)
    assert np.std(expected_features) > 0.1 and np.max(expected_answers) > 0.05  # not faded away
    np.testing.assert_allclose(features, expected_features, rtol=0, atol=1e-5)
    np.testing.assert_allclose(answers, expected_answers, rtol=0, atol=1e-5)


def test_equals_keras_without_top_at_an_odd_size():
    theirs = keras.applications.MobileNetV2((65, 65, 3), weights=None, include_top=False)
    images = keras.Input((65, 65, 3))
    ours = keras.Model(images, mobilenet.mobilenet_v2(images, output_stride=32))
    theirs = keras.Model(theirs.input, theirs.get_layer("block_16_project_BN").output)
    _share_weights(ours, theirs)
    x = np.random.default_rng(1).uniform(-1, 1, (1, 65, 65, 3)).astype("float32")
    expected = theirs(x)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(ours(x), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_published_parameter_counts():
    network = mobilenet.mobilenet_v2_classifier(SIZE)
    assert network.count_params() == 3_538_984
    assert network.count_params() - network.get_layer("predictions").count_params() == 2_257_984


def test_only_the_first_block_of_a_row_strides_and_ten_blocks_add_their_input():
    network = mobilenet.mobilenet_v2_classifier(224)
    sides = [network.get_layer(f"block_{n}_expand").input.shape[1] for n in range(1, 17)]
    assert sides == [112, 56, 56, 28, 28, 28, 14, 14, 14, 14, 14, 14, 14, 7, 7, 7]
    assert sum(type(layer).__name__ == "Add" for layer in network.layers) == 10


def test_bottlenecks_are_linear():
    network = mobilenet.mobilenet_v2_classifier(SIZE)
    for layer in network.layers:
        if layer.name.endswith("_project_BN"):
            followers = [node.operation for node in layer._outbound_nodes]
            assert not [f.name for f in followers if type(f).__name__ == "ReLU"], layer.name


@pytest.mark.parametrize(
    ("channels", "width", "published"),
    # Sizes in the names and summaries of the authors' checkpoints.
    [(32, 0.35, 16), (16, 0.35, 8), (24, 0.35, 8), (32, 0.5, 16), (24, 0.5, 16), (320, 1.4, 448)],
)
def test_width_rounds_to_multiples_of_eight(channels, width, published):
    assert mobilenet.scale_channels(channels, width) == published


def test_refuses_bad_width_and_stride():
    images = keras.Input((65, 65, 3))
    with pytest.raises(ValueError, match="width must be positive, not -1"):
        mobilenet.mobilenet_v2(images, 32, width=-1)
    with pytest.raises(ValueError, match="8, 16 or 32, not 4"):
        mobilenet.mobilenet_v2(images, 4)


@pytest.mark.slow
def test_atrous_backbone_gives_what_the_strided_one_gives():
    images = keras.Input((129, 129, 3))
    coarse = keras.Model(images, mobilenet.mobilenet_v2(images, 32))
    fine = keras.Model(images, mobilenet.mobilenet_v2(images, 16))
    fine.set_weights(coarse.get_weights())
    x = np.random.default_rng(0).uniform(-1, 1, (1, 129, 129, 3)).astype("float32")
    a, b = coarse.predict_on_batch(x), fine.predict_on_batch(x)
    assert a.shape[1] == 5 and b.shape[1] == 9
    np.testing.assert_allclose(a, b[:, ::2, ::2], atol=1e-5)
