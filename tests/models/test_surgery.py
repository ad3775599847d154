"""Weights carried into another network: the copy must give what its source gives."""

import numpy as np
import pytest

from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import wrap
from segcore.models import checkpoint, deeplab, surgery

SMALL = 65  # five features at stride 16


def as_light(random_arrays, v3, size):
    """A light DeepLabV3+ of random weights that surgery makes a copy of the network `v3`."""
    light = deeplab.deeplab_light(size)
    fresh = random_arrays(light, seed=1)
    checkpoint.load_weights(light, surgery.deeplab_v3_as_light(checkpoint.arrays_of(v3), fresh))
    return light


@pytest.mark.slow
@pytest.mark.parametrize("size", [SMALL, 97])
def test_surgery_copies_any_deeplab_v3(random_arrays, size):
    v3 = deeplab.deeplab_v3(size, upsampling=(4, 4))
    checkpoint.load_weights(v3, random_arrays(v3))
    x = np.random.default_rng(2).uniform(-1, 1, (2, size, size, 3)).astype("float32")
    expected, copied = v3(x).numpy(), as_light(random_arrays, v3, size)(x).numpy()
    assert expected.std() > 0.1 and len(np.unique(expected.argmax(-1))) > 3
    np.testing.assert_allclose(copied, expected, atol=1e-4 * np.abs(expected).max())
    assert (copied.argmax(-1) == expected.argmax(-1)).mean() >= 0.999


@pytest.mark.slow
def test_surgery_gives_the_same_masks_on_photos(random_arrays, shared):
    v3 = deeplab.deeplab_v3(257, upsampling=(4, 4))
    checkpoint.load_weights(v3, shared / "weights" / "deeplabv3_mnv2_coco_voc.npz")
    first, second = wrap(v3, "v3"), wrap(as_light(random_arrays, v3, 257), "light")
    named = {photo.stem: (photo, label) for photo, label in voc.file_pairs(shared / "voc2012")}
    for photo, label in map(named.get, ("2007_000123", "2007_000129", "2007_000529")):
        image = read_image(photo)
        expected, copied = first(image).mask, second(image).mask
        assert expected.any(), f"{photo.name}: nothing found, nothing compared"
        assert (copied == expected).mean() >= 0.999
        assert (expected == voc.read_mask(label)).mean() > 0.5  # the weights do mean something


def test_surgery_leaves_the_arrays_it_is_given_alone(random_arrays):
    given = random_arrays(deeplab.deeplab_v3(SMALL))
    fresh = random_arrays(deeplab.deeplab_light(SMALL), seed=1)
    before = [{key: array.copy() for key, array in side.items()} for side in (given, fresh)]
    light = surgery.deeplab_v3_as_light(given, fresh)
    assert set(light) == set(fresh)
    for array in light.values():
        array += 1
    for side, old in zip((given, fresh), before, strict=True):
        assert all(np.array_equal(array, old[key]) for key, array in side.items())
