"""Paired augmentation: one random view of a photo and of its mask, scaled, cropped, flipped, lit.

A `View` is a handful of numbers, drawn by NumPy from a seed; applying it is plain array code. No
operation invents a class: masks are read at the nearest pixel, never blended.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segcore._errors import check
from segcore.data.images import PAD, neighbours
from segcore.data.voc import VOID

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """Random views of `size` pixels, and how strongly they differ: the `change` of `Batches`.

    `scale` multiplies the photo's size, drawn evenly on a logarithmic axis. `brightness` is a
    shift in units of full scale, `contrast` and `saturation` are relative: each is drawn evenly
    from ± its value. `corner` is the fraction of views that stay at the top left, as a letterboxed
    photo does. Raises ValueError naming the argument.
    """

    size: int
    scale: tuple[float, float] = (0.35, 2.0)
    flip: bool = True
    brightness: float = 0.12
    contrast: float = 0.25
    saturation: float = 0.25
    corner: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.scale
        check("scale", self.scale, 0 < low <= high, "(low, high) with 0 < low <= high")
        for name in ("brightness", "contrast", "saturation", "corner"):
            check(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "0 to 1")

    def __call__(
        self, rng: np.random.Generator, images: Bytes, masks: Bytes, contents: Floats
    ) -> tuple[Floats, Bytes]:
        """One view of each: images (B, S, S, 3), masks (B, S, S) and contents (B, 2) = (height,
        width) → (B, size, size, 3) float32 in [-1, 1] and (B, size, size) uint8."""
        views = zip(*draw(rng, contents, self), strict=True)
        photos = zip(images, masks, contents, views, strict=True)
        pairs = [apply(i, m, c, View(*view), self.size) for i, m, c, view in photos]
        inputs, labels = zip(*pairs, strict=True)
        return np.stack(inputs), np.stack(labels)


class View(NamedTuple):
    """One crop, or a batch of them: every field is () or (B,) float32.

    Output pixel i shows the photo at (i + top + 0.5) / scale - 0.5, and likewise with `left`;
    `flip` (0 or 1) mirrors the photo first; then its colours change.
    """

    scale: Floats
    top: Floats
    left: Floats
    flip: Floats
    brightness: Floats
    contrast: Floats
    saturation: Floats


def draw(rng: np.random.Generator, content: Floats, how: Augmentation) -> View:
    """Random views, one for each photo of `content` (B, 2) = (height, width) → View of (B,).

    Where the scaled photo is larger than the view, that lies anywhere inside it; where it is
    smaller, the photo lies anywhere inside the view.
    """
    content = np.asarray(content, np.float32)
    B = len(content)
    low, high = (float(value) for value in np.log(how.scale))
    scale = np.exp(rng.uniform(low, high, B))
    room = content * scale[:, None] - how.size
    offset = rng.uniform(0, 1, (B, 2)) * room
    offset[rng.uniform(size=B) < how.corner] = 0
    flip = rng.integers(0, 2, B) if how.flip else np.zeros(B)
    brightness = how.brightness * rng.uniform(-1, 1, B)
    contrast = 1 + how.contrast * rng.uniform(-1, 1, B)
    saturation = 1 + how.saturation * rng.uniform(-1, 1, B)
    fields = (scale, offset[:, 0], offset[:, 1], flip, brightness, contrast, saturation)
    return View(*(np.asarray(field, np.float32) for field in fields))


def apply(
    image: Bytes, mask: Bytes, content: Floats, view: View, size: int
) -> tuple[Floats, Bytes]:
    """One view: (S, T, 3) uint8 and (S, T) uint8 → (size, size, 3) float32 in [-1, 1] and
    (size, size) uint8.

    Only the top-left `content` = (height, width) of the inputs is a photo; around it the view is
    padded with grey 127 and void 255. Pixels are interpolated, labels are taken at the nearest.
    """
    y, x, inside = positions(content, view, size)
    pixels = jitter(bilinear(image, y, x, content), view)
    padded = np.where(inside[..., None], pixels, np.float32(PAD))
    labels = mask[nearest(y, content[0])][:, nearest(x, content[1])]
    scaled = np.asarray(padded / np.float32(127.5) - np.float32(1), np.float32)
    return scaled, np.where(inside, labels, np.uint8(VOID))


def positions(content: Floats, view: View, size: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Where each output row and column lies in the photo: (size,), (size,) float32, and which
    output pixels show the photo at all: (size, size) bool."""
    centres = np.arange(size, dtype=np.float32) + np.float32(0.5)
    y = (centres + view.top) / view.scale - np.float32(0.5)
    x = (centres + view.left) / view.scale - np.float32(0.5)
    x = np.where(view.flip > 0, content[1] - 1 - x, x)
    rows = (y >= -0.5) & (y < content[0] - 0.5)
    columns = (x >= -0.5) & (x < content[1] - 0.5)
    return y, x, rows[:, None] & columns[None]


def bilinear(values: NDArray, y: Floats, x: Floats, content: Floats) -> Floats:
    """`values` (S, T, C) at rows `y` (M,) and columns `x` (N,) → (M, N, C) float32.

    The edges of the top-left `content` repeat outwards: what lies beside it never shines in.
    """
    top, bottom, down = neighbours(y, content[0])
    left, right, across = neighbours(x, content[1])
    rows = [values[index].astype(np.float32) for index in (top, bottom)]
    rows = rows[0] * (1 - down[:, None, None]) + rows[1] * down[:, None, None]
    return rows[:, left] * (1 - across[:, None]) + rows[:, right] * across[:, None]


def nearest(position: Floats, length: float) -> NDArray[np.int32]:
    """The pixel that each `position` falls on, 0..length - 1, int32."""
    return np.clip(np.floor(position + np.float32(0.5)), 0, length - 1).astype(np.int32)


def jitter(pixels: Floats, view: View) -> Floats:
    """`pixels` (H, W, 3) float32 in 0..255 → the same, with other saturation, contrast, brightness.

    Contrast turns around mid-grey, so that no statistics of the photo are needed.
    """
    grey = (pixels * GREY).sum(-1, keepdims=True)
    pixels = grey + (pixels - grey) * view.saturation
    pixels = (pixels - PAD) * view.contrast + PAD + 255 * view.brightness
    return np.clip(pixels, 0, 255)
