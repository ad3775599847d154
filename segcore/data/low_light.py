"""A photo as it would have been with less light: darker, and full of noise.

A sensor counts photons. Half the light is half the count, and counts scatter by their square root;
reading them adds a few electrons more. The camera then turns them into bytes on a curve. Taught in
chapter 11.
"""

import numpy as np
from numpy.typing import NDArray

from segcore._errors import check
from segcore.data.srgb import to_bytes, to_light

FULL = 1500  # electrons of a white pixel in full light, about a phone's at ISO 400
READ = 3.0  # electrons that reading a pixel adds or takes away, root mean square

Pixels = NDArray[np.uint8]


def darken(
    image: Pixels, light: float, gain: float = 1, noise: bool = True, seed: int = 0
) -> Pixels:
    """`image` (H, W, 3) uint8 sRGB with `light` (0..1] of its light → the same shape.

    `gain` multiplies the count before it becomes bytes, as a camera's automatic exposure does:
    1/light gives the old brightness back, noise and all. Without `noise` only brightness changes.
    Raises ValueError naming the argument. Taught in chapter 11.
    """
    check("light", light, 0 < light <= 1, "above 0 and at most 1")
    check("gain", gain, gain > 0, "above 0")
    check("image", image, image.dtype == np.uint8, "uint8")
    electrons = to_light(image, np.float32) * FULL * light
    if noise:
        rng = np.random.default_rng(seed)
        scattered = rng.poisson(electrons).astype(np.float32)
        electrons = scattered + READ * rng.standard_normal(image.shape, np.float32)
    return to_bytes(electrons / FULL * gain)
