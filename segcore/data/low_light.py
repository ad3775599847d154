"""A photo as it would have been with less light: darker, and full of noise.

A sensor counts photons. Half the light is half the count, and counts scatter by their square root;
reading them adds a few electrons more. The camera then turns them into bytes on a curve. Taught in
chapter 10.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FULL = 1500  # electrons of a white pixel in full light, about a phone's at ISO 400
READ = 3.0  # electrons that reading a pixel adds or takes away, root mean square

Pixels = NDArray[np.uint8]


def darken(
    image: Pixels, light: float, gain: float = 1, noise: bool = True, seed: int = 0
) -> Pixels:
    """`image` (H, W, 3) uint8 sRGB with `light` (0..1] of its light → the same shape.

    `gain` multiplies the count before it becomes bytes, as a camera's automatic exposure does:
    1/light gives the old brightness back, noise and all. Without `noise` only brightness changes.
    Raises ValueError naming the argument. Taught in chapter 10.
    """
    if not 0 < light <= 1 or not gain > 0:
        raise ValueError(f"light is {light} and gain {gain}; wanted 0 < light <= 1 and gain > 0")
    if image.dtype != np.uint8:
        raise ValueError(f"image is {image.dtype}; wanted uint8")
    electrons = _linear(image) * FULL * light
    if noise:
        rng = np.random.default_rng(seed)
        scattered = rng.poisson(electrons).astype(np.float32)
        electrons = scattered + READ * rng.standard_normal(image.shape, np.float32)
    return _bytes(electrons / FULL * gain)


def brighten(image: Pixels, gain: float) -> Pixels:
    """`image` (H, W, 3) uint8 sRGB with its light multiplied by `gain` afterwards, in software.

    What was rounded to a byte stays rounded. Taught in chapter 10.
    """
    return _bytes(_linear(image) * gain)


def _linear(image: Pixels) -> NDArray[np.float32]:
    """sRGB bytes → light, 0..1 (IEC 61966-2-1)."""
    value = np.arange(256, dtype=np.float32) / 255
    table = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return table.astype(np.float32)[image]


def _bytes(light: NDArray) -> Pixels:
    """Light, 0..1 → sRGB bytes; what is brighter than white is white."""
    light = np.clip(light, 0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * curve).astype(np.uint8)
