"""What a page needs to know about a mask: its classes, their sizes and colours, and the ids.

`overlay` sends this to the browser. Pixels are counted at the mask's full size; the ids travel as
a palette PNG at the size of the picture on the page. Taught in chapter 1.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segcore.data import voc
from segcore.display.pictures import data_uri
from segcore.metrics import percent

# Okabe and Ito's colours ("Color Universal Design", 2008), told apart with every kind of colour
# vision. Black stays the background's, grey void's. From the eighth class on, patterns help.
SAFE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_SAFE_VOID, _SAFE_BACKGROUND = "#999999", "#000000"
Ids = NDArray[np.uint8]  # a mask (H, W)
_SOLID, _HATCHED = 0, 1  # patterns 2-4 are drawn by overlay.js for the eighth class and later


class Row(TypedDict):
    """A class as overlay.js reads it: `shares` is its fraction of the pixels of each mask, `safe`
    its colour in the palette for everybody, drawn in one of five patterns."""

    id: int
    name: str
    color: str
    safe: str
    pattern: int
    shares: list[float]


def check_mask(mask: object, argument: str, shape: tuple[int, int], names: Sequence[str]) -> Ids:
    """`mask` as (H, W) uint8. Raises ValueError, naming the argument, where it does not fit."""
    if not isinstance(mask, np.ndarray) or mask.dtype.kind not in "iu":
        kind = mask.dtype if isinstance(mask, np.ndarray) else type(mask).__name__
        raise ValueError(f"{argument} is {kind}; wanted an integer array of class ids.")
    if mask.shape != shape:
        raise ValueError(f"{argument} has shape {mask.shape}; wanted {shape}, as the image.")
    bad = np.argwhere(((mask < 0) | (mask >= len(names))) & (mask != voc.VOID))
    if len(bad):
        row, column = map(int, bad[0])
        raise ValueError(
            f"{argument} has id {mask[row, column]} at (row {row}, column {column}); class_names "
            f"names 0-{len(names) - 1}, and 255 is void. Pass a name for each id."
        )
    return mask.astype(np.uint8)


def class_rows(
    masks: Sequence[Ids], names: Mapping[int, str], colors: NDArray[np.uint8]
) -> list[Row]:
    """A row for each class in `masks` ((H, W) uint8 each), by id; `colors` (N, 3) uint8."""
    fractions = np.array([np.bincount(mask.ravel(), minlength=256) / mask.size for mask in masks])
    rows: list[Row] = []
    for number in map(int, np.flatnonzero(fractions.any(axis=0))):
        color = voc.palette()[voc.VOID] if number == voc.VOID else colors[number]
        safe, pattern = _safe_color(number, names[number], rows)
        part = fractions[:, number].tolist()
        rows.append(Row(id=number, name=names[number], color="#" + bytes(color).hex(),
                        safe=safe, pattern=pattern, shares=part))  # fmt: skip
    return rows


def _safe_color(number: int, name: str, rows: list[Row]) -> tuple[str, int]:
    """(colour, pattern) that no row has: by id, so that a class keeps its own, else the next."""
    if number == voc.VOID:
        return _SAFE_VOID, _HATCHED
    if name == "background":
        return _SAFE_BACKGROUND, _SOLID
    taken = {(row["safe"], row["pattern"]) for row in rows}
    hues = [SAFE[(number + k) % len(SAFE)] for k in range(len(SAFE))]
    choices = [(hue, pattern) for pattern in (_SOLID, 2, 3, 4) for hue in hues]
    return next((choice for choice in choices if choice not in taken), choices[0])


def mask_uri(mask: Ids, size: tuple[int, int], rows: list[Row]) -> str:
    """`mask` (H, W) uint8 as a palette PNG of `size` (height, width), background transparent.

    The script reads the indices, which are the ids; a page without JavaScript shows the colours.
    """
    picture = Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST)
    table, alpha = np.zeros((256, 3), np.uint8), np.full(256, 255, np.uint8)
    for row in rows:
        table[row["id"]] = list(bytes.fromhex(row["color"][1:]))
        alpha[row["id"]] = 0 if row["name"] == "background" else 255
    picture.putpalette(table.tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", bits=8, compress_level=9, transparency=alpha.tobytes())
    return data_uri(buffer.getvalue(), "image/png")


def listing(rows: list[Row], side: int = 0) -> str:
    """The classes of one mask in words, the largest first: "cat 31.2 %, background 68.8 %"."""
    found = [row for row in rows if row["shares"][side]]
    found.sort(key=lambda row: -row["shares"][side])
    return ", ".join(f"{row['name']} {_percent(row['shares'][side])}" for row in found)


def _percent(fraction: float) -> str:
    return "<0.1 %" if 0 < fraction < 0.0005 else f"{percent(fraction)} %"
