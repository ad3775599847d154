"""An explorer of each kind, for the tests with and without a browser."""

from collections.abc import Callable

import numpy as np

from segcore.display.explorers import (
    AlignmentRuler,
    DilationExplorer,
    MaskTable,
    PaintGrid,
    QuantisationExplorer,
    SeparableSteps,
)
from segcore.display.widget import Widget

LABELS = np.array([
    [0, 0, 0, 0, 0, 0],
    [0, 1, 1, 0, 0, 0],
    [0, 1, 1, 1, 0, 0],
    [0, 1, 1, 1, 0, 0],
    [0, 0, 255, 0, 2, 2],
    [0, 0, 0, 0, 2, 2],
])  # fmt: skip
PREDICTIONS = np.array([
    [0, 0, 0, 0, 0, 0],
    [0, 1, 1, 0, 0, 0],
    [0, 1, 1, 1, 1, 0],
    [0, 0, 1, 1, 1, 0],
    [0, 0, 0, 0, 3, 2],
    [0, 0, 0, 0, 0, 2],
])  # fmt: skip
NAMES = ("background", "cat", "dog", "sofa")


def paint_grid(title: str = "", alt: str = "") -> PaintGrid:
    return PaintGrid(LABELS, PREDICTIONS, NAMES, title=title, alt=alt)


def dilation(title: str = "", alt: str = "") -> DilationExplorer:
    return DilationExplorer(before=(491, 16), title=title, alt=alt)


def layer() -> np.ndarray:
    """Numbers such as a linear bottleneck has them: many small ones, a few far out."""
    random = np.random.default_rng(0)
    return np.concatenate([random.normal(0.2, 1, 9000), random.normal(0, 4, 300)]).reshape(31, -1)


CLIPS = [(-1.0, 1.5), (-2.5, 3.0), (-6.0, 7.0), (-12.0, 13.0)]
BITS = (2, 3, 4, 5)


def masks() -> MaskTable:
    """A disc of cats that loses more pixels, and wins some dogs, the fewer the bits."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:20, :24]
    reference = np.where((x - 12) ** 2 + (y - 10) ** 2 < 50, 8, 0)
    table = np.repeat(reference[None], len(CLIPS) * len(BITS), axis=0)
    for number, mask in enumerate(table):
        wrong = random.random(mask.shape) < 0.3 / (1 + number % len(BITS))
        mask[wrong] = random.choice([0, 12], wrong.sum())
    image = np.full((20, 24, 3), 90, np.uint8)
    return MaskTable(image, reference, table.reshape(len(CLIPS), len(BITS), 20, 24))


def quantisation(title: str = "", alt: str = "") -> QuantisationExplorer:
    return QuantisationExplorer(layer(), CLIPS, BITS, masks=masks(), title=title, alt=alt)


def alignment(title: str = "", alt: str = "") -> AlignmentRuler:
    explorer = AlignmentRuler(crop=7, title=title, alt=alt)
    explorer.feature = 1
    return explorer


def separable(title: str = "", alt: str = "") -> SeparableSteps:
    return SeparableSteps(title=title, alt=alt)


SAMPLES: dict[str, Callable[..., Widget]] = {
    "paint_grid": paint_grid,
    "separable": separable,
    "dilation": dilation,
    "alignment": alignment,
    "quantisation": quantisation,
}
