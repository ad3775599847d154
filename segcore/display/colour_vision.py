"""What a colour-blind reader sees of a set of colours, and how far apart two colours look.

Gustavo M. Machado, Manuel M. Oliveira, Leandro A. F. Fernandes, "A Physiologically-based Model
for Simulation of Color Vision Deficiency", 2009. Taught in chapter 2.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from segcore._errors import check
from segcore.data.srgb import to_bytes, to_light

# Linear RGB in, linear RGB out, when a kind of cone is missing: their table at severity 1.0.
MATRICES = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def simulate(colors: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """`colors` (..., 3) uint8 sRGB as a reader with `kind` of colour vision sees them, same shape.

    `kind` is a key of MATRICES. Raises ValueError naming the argument. Taught in chapter 2.
    """
    check("kind", kind, kind in MATRICES, f"one of {', '.join(MATRICES)}")
    fits = colors.dtype == np.uint8 and colors.shape[-1:] == (3,)
    check("colors", colors, fits, "uint8 (..., 3), sRGB")
    return to_bytes(to_light(colors) @ np.transpose(MATRICES[kind]))


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIEDE2000 between the sRGB colours `a` and `b` (..., 3) uint8 → (...) float64.

    1 is just visible side by side; below 10, two patches on a page are easily taken for one.
    Taught in chapter 2.
    """
    return np.asarray(deltaE_ciede2000(rgb2lab(a), rgb2lab(b)))


def close_pairs(
    colors: NDArray[np.uint8], kind: str, limit: float = 10
) -> list[tuple[int, int, float]]:
    """The pairs (i, j, difference) of rows of `colors` (N, 3) below `limit`, closest first.

    Seen with the `kind` of colour vision that `simulate` knows. Taught in chapter 2.
    """
    seen = simulate(colors, kind)
    apart = difference(seen[:, None], seen[None])
    pairs = [(i, j, float(apart[i, j])) for i, j in combinations(range(len(seen)), 2)]
    return sorted((pair for pair in pairs if pair[2] < limit), key=lambda pair: pair[2])
