"""An explorer of each kind, for the tests with and without a browser."""

from collections.abc import Callable

import numpy as np

from segcore.display.explorers import DilationExplorer, PaintGrid
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


SAMPLES: dict[str, Callable[..., Widget]] = {"paint_grid": paint_grid, "dilation": dilation}
