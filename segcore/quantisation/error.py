"""What a clip range and a bit width do to numbers: rounding error, clipping error, SQNR.

Taught in chapter 9.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segcore.quantisation.integers import affine_for, limits


class QuantisationError(NamedTuple):
    """Mean squares of both errors, whose sum is the mean squared error, and the SQNR in dB.

    A clipped number has a clipping error only, another a rounding error only.
    """

    rounding: float
    clipping: float
    sqnr: float


def quantisation_error(
    values: ArrayLike, low: float, high: float, bits: int = 8
) -> QuantisationError:
    """Errors of `values` brought to `bits`-bit integers that cover `low` to `high`, and back.

    The SQNR is 10·log₁₀(Σ x² / Σ (x - x̂)²), inf without error. Raises ValueError for an empty
    range, for other bits than 2 to 8, and without values other than 0. Taught in chapter 9.
    """
    x = np.asarray(values, np.float64)
    signal = np.square(x).mean() if x.size else 0.0
    if not signal > 0:
        raise ValueError(f"values {x.shape} hold no number but 0; wanted a signal")
    clipped = np.clip(x, *affine_for(low, high, bits).dequantise(limits(bits), np.float64))
    rounding = float(np.square(clipped - fake_quantise(x, low, high, bits)).mean())
    clipping = float(np.square(x - clipped).mean())
    noise = rounding + clipping
    return QuantisationError(
        rounding, clipping, float(10 * np.log10(signal / noise)) if noise else np.inf
    )


def fake_quantise(values: ArrayLike, low: float, high: float, bits: int = 8) -> NDArray[np.float64]:
    """`values` as `bits`-bit integers that cover `low` to `high`, turned back into numbers.

    Jacob et al. 2018, section 3. Raises ValueError as `affine_for` does. Taught in chapter 9.
    """
    affine = affine_for(low, high, bits)
    integers = np.clip(affine.quantise(values, np.int16), *limits(bits))
    return affine.dequantise(integers, np.float64)
