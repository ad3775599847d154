"""Rounding and clipping error against theory and against integers counted by hand."""

import numpy as np
import pytest

from segcore.quantisation.error import fake_quantise, quantisation_error


def test_two_bits_by_hand() -> None:
    values = [-9.0, -1.2, -0.5, 0.4, 0.6, 1.4, 3.0]  # range -2 to 1 in steps of 1: -2, -1, 0, 1
    assert fake_quantise(values, -2, 1, bits=2).tolist() == [-2, -1, -1, 0, 1, 1, 1]
    found = quantisation_error(values, -2, 1, bits=2)
    assert found.clipping == pytest.approx((7**2 + 0.4**2 + 2**2) / 7)
    assert found.rounding == pytest.approx((0.2**2 + 0.5**2 + 0.4**2 + 0.4**2) / 7)
    signal = sum(value**2 for value in values) / 7
    assert found.sqnr == pytest.approx(10 * np.log10(signal / (found.clipping + found.rounding)))


def test_a_bit_is_worth_six_decibels() -> None:
    """Bennett 1948: rounding noise is step²/12, the power of 0 to 1 a third."""
    values = np.random.default_rng(0).uniform(0, 1, 100_000)
    for bits in range(4, 9):
        found = quantisation_error(values, 0, 1, bits)
        step = 1 / (2**bits - 1)
        assert found.rounding == pytest.approx(step**2 / 12, rel=0.02) and found.clipping < 1e-30
        assert found.sqnr == pytest.approx(6.02 + 20 * np.log10(1 / step), abs=0.1)


def test_eight_bits_are_those_of_the_file() -> None:
    from segcore.quantisation.integers import affine_for

    values = np.random.default_rng(1).normal(size=1000)
    affine = affine_for(-1.5, 3.5)
    stored = affine.dequantise(affine.quantise(values), np.float64)
    assert np.array_equal(fake_quantise(values, -1.5, 3.5), stored)


def test_what_the_integers_hold_has_no_error() -> None:
    assert quantisation_error([-2.0, 0.0, 1.0], -2, 1, bits=2) == (0, 0, np.inf)


@pytest.mark.parametrize(("arguments", "said"), [
    (([1.0], 0, 1, 9), "bits is 9; wanted 2 to 8"), (([1.0], 0, 1, 1), "bits is 1"),
    (([1.0], 0, 0), "the range 0 to 0 is empty"), (([], 0, 1), r"values \(0,\) hold no number"),
    ((np.zeros(3), 0, 1), r"values \(3,\) hold no number but 0"),
])  # fmt: skip
def test_arguments_refuse(arguments: tuple, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        quantisation_error(*arguments)
