"""The arithmetic of an int8 file in NumPy, as TFLite's reference kernels do it, bit for bit."""

from math import frexp

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segcore.export.affine import Affine

LOWEST, HIGHEST = -128, 127  # int8


def limits(bits: int = 8) -> tuple[int, int]:
    """The smallest and the largest signed integer of 2 to 8 bits; ValueError for others."""
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; wanted 2 to 8")
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def affine_for(low: float, high: float, bits: int = 8) -> Affine:
    """The map to `bits`-bit integers that covers `low` to `high`, extended to hold 0, met exactly.

    Raises ValueError for an empty range. Jacob et al. 2018, section 2.1. Taught in chapter 9.
    """
    lowest, highest = limits(bits)
    low, high = min(low, 0.0), max(high, 0.0)
    if not low < high:
        raise ValueError(f"the range {low} to {high} is empty; high must lie above low")
    scale = (high - low) / (highest - lowest)
    return Affine(scale, int(np.clip(round(lowest - low / scale), lowest, highest)))


def multiplier(real: float) -> tuple[int, int]:
    """A positive `real` → (m, shift) with real ≈ m · 2^(shift - 31): an int32 and a bit shift.

    A chip without floating point multiplies by m and shifts. Jacob et al. 2018, section 2.2.
    """
    fraction, shift = frexp(real)  # real = fraction · 2^shift, fraction in [0.5, 1)
    m = round(fraction * 2**31)
    return (m // 2, shift + 1) if m == 2**31 else (m, shift)


def rescale(sums: NDArray[np.int32], factors: ArrayLike) -> NDArray[np.int32]:
    """int32 `sums` (..., C) times real `factors` (C,), rounded, by integer arithmetic alone.

    Rounds twice, as TFLite does: once at bit 31 of the product, once at the shift.
    """
    pairs = [multiplier(float(factor)) for factor in np.atleast_1d(factors)]
    m, shift = (np.array(part, np.int64) for part in zip(*pairs, strict=True))
    product = (sums.astype(np.int64) << np.maximum(shift, 0)) * m
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = _divide(product + nudge, 31)  # towards zero, like C
    right = np.maximum(-shift, 0)
    rest = high & ((1 << right) - 1)
    halfway = (((1 << right) - 1) >> 1) + (high < 0)
    return ((high >> right) + (rest > halfway)).astype(np.int32)


def pointwise(
    image: NDArray[np.int8],
    kernel: NDArray[np.int8],
    bias: NDArray[np.int32],
    maps: tuple[Affine, Affine, Affine],
) -> NDArray[np.int8]:
    """A 1×1 convolution on integers: (H, W, I) by (I, O), plus (O,) → (H, W, O) int8.

    `maps` are those of image, kernel and output. A ReLU or ReLU6 behind it needs no line: the range
    of the output begins at 0, or ends at 6, and the last clip cuts there. Equals LiteRT's reference
    kernel to the bit; its fast kernels round once and may differ by 1. Taught in chapter 9.
    """
    source, weights, target = maps
    sums = (image.astype(np.int32) - source.zero) @ kernel.astype(np.int32) + bias
    factors = np.asarray(source.scale, np.float64) * weights.scale / target.scale
    return np.clip(rescale(sums, factors) + target.zero, LOWEST, HIGHEST).astype(np.int8)


def _divide(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """values / 2^bits, cut off towards zero."""
    return np.where(values >= 0, values >> bits, -((-values) >> bits))
