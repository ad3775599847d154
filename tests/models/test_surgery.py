"""Weights carried into another network: the copy must give what its source gives."""

import numpy as np
import pytest

from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import wrap
from segcore.models import checkpoint, deeplab, pruning, surgery

SMALL = 65  # five features at stride 16: the smallest map that the rates 1, 2, 3 fit on


def as_plus(random_arrays, v3, size):
    """A DeepLabV3+ of random weights that surgery makes a copy of the network `v3`."""
    plus = deeplab.deeplab_v3_plus(size)
    fresh = random_arrays(plus, seed=1)
    checkpoint.load_weights(plus, surgery.deeplab_v3_as_plus(checkpoint.arrays_of(v3), fresh))
    return plus


def as_light(random_arrays, v3, size):
    """The same with the light decoder."""
    light = deeplab.deeplab_light(size)
    fresh = random_arrays(light, seed=1)
    checkpoint.load_weights(light, surgery.deeplab_v3_as_light(checkpoint.arrays_of(v3), fresh))
    return light


@pytest.mark.slow
@pytest.mark.parametrize("copy", [as_plus, as_light])
@pytest.mark.parametrize("size", [SMALL, 97])
def test_surgery_copies_any_deeplab_v3(random_arrays, size, copy):
    v3 = deeplab.deeplab_v3(size, upsampling=(4, 4))
    checkpoint.load_weights(v3, random_arrays(v3))
    x = np.random.default_rng(2).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    expected, copied = v3(x).numpy(), copy(random_arrays, v3, size)(x).numpy()
    assert expected.std() > 0.1 and len(np.unique(expected.argmax(-1))) > 3
    np.testing.assert_allclose(copied, expected, atol=1e-4 * np.abs(expected).max())
    assert (copied.argmax(-1) == expected.argmax(-1)).mean() >= 0.999


@pytest.mark.slow
def test_surgery_gives_the_same_masks_on_photos(random_arrays, shared):
    v3 = deeplab.deeplab_v3(257, upsampling=(4, 4))
    checkpoint.load_weights(v3, shared / "weights" / "deeplabv3_mnv2_coco_voc.npz")
    first, second = wrap(v3, "v3"), wrap(as_plus(random_arrays, v3, 257), "v3+")
    named = {photo.stem: (photo, label) for photo, label in voc.file_pairs(shared / "voc2012")}
    for photo, label in map(named.get, ("2007_000123", "2007_000129", "2007_000529")):
        image = read_image(photo)
        expected, copied = first(image).mask, second(image).mask
        assert expected.any(), f"{photo.name}: nothing found, nothing compared"
        assert (copied == expected).mean() >= 0.999
        assert (expected == voc.read_mask(label)).mean() > 0.5  # the weights do mean something


def test_surgery_leaves_the_arrays_it_is_given_alone(random_arrays):
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
def test_lean_network_gives_what_the_whole_one_gives_with_parts_zeroed(random_arrays):
    """The same arrays, zeroed in the whole network and cut away in the lean one."""
    plus = deeplab.deeplab_v3_plus(SMALL)
    arrays, random = random_arrays(plus), np.random.default_rng(3)
    deep = "decoder1_depthwise_BN"  # positive: its ReLU may as well come before the upsampling
    arrays[f"{deep}/gamma"][:256] *= 0.02
    arrays[f"{deep}/beta"][:256] = 3
    before = {key: array.copy() for key, array in arrays.items()}
    widths = {"concat": 1280, "decoder2_depthwise_relu": 256}
    moments = {name: pruning.Moments.of([abs(random.normal(size=(3 * wide, wide)))])
               for name, wide in widths.items()}  # fmt: skip
    filters = deeplab.LEAN_FILTERS
    lean = deeplab.deeplab_lean(SMALL)
    checkpoint.load_weights(lean, surgery.lean_from_plus(arrays, moments, filters))
    assert all(np.array_equal(array, before[key]) for key, array in arrays.items())

    near = np.arange(512)
    zeroed = pruning.remove_channels(
        surgery.centre_kernels(arrays), "concat_projection", moments["concat"], near
    )
    second = moments["decoder2_depthwise_relu"]
    kept = pruning.optimal_brain_surgeon(arrays["decoder2_pointwise/kernel"][0, 0], second, filters)
    zeroed = pruning.remove_channels(zeroed, "decoder2_pointwise", second, kept)
    checkpoint.load_weights(plus, zeroed)
    x = random.uniform(-1, 1, (2, SMALL, SMALL, 3)).astype("float32")
    expected, found = plus(x).numpy(), lean(x).numpy()
    assert expected.std() > 0.1 and len(np.unique(expected.argmax(-1))) > 3
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_centred_kernels_give_the_same_for_constant_features():
    plus = {"decoder1_depthwise/kernel": np.random.default_rng(0).normal(size=(3, 3, 10, 1)),
            "concat_projection/kernel": np.zeros((1, 1, 5, 8))}  # fmt: skip
    before = plus["decoder1_depthwise/kernel"].copy()
    after = surgery.centre_kernels(plus)["decoder1_depthwise/kernel"]
    np.testing.assert_allclose(after.sum((0, 1)), before.sum((0, 1)))
    assert np.count_nonzero(after[:, :, :8]) == 8 and (after[1, 1, :8] != 0).all()
    assert (after[:, :, 8:] == before[:, :, 8:]).all()  # kernels of low-level features stay
    assert (plus["decoder1_depthwise/kernel"] == before).all()
