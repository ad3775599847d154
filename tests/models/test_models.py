"""The network against Keras' own, against its published size, and against the geometry."""

import numpy as np
import pytest

from segcore import shipped
from segcore._keras import keras
from segcore.models import blocks, checkpoint, deeplab, mobilenet, pretrained


@pytest.fixture(scope="module")
def network():
    return pretrained.load(65)


def test_parameters_and_shape(network):
    assert network.count_params() == 2_764_357
    assert network.output_shape == (None, 65, 65, 21)


@pytest.mark.slow
def test_backbone_equals_keras_applications():
    images = keras.Input((65, 65, 3))
    ours = keras.Model(images, mobilenet.mobilenet_v2(images, output_stride=32))
    theirs = keras.applications.MobileNetV2((65, 65, 3), weights=None, include_top=False)
    theirs = keras.Model(theirs.input, theirs.get_layer("block_16_project_BN").output)
    random = np.random.default_rng(0)
    for layer in ours.layers:
        twin = layer.name and layer.weights and theirs.get_layer(layer.name)
        if twin:
            values = [abs(random.normal(1, 0.1, w.shape)) * _scale(w) for w in layer.weights]
            layer.set_weights(values)
            twin.set_weights(values)
    x = random.uniform(-1, 1, (1, 65, 65, 3)).astype("float32")
    expected = theirs.predict_on_batch(x)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(ours.predict_on_batch(x), expected, rtol=1e-4, atol=1e-4)


def _scale(weight):
    """Keeps random activations of a deep network near one: kernels shrink with their fan-in."""
    return 1 / np.prod(weight.shape[:-1]) if weight.name == "kernel" else 1


@pytest.mark.parametrize("factor", [2, 4, 16])
def test_aligned_upsampling_puts_cell_i_on_pixel_factor_i(factor):
    x = keras.Input((5, 5, 1))
    layer = keras.Model(x, blocks.upsample_aligned(x, factor, "a"))
    ramp = np.arange(5, dtype="float32") * factor  # each cell holds the pixel it stands for
    y = layer.predict_on_batch(np.broadcast_to(ramp[None, None, :, None], (1, 5, 5, 1)))[0, 0, :, 0]
    assert len(y) == 4 * factor + 1
    inside = np.arange(factor, 3 * factor)
    np.testing.assert_allclose(y[inside], inside - 0.5, atol=1e-4)  # half a pixel, no more


def test_late_rounding_errs_the_other_way():
    x = keras.Input((5, 5, 1))
    late = keras.Model(x, blocks.upsample_aligned(x, 4, "a", round_up=True))
    ramp = np.arange(5, dtype="float32") * 4
    y = late.predict_on_batch(np.broadcast_to(ramp[None, None, :, None], (1, 5, 5, 1)))[0, 0, :, 0]
    np.testing.assert_allclose(y[4:12], np.arange(4, 12) + 0.5, atol=1e-4)


@pytest.mark.slow
def test_atrous_backbone_sees_what_the_strided_one_sees():
    images = keras.Input((129, 129, 3))
    coarse = keras.Model(images, mobilenet.mobilenet_v2(images, 32))
    fine = keras.Model(images, mobilenet.mobilenet_v2(images, 16))
    fine.set_weights(coarse.get_weights())
    x = np.random.default_rng(0).uniform(-1, 1, (1, 129, 129, 3)).astype("float32")
    a, b = coarse.predict_on_batch(x), fine.predict_on_batch(x)
    assert a.shape[1] == 5 and b.shape[1] == 9
    np.testing.assert_allclose(a, b[:, ::2, ::2], atol=1e-5)


@pytest.mark.slow
def test_weights_survive_a_round_trip(network, tmp_path):
    checkpoint.save_weights(network, tmp_path / "w.npz")
    again = deeplab.deeplab_v3_plus(65)
    checkpoint.load_weights(again, tmp_path / "w.npz")
    x = np.ones((1, 65, 65, 3), "float32")
    np.testing.assert_array_equal(network.predict_on_batch(x), again.predict_on_batch(x))


@pytest.mark.parametrize("size", [512, 224, 17, 0])
def test_size_must_be_16k_plus_1(size):
    with pytest.raises(ValueError, match="16k\\+1"):
        deeplab.deeplab_v3_plus(size)


def test_misfit_weights_name_the_layer_and_change_nothing(tmp_path):
    arrays = dict(checkpoint.read_weights(shipped.FLOAT.file))
    arrays["logits/bias"] = np.zeros(11)
    checkpoint.write_weights(arrays, tmp_path / "eleven.npz")
    model = deeplab.deeplab_v3_plus(33)
    before = model.get_layer("Conv1").get_weights()[0]
    with pytest.raises(ValueError, match=r"logits/bias .*\(11,\) in the file, \(21,\)"):
        checkpoint.load_weights(model, tmp_path / "eleven.npz")
    np.testing.assert_array_equal(before, model.get_layer("Conv1").get_weights()[0])
    del arrays["logits/bias"]
    checkpoint.write_weights(arrays, tmp_path / "less.npz")
    with pytest.raises(ValueError, match="logits/bias is missing"):
        checkpoint.load_weights(model, tmp_path / "less.npz")


def test_a_file_may_hold_layers_of_its_own_for_a_second_size(tmp_path):
    arrays = checkpoint.arrays_of(
        deeplab.deeplab_v3_plus(33, config=deeplab.DeepLabConfig(width=0.35))
    )
    kernel = np.full(arrays["aspp2_depthwise/kernel"].shape, 7.0)
    own = {"bn_Conv1_49/gamma": np.full(16, 3.0), "aspp2_depthwise_49/kernel": kernel}
    said = checkpoint.Description(own_layers={"_49": 68})
    checkpoint.write_weights(arrays | own, tmp_path / "two.npz", description=said)
    for size, expected in ((33, 3.0), (65, 3.0), (81, 1.0)):
        model = deeplab.deeplab_v3_plus(size, config=deeplab.DeepLabConfig(width=0.35))
        checkpoint.load_weights(model, tmp_path / "two.npz")
        assert (model.get_layer("bn_Conv1").get_weights()[0] == expected).all(), size
        assert (model.get_layer("aspp2_depthwise").get_weights()[0] == 7).all() == (size < 69)
    checkpoint.write_weights(arrays | {"bn_Conv9_49/gamma": np.ones(16)}, tmp_path / "odd.npz")
    with pytest.raises(ValueError, match="bn_Conv9_49/gamma has no place in this model"):
        checkpoint.load_weights(model, tmp_path / "odd.npz")


def test_float16_refuses_to_overflow(tmp_path):
    with pytest.raises(ValueError, match="too large for float16"):
        checkpoint.write_weights({"a/kernel": np.array([1e6])}, tmp_path / "w.npz")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_no_numbers_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="b/bias holds values that are not numbers"):
        checkpoint.write_weights({"b/bias": np.array([1.0, np.nan])}, tmp_path / "w.npz")
    assert not list(tmp_path.iterdir())


def test_rates_shrink_with_the_map():
    assert deeplab.dilation_rates(513) == (6, 12, 18) and deeplab.dilation_rates(257) == (3, 6, 9)
    assert deeplab.dilation_rates(33) == (1, 2, 2)  # three cells: a rate of 3 would be dead


def test_fresh_weights_keep_what_fits_and_draw_the_rest():
    net = deeplab.deeplab_v3_plus(65, config=deeplab.DeepLabConfig(width=0.35))
    given = {"Conv1/kernel": np.full(net.get_layer("Conv1").kernel.shape, 0.5, np.float32)}
    other = {"logits/kernel": np.zeros((1, 1, 3, 3), np.float32)}  # of another network
    weights = checkpoint.fresh(net.variables, given | other, seed=0)
    again = checkpoint.fresh(net.variables, given, seed=0)
    checkpoint.load_weights(net, weights)  # every variable once, in its shape
    assert (weights["Conv1/kernel"] == 0.5).all()
    assert all((weights[key] == again[key]).all() for key in weights)
    dense = weights["decoder1_pointwise/kernel"]
    assert dense.std() == pytest.approx(np.sqrt(2 / dense.shape[2]), rel=0.05)  # He et al. 2015
    assert (weights["aspp0_BN/moving_variance"] == 1).all()
    assert (weights["aspp0_BN/moving_mean"] == 0).all()
