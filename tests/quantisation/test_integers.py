"""Integer arithmetic by hand, against plain floating-point arithmetic."""

import numpy as np
import pytest

from segcore.export.affine import Affine
from segcore.quantisation import integers


def test_a_range_is_covered_and_zero_is_met():
    for low, high in [(-1.0, 1.0), (0, 6), (-3.7, 0), (2, 9), (-5, -1), (-0.001, 1000)]:
        way = integers.affine_for(low, high)
        assert way.dequantise(way.quantise(0.0)) == 0
        for value in (min(low, 0), max(high, 0)):
            assert abs(way.dequantise(way.quantise(value)) - value) <= 0.51 * way.scale
    with pytest.raises(ValueError, match="the range 0 to 0 is empty"):
        integers.affine_for(0, 0)


def test_quantise_rounds_to_the_nearest_and_clips():
    way = Affine(0.5, 3)
    values = [0, 0.24, 0.26, -0.24, -0.26, 0.25, -0.25, 1000, -1000]
    assert way.quantise(values).tolist() == [3, 3, 4, 3, 2, 4, 2, 127, -128]
    assert way.quantise(values).dtype == np.int8


def test_each_channel_of_a_kernel_may_have_its_own_step():
    kernel = np.array([[[[1.1, -200.0]]], [[[-2.0, 90.0]]]])
    way = Affine(np.array([2, 200]) / 127)
    assert way.quantise(kernel)[:, 0, 0].tolist() == [[70, -127], [-127, 57]]


@pytest.mark.parametrize("real", [0.5, 0.75, 1.0, 0.0123, 1e-6, 3.7, 1 - 1e-12])
def test_multiplier_is_a_mantissa_and_a_shift(real):
    m, shift = integers.multiplier(real)
    assert 2**30 <= m < 2**31
    assert m * 2.0 ** (shift - 31) == pytest.approx(real, rel=1e-9)


def test_rescale_is_rounded_multiplication():
    sums = np.random.default_rng(0).integers(-(10**6), 10**6, (5000, 3)).astype(np.int32)
    factors = np.array([0.00123, 0.4, 1.7])
    ours = integers.rescale(sums, factors)
    assert ours.dtype == np.int32
    off = np.abs(ours - sums * factors).max(axis=0)
    assert (off <= 0.76).all() and off[1] > 0.5  # rounded twice: 0.4 is 0.8, then a half of that
    # Halves go up, like TFLite's.
    assert integers.rescale(np.array([[3], [-3], [1], [-1]], np.int32), 0.5).ravel().tolist() == [
        2, -1, 1, 0,
    ]  # fmt: skip


def test_pointwise_is_the_float_convolution_up_to_rounding():
    random = np.random.default_rng(1)
    image, kernel = random.normal(0, 1, (4, 5, 8)), random.normal(0, 0.5, (8, 6))
    bias = random.normal(0, 1, 6)
    truth = np.maximum(image @ kernel + bias, 0)
    source, weights = (
        integers.affine_for(image.min(), image.max()),
        Affine(np.abs(kernel).max(0) / 127),
    )
    target = integers.affine_for(0, truth.max())
    whole = np.round(bias / (source.scale * weights.scale)).astype(np.int32)
    output = integers.pointwise(
        source.quantise(image), weights.quantise(kernel), whole, (source, weights, target)
    )
    assert np.abs(target.dequantise(output) - truth).max() < 0.06
    assert output.min() == -128  # ReLU, without a line for it
