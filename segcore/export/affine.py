"""How integers stand for numbers: the one rule of quantisation and dequantisation.

A stored integer q means the number (q - zero) · scale: an affine map, hence the name.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


@dataclass(frozen=True)
class Affine:
    """`scale` is the quantisation step, `zero` the integer that means 0.

    Both are single numbers, or (C,) arrays with one for each channel of the last axis. Jacob et al.
    2018, Quantization and Training of Neural Networks, section 2.1.
    """

    scale: float | NDArray[np.float64]
    zero: int | NDArray[np.int64] = 0

    def quantise(self, values: ArrayLike, dtype: DTypeLike = np.int8) -> NDArray:
        """Numbers → the nearest integers of `dtype`; what lies outside is clipped.

        Halves go away from zero before the zero point is added, as in TFLite's own operator.
        """
        scaled = np.asarray(values, np.float64) / self.scale
        nearest = np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)
        limits = np.iinfo(np.dtype(dtype))
        return np.clip(nearest + self.zero, limits.min, limits.max).astype(dtype)

    def dequantise(self, integers: ArrayLike, dtype: DTypeLike = np.float32) -> NDArray:
        """Integers of 8 bits, or means of such → the numbers that they stand for, in `dtype`."""
        steps = np.asarray(integers, dtype) - np.asarray(self.zero, dtype)
        return steps * np.asarray(self.scale, dtype)
