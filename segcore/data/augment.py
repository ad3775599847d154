"""Paired augmentation: one random view of a photo and of its mask, scaled, cropped, flipped, lit.

A `View` is a handful of numbers, drawn by NumPy from a seed. Applying it is plain array code that
takes its namespace as an argument, `xp=numpy` or `xp=jax.numpy`: the same lines run in a data
pipeline on the host, or vmapped over a batch on the accelerator, where 500 views a second are
nothing. No operation invents a class: masks are read at the nearest pixel, never blended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from segcore.data.images import PAD, neighbours
from segcore.data.voc import VOID

Array = Any  # of the namespace at hand: numpy.ndarray or jax.Array
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R BT.601


@dataclass(frozen=True)
class Recipe:
    """How strongly to augment.

    `scale` multiplies the photo's size, drawn evenly on a logarithmic axis. `brightness` is a
    shift in units of full scale, `contrast` and `saturation` are relative: each is drawn evenly
    from ± its value. `corner` is the share of views that stay at the top left, as a letterboxed
    photo does.
    """

    scale: tuple[float, float] = (0.35, 2.0)
    flip: bool = True
    brightness: float = 0.12
    contrast: float = 0.25
    saturation: float = 0.25
    corner: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high:
            raise ValueError(f"scale must be (low, high) with 0 < low <= high, not {self.scale}")
        for name in ("brightness", "contrast", "saturation", "corner"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, not {getattr(self, name)}")


class View(NamedTuple):
    """One crop, or a batch of them: every field is () or (B,) float32.

    Output pixel i shows the photo at (i + top + 0.5) / scale - 0.5, and likewise with `left`;
    `flip` (0 or 1) mirrors the photo first; then the light changes.
    """

    scale: Array
    top: Array
    left: Array
    flip: Array
    brightness: Array
    contrast: Array
    saturation: Array


IDENTITY = View(*np.array([1, 0, 0, 0, 0, 1, 1], np.float32))


def draw(rng: np.random.Generator, content: Array, size: int, recipe: Recipe) -> View:
    """Random views, one for each photo of `content` (B, 2) = (height, width) → View of (B,).

    Where the scaled photo is larger than `size`, the crop lies anywhere inside it; where it is
    smaller, the photo lies anywhere inside the crop.
    """
    content = np.asarray(content, np.float32)
    B = len(content)
    low, high = (float(value) for value in np.log(recipe.scale))
    scale = np.exp(rng.uniform(low, high, B))
    room = content * scale[:, None] - size
    offset = rng.uniform(0, 1, (B, 2)) * room
    offset[rng.uniform(size=B) < recipe.corner] = 0
    flip = rng.integers(0, 2, B) if recipe.flip else np.zeros(B)
    light = [
        middle + strength * rng.uniform(-1, 1, B)
        for middle, strength in (
            (0, recipe.brightness), (1, recipe.contrast), (1, recipe.saturation)
        )
    ]  # fmt: skip
    fields = (scale, offset[:, 0], offset[:, 1], flip, *light)
    return View(*(np.asarray(field, np.float32) for field in fields))


def apply(
    image: Array, mask: Array, content: Array, view: View, size: int, xp: Any = np
) -> tuple[Array, Array]:
    """One view: (S, T, 3) uint8 and (S, T) uint8 → (size, size, 3) float32 in [-1, 1] and
    (size, size) uint8.

    Only the top-left `content` = (height, width) of the inputs is a photo; around it the view is
    padded with grey 127 and void 255. Pixels are interpolated, labels are taken at the nearest.
    """
    return (
        apply_image(image, content, view, size, xp),
        apply_mask(mask, content, view, size, xp),
    )


def apply_image(image: Array, content: Array, view: View, size: int, xp: Any = np) -> Array:
    """The photo's half of `apply`: (S, T, 3) uint8 → (size, size, 3) float32 in [-1, 1]."""
    y, x, inside = positions(content, view, size, xp)
    pixels = bilinear(image, y, x, content, xp)
    lit = light(pixels, view, xp)
    return xp.where(inside[..., None], lit, xp.float32(PAD)) / xp.float32(127.5) - xp.float32(1)


def apply_mask(mask: Array, content: Array, view: View, size: int, xp: Any = np) -> Array:
    """The mask's half of `apply`: (S, T) uint8 → (size, size) uint8, void where there is none."""
    y, x, inside = positions(content, view, size, xp)
    rows, columns = nearest(y, content[0], xp), nearest(x, content[1], xp)
    return xp.where(inside, mask[rows][:, columns], xp.uint8(VOID))


def cut(batch: Any, size: int) -> tuple[Array, Array]:
    """Random views of photos that lie on an accelerator, by jax: `apply` for a whole batch.

    `batch["data"]` holds images (N, S, S, 3), contents (N, 2) and masks (N, S, S); its `index` (B,)
    says which, its `view` how → (B, size, size, 3) float32 and (B, size, size) int32.
    """
    import jax
    import jax.numpy as jnp

    images, contents, masks = batch["data"]
    index, view = batch["index"], View(*batch["view"])
    crop = jax.vmap(lambda i, m, c, v: apply(i, m, c, v, size, jnp))
    shown, labels = crop(images[index], masks[index], contents[index], view)
    return shown, labels.astype("int32")


def positions(content: Array, view: View, size: int, xp: Any = np) -> tuple[Array, Array, Array]:
    """Where each output row and column lies in the photo: (size,), (size,) float32, and which
    output pixels show the photo at all: (size, size) bool."""
    steps = xp.arange(size, dtype=xp.float32) + xp.float32(0.5)
    y = (steps + view.top) / view.scale - xp.float32(0.5)
    x = (steps + view.left) / view.scale - xp.float32(0.5)
    x = xp.where(view.flip > 0, content[1] - 1 - x, x)
    rows = (y >= -0.5) & (y < content[0] - 0.5)
    columns = (x >= -0.5) & (x < content[1] - 0.5)
    return y, x, rows[:, None] & columns[None]


def bilinear(values: Array, y: Array, x: Array, content: Array, xp: Any = np) -> Array:
    """`values` (S, T, C) at rows `y` (M,) and columns `x` (N,) → (M, N, C) float32.

    The edges of the top-left `content` repeat outwards: what lies beside it never shines in.
    """
    top, bottom, down = neighbours(y, content[0], xp)
    left, right, across = neighbours(x, content[1], xp)
    rows = [values[index].astype(xp.float32) for index in (top, bottom)]
    rows = rows[0] * (1 - down[:, None, None]) + rows[1] * down[:, None, None]
    return rows[:, left] * (1 - across[:, None]) + rows[:, right] * across[:, None]


def nearest(position: Array, length: Array, xp: Any = np) -> Array:
    """The pixel that each `position` falls on, 0..length - 1, int32."""
    return xp.clip(xp.floor(position + xp.float32(0.5)), 0, length - 1).astype(xp.int32)


def light(pixels: Array, view: View, xp: Any = np) -> Array:
    """`pixels` (H, W, 3) float32 in 0..255 → the same, with other saturation, contrast, brightness.

    Contrast turns around mid-grey, so that no statistics of the photo are needed.
    """
    grey = (pixels * xp.asarray(GREY)).sum(-1, keepdims=True)
    pixels = grey + (pixels - grey) * view.saturation
    pixels = (pixels - PAD) * view.contrast + PAD + 255 * view.brightness
    return xp.clip(pixels, 0, 255)
