"""DeepLabV3+ against the DeepLabV3 it starts from, in every configuration, and against misuse."""

import numpy as np
import pytest

from segcore import shipped
from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import wrap
from segcore.models import checkpoint, deeplab, pruning, surgery

SMALL = 65  # five cells at stride 16: the smallest map that the rates 1, 2, 3 fit on


def random_arrays(model, seed=0):
    """Arrays for every variable of `model`: nothing is zero, no activation explodes."""
    random = np.random.default_rng(seed)
    arrays = {}
    for key, variable in checkpoint.variables_of(model).items():
        values = random.normal(0, 1, variable.shape)
        if key.endswith("kernel"):
            reach = variable.shape[:2] if "depthwise" in key else variable.shape[:-1]
            arrays[key] = values * np.sqrt(2 / np.prod(reach))
        elif key.endswith(("gamma", "variance")):
            arrays[key] = 1 + 0.2 * np.tanh(values)
        else:
            arrays[key] = 0.2 * values
    return arrays


def as_plus(v3, size):
    """A DeepLabV3+ of random weights that surgery makes a copy of the network `v3`."""
    plus = deeplab.deeplab_v3_plus(size)
    fresh = random_arrays(plus, seed=1)
    checkpoint.load_weights(plus, surgery.deeplab_v3_as_plus(checkpoint.arrays_of(v3), fresh))
    return plus


@pytest.mark.slow
@pytest.mark.parametrize("size", [SMALL, 97])
def test_surgery_copies_any_deeplab_v3(size):
    v3 = deeplab.deeplab_v3(size, upsampling=(4, 4))
    checkpoint.load_weights(v3, random_arrays(v3))
    x = np.random.default_rng(2).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    expected, copied = v3(x).numpy(), as_plus(v3, size)(x).numpy()
    assert expected.std() > 0.1 and len(np.unique(expected.argmax(-1))) > 3
    np.testing.assert_allclose(copied, expected, atol=1e-4 * np.abs(expected).max())
    assert (copied.argmax(-1) == expected.argmax(-1)).mean() >= 0.999


@pytest.mark.slow
def test_surgery_gives_the_same_masks_on_photos(shared):
    v3 = deeplab.deeplab_v3(257, upsampling=(4, 4))
    checkpoint.load_weights(v3, shared / "weights" / "deeplabv3_mnv2_coco_voc.npz")
    first, second = wrap(v3, "v3"), wrap(as_plus(v3, 257), "v3+")
    for photo, label in voc.file_pairs(shared / "voc")[:3]:
        image = read_image(photo)
        expected, copied = first(image).mask, second(image).mask
        assert expected.any(), f"{photo.name}: nothing found, nothing compared"
        assert (copied == expected).mean() >= 0.999
        assert (expected == voc.read_mask(label)).mean() > 0.5  # the weights do mean something


def test_surgery_leaves_the_arrays_it_is_given_alone():
    given = random_arrays(deeplab.deeplab_v3(SMALL))
    fresh = random_arrays(deeplab.deeplab_v3_plus(SMALL), seed=1)
    before = [{key: array.copy() for key, array in side.items()} for side in (given, fresh)]
    plus = surgery.deeplab_v3_as_plus(given, fresh)
    assert set(plus) == set(fresh)
    plus["concat_projection/kernel"] += 1
    plus["Conv1/kernel"] += 1
    for side, old in zip((given, fresh), before, strict=True):
        assert all(np.array_equal(array, old[key]) for key, array in side.items())


@pytest.mark.slow
def test_lean_network_says_what_the_whole_one_says_with_parts_silenced():
    """The same arrays, zeroed in the whole network and cut away in the lean one."""
    plus = deeplab.deeplab_v3_plus(SMALL)
    arrays, random = random_arrays(plus), np.random.default_rng(3)
    deep = "decoder1_depthwise_BN"  # positive, so that its ReLU may as well come before enlarging
    arrays[f"{deep}/gamma"][:256] *= 0.02
    arrays[f"{deep}/beta"][:256] = 3
    before = {key: array.copy() for key, array in arrays.items()}
    widths = {"concat": 1280, "decoder2_depthwise_relu": 256}
    moments = {name: pruning.Moments.of([abs(random.normal(size=(3 * wide, wide)))])
               for name, wide in widths.items()}  # fmt: skip
    filters = deeplab.LEAN_FILTERS
    thin = deeplab.deeplab_lean(SMALL)
    checkpoint.load_weights(thin, surgery.lean_from_plus(arrays, moments, filters))
    assert all(np.array_equal(array, before[key]) for key, array in arrays.items())

    near = np.arange(512)
    silenced = pruning.remove_channels(
        surgery.centre_kernels(arrays), "concat_projection", moments["concat"], near
    )
    second = moments["decoder2_depthwise_relu"]
    kept = pruning.optimal_brain_surgeon(arrays["decoder2_pointwise/kernel"][0, 0], second, filters)
    silenced = pruning.remove_channels(silenced, "decoder2_pointwise", second, kept)
    checkpoint.load_weights(plus, silenced)
    x = random.uniform(-1, 1, (2, SMALL, SMALL, 3)).astype("float32")
    expected, found = plus(x).numpy(), thin(x).numpy()
    assert expected.std() > 0.1 and len(np.unique(expected.argmax(-1))) > 3
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_papers_maps():
    network = deeplab.deeplab_v3_plus(224, config=deeplab.PAPER)

    def shape(name):
        return network.get_layer(name).output.shape[1:]

    assert shape("block_3_expand_relu") == (56, 56, 6 * 24)  # not 114
    assert shape("block_16_project_BN") == (7, 7, 320)
    assert shape("decoder_concat") == (56, 56, 256 + 48)
    assert network.output_shape == (None, 224, 224, 21)
    backbone = [layer for layer in network.layers if layer.name.startswith(("block", "expanded"))]
    assert {layer.dilation_rate for layer in backbone if "depthwise" in layer.name and not
            layer.name.endswith(("BN", "relu"))} == {(1, 1)}  # fmt: skip


@pytest.mark.parametrize(
    ("size", "config", "channels"),
    [
        (SMALL, deeplab.DeepLabConfig(decoder=False), 320),
        (SMALL, deeplab.DeepLabConfig(output_stride=8, width=0.35), 112),
        (129, deeplab.DeepLabConfig(output_stride=32), 320),
        (129, deeplab.DeepLabConfig(output_stride=32, decoder=False), 320),
        (SMALL, deeplab.DeepLabConfig(width=1.4, dilation_rates=(1, 2, 4)), 448),
        (64, deeplab.DeepLabConfig(aligned=False, dilation_rates=(1, 2, 3)), 320),
    ],
    ids=str,
)
def test_every_configuration_answers_at_the_size_of_its_input(size, config, channels):
    network = deeplab.deeplab_v3_plus(size, num_classes=5, filters=32, config=config)
    cells = -(-size // config.output_stride)
    assert network.get_layer("block_16_project").output.shape[1:] == (cells, cells, channels)
    x = np.random.default_rng(0).uniform(-1, 1, (1, size, size, 3)).astype("float32")
    logits = network(x).numpy()
    assert logits.shape == (1, size, size, 5)
    assert np.isfinite(logits).all() and logits.std() > 0


@pytest.mark.parametrize(
    ("size", "config", "words"),
    [
        (512, deeplab.DeepLabConfig(), r"size must be 16k\+1 .* not 512; try 497"),
        (49, deeplab.DeepLabConfig(output_stride=32), r"size must be 32k\+1 .* not 49"),
        (
            100,
            deeplab.DeepLabConfig(aligned=False),
            r"size must be 16k or 16k\+1, at least 32, not 100",
        ),
        (
            257,
            deeplab.DeepLabConfig(dilation_rates=(6, 12, 18)),
            r"dilation_rates \(6, 12, 18\) .* a feature map of 17×17",
        ),
        (97, deeplab.DeepLabConfig(output_stride=12), "output_stride must be 8, 16 or 32, not 12"),
        (SMALL, deeplab.DeepLabConfig(width=0), "width must be positive, not 0"),
        (SMALL, deeplab.DeepLabConfig(width=-0.5), "width must be positive, not -0.5"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_refuses(size, config, words):
    with pytest.raises(ValueError, match=words):
        deeplab.deeplab_v3_plus(size, config=config)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            deeplab.DeepLabConfig(width=0.5),
            r"Conv1/kernel differs in shape: \(3, 3, 3, 32\) in the file, \(3, 3, 3, 16\) in the",
        ),
        (deeplab.DeepLabConfig(decoder=False), "low_projection/kernel has no place in this model"),
    ],
)
def test_weights_that_do_not_fit_name_the_layer(config, words):
    network = deeplab.deeplab_v3_plus(SMALL, config=config)
    with pytest.raises(ValueError, match=words):
        checkpoint.load_weights(network, shipped.FLOAT.file)


def test_weights_of_a_deeplab_v3_lack_the_decoder():
    arrays = random_arrays(deeplab.deeplab_v3(SMALL))
    with pytest.raises(ValueError, match="aspp1_depthwise/kernel is missing"):
        checkpoint.load_weights(deeplab.deeplab_v3_plus(SMALL), arrays)
