"""The curve between bytes and light: IEC 61966-2-1, the sRGB that photos and screens speak."""

import numpy as np
from numpy.typing import DTypeLike, NDArray


def to_light(pixels: NDArray[np.uint8], dtype: DTypeLike = np.float64) -> NDArray:
    """sRGB bytes of any shape → how much light they stand for, 0..1, computed in `dtype`."""
    value = np.arange(256, dtype=dtype) / 255
    curve = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return curve.astype(dtype)[pixels]


def to_bytes(light: NDArray) -> NDArray[np.uint8]:
    """Light of any shape, 1 is white → sRGB bytes; below black is black, above white is white."""
    light = np.clip(light, 0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * curve).astype(np.uint8)
