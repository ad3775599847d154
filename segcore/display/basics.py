"""Small drawings of what every layer does, for the page of basics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segcore.display.svg import Box, Diagram, Drawing, Point

_SIDE = 22  # of one number's square
_INPUT = np.array([[0, 0, 1, 2, 0], [0, 1, 2, 0, 0], [1, 2, 0, 0, 1],
                   [2, 0, 0, 1, 2], [0, 0, 1, 2, 0]])  # fmt: skip
_KERNEL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])


def convolution() -> Diagram:
    """A 3×3 kernel at one position of a 5×5 input, and the 3×3 output. Shown on the basics page."""
    d = Drawing()
    windows = np.lib.stride_tricks.sliding_window_view(_INPUT, (3, 3))
    output = (windows * _KERNEL).sum((2, 3))
    d.text((69, 18), "input")
    _grid(d, (14, 30), _INPUT, window=(0, 0))
    d.text((139, 85), "∗")
    d.text((185, 40), "kernel")
    _grid(d, (152, 52), _KERNEL)
    d.text((234, 85), "=")
    d.text((283, 40), "output")
    _grid(d, (250, 52), output, window=(0, 0), size=1)
    return d.finish(
        "One output of a convolution",
        f"A 5×5 grid of numbers, a 3×3 kernel and a 3×3 output. The kernel lies on the upper left "
        f"corner of the input; the nine products add up to {output[0, 0]}, the upper left number "
        "of the output.",
    )


def feature_map() -> Diagram:
    """Channels on top of one another, and the feature at one position. Shown on the basics page."""
    d, side = Drawing(), 18
    for channel, (x, y) in enumerate(((92, 62), (76, 44), (60, 26))):
        for row in range(4):
            for column in range(5):
                box = Box(x + column * side, y + row * side, side, side)
                here = (row, column) == (1, 3)
                d.rectangle(box, "space" if here else "data", 0)
        d.line((x + 90, y + 63), (212, 38 + 24 * (2 - channel) + 45), kind="thin")
        d.text((218, 38 + 24 * (2 - channel) + 45), f"channel {3 - channel}", "start")
    d.text((105, 16), "5 wide")
    d.text((30, 62), "4 high")
    d.line((123, 53), (212, 34), kind="accent")
    d.text((218, 34), "one position: a feature", "start accent")
    return d.finish(
        "A feature map, its channels and a feature",
        "Three grids, 4 positions high and 5 wide, lie on top of each other: the three channels "
        "of a feature map. The numbers at one position of all three are a feature.",
    )


def stride_and_padding() -> Diagram:
    """A kernel of 3 over 7 numbers with padding, stride 1 and 2. Shown on the basics page."""
    d, side = Drawing(), 30
    left = 180 - 4.5 * side
    for top, stride in ((36, 1), (150, 2)):
        d.text((14, top - 16), f"Stride {stride}", "start bold")
        for n in range(9):
            padded = n in (0, 8)
            box = Box(left + n * side, top, side, side)
            d.rectangle(box, "bare dashed" if padded else "data", 0)
            d.text((box.x + side / 2, top + side / 2), "0" if padded else "x", "muted")
        for n in range(1, 8, stride):
            middle = left + (n + 0.5) * side
            for reach in (-1, 0, 1):
                start = (middle + reach * side, top + side)
                d.line(start, (middle, top + 54), kind="accent" if n == 1 else "thin")
            d.rectangle(Box(middle - side / 2, top + 54, side, side - 6), "space", 0)
    return d.finish(
        "Stride and padding",
        "A row of seven inputs with one padded zero at either end, twice. With stride 1 a kernel "
        "of three inputs gives seven outputs, with stride 2 it gives four, over every second "
        "input. The first output of both uses a padded zero.",
    )


def skip_connection() -> Diagram:
    """A feature map that goes through two layers and past them. Shown on the basics page."""
    d = Drawing()
    start = d.box(40, 50, ("data", 52, "x"))
    layers = d.box(160, 50, ("mix", 104, "some layers, f"))
    total = d.box(306, 50, ("data", 84, "x + f(x)"))
    d.arrow(start.right, layers.left)
    d.arrow(layers.right, (240, layers.right[1]), (total.left[0], layers.right[1]))
    d.arrow((40, 50), (40, 26), (306, 26), (306, 50), kind="accent")
    d.text((160, 15), "skip connection", "accent")
    return d.finish(
        "A skip connection",
        "An arrow leads from x through some layers f to the sum x + f(x). A second arrow, the skip "
        "connection, leads from x past the layers to the sum.",
    )


def _grid(
    d: Drawing, corner: Point, numbers: NDArray, window: tuple[int, int] = (-9, -9), size: int = 3
) -> None:
    """`numbers` in squares; `size` × `size` of them from `window` on are marked."""
    for (row, column), value in np.ndenumerate(numbers):
        marked = 0 <= row - window[0] < size and 0 <= column - window[1] < size
        x, y = corner[0] + column * _SIDE, corner[1] + row * _SIDE
        d.rectangle(Box(x, y, _SIDE, _SIDE), "space" if marked else "data", 0)
        d.text((x + _SIDE / 2, y + _SIDE / 2), str(value), "bold" if marked else "")
