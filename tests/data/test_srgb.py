"""The sRGB curve against values of its standard, there and back."""

import numpy as np
import pytest

from segcore.data import srgb


@pytest.mark.parametrize(
    ("byte", "light"), [(0, 0), (10, 10 / 255 / 12.92), (188, 0.50289), (255, 1)]
)
def test_known_values(byte, light):
    assert srgb.to_light(np.array([byte], np.uint8)) == pytest.approx([light], abs=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_byte_comes_back(dtype):
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    light = srgb.to_light(every, dtype)
    assert light.dtype == dtype and (np.diff(light.ravel()) > 0).all()
    np.testing.assert_array_equal(srgb.to_bytes(light), every)


def test_what_is_out_of_range_is_black_or_white():
    assert srgb.to_bytes(np.array([-0.1, 1.5])).tolist() == [0, 255]
