"""ToyVOC: drawn scenes with VOC's 21 classes, made in seconds and never stored.

What a thing is called follows from its shape alone: hues, patterns and light are drawn at
random for things, background and clutter alike. Taught in chapter 2.
"""

import functools
import itertools

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segcore._errors import check
from segcore.data import voc
from segcore.data.toy_shapes import SHAPES

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]

_FIRST = 16  # the first code of a thing; below it: backdrop, shadow, clutter


def scene(index: int, size: int = 128, seed: int = 0) -> tuple[Pixels, Pixels]:
    """Scene number `index` of ToyVOC: image (S, S, 3) uint8, mask (S, S) uint8 with void borders.

    `size` S is in pixels. The same three numbers always draw the same scene. Raises
    ValueError for a negative index or seed and for a size below 32. Taught in chapter 2.
    """
    check("index", index, index >= 0, "0 or more")
    check("seed", seed, seed >= 0, "0 or more")
    check("size", size, size >= 32, "at least 32 pixels, below which all shapes look alike")
    rng = np.random.default_rng([seed, index])
    canvas = Image.new("L", (2 * size, 2 * size))  # one code a region, at twice the size
    draw = ImageDraw.Draw(canvas)
    horizon = rng.uniform(0.35, 0.6)
    _draw_backdrop(draw, 2 * size, horizon, rng)
    class_of = np.zeros(256, np.uint8)  # code → class id
    for number, (label, place) in enumerate(_cast(horizon, rng)):
        base = _FIRST + 4 * number
        class_of[base : base + 4] = label
        _draw_thing(draw, 2 * size, label, place, base)
    codes = np.asarray(canvas)
    return _paint(codes, rng), _label(codes[::2, ::2], class_of)


def scenes(n: int, size: int = 128, seed: int = 0, start: int = 0) -> tuple[Pixels, Pixels]:
    """Scenes `start` to `start + n - 1`: images (N, S, S, 3) uint8, masks (N, S, S) uint8.

    Raises ValueError as `scene` does, and for n below 1. Taught in chapter 2.
    """
    check("n", n, n >= 1, "at least one scene")
    pairs = [scene(start + i, size, seed) for i in range(n)]
    return np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])


@functools.cache
def _recipe(label: int) -> tuple[tuple[int, Points], ...]:
    """The parts of a class, back to front: (tone 0-3, outline (N, 2) in the box of ±10)."""
    parts = [part.split() for part in SHAPES[voc.CLASSES[label]][2].split(";")]
    return tuple(
        ("badl".index(tone), _outline(kind, np.array(numbers, float)))
        for tone, kind, *numbers in parts
    )


def _outline(kind: str, n: Points) -> Points:
    """The polygon (N, 2) of one primitive: p as given, e, o and l in short straight pieces."""
    turn = np.linspace(0, 2 * np.pi, 33)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    if kind == "p":
        return n.reshape(-1, 2)
    if kind == "e":
        return n[:2] + circle * n[2:]
    if kind == "o":  # there along the outside, back along the inside
        return n[:2] + np.concatenate(
            [circle * (n[2] + n[3] / 2), circle[::-1] * (n[2] - n[3] / 2)]
        )
    lean = np.arctan2(n[3] - n[1], n[2] - n[0])  # a line with round ends: two half circles
    half = lean + np.linspace(-np.pi / 2, np.pi / 2, 9)
    cap = np.stack([np.cos(half), np.sin(half)], axis=1) * n[4] / 2
    return np.concatenate([n[2:4] + cap, n[:2] - cap])


def _cast(horizon: float, rng: np.random.Generator) -> list[tuple[int, Points]]:
    """Who appears where, far to near: (class id, affine (2, 3) from the recipe's box to [0, 1])."""
    weights = np.array([count for count, _, _ in SHAPES.values()], float)
    n = rng.choice([1, 2, 3, 4], p=[0.45, 0.3, 0.17, 0.08])
    labels = 1 + rng.choice(20, n, p=weights / weights.sum())
    slots = (rng.permutation(n) + rng.uniform(0.2, 0.8, n)) / n
    feet = np.sort(rng.uniform(max(horizon + 0.12, 0.62), 0.97, n))
    things = []
    for label, x, foot in zip(labels, slots, feet, strict=True):
        span = (
            SHAPES[voc.CLASSES[label]][1] * rng.uniform(0.8, 1.15) * foot * (0.49 - 0.045 * n) / 10
        )
        lean = rng.normal(0, 0.05)
        turn = np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]])
        matrix = turn * span * [rng.choice([-1, 1]) * rng.uniform(0.9, 1.1), 1]
        heights = np.concatenate([outline @ matrix[1] for _, outline in _recipe(label)])
        y = rng.uniform(0.15, 0.45) if voc.CLASSES[label] == "aeroplane" else foot - heights.max()
        y = max(y, 0.02 - heights.min())  # heads stay on the page
        things.append((int(label), np.column_stack([matrix, [x, y]])))
    return things


def _draw_backdrop(
    draw: ImageDraw.ImageDraw, side: int, horizon: float, rng: np.random.Generator
) -> None:
    """Codes 1 (above the horizon), 2 (below) and 4-15 (clutter) on a canvas of `side` pixels."""
    draw.rectangle((0, 0, side, side), fill=1)
    draw.rectangle((0, horizon * side, side, side), fill=2)
    for code in range(4, 4 + rng.integers(3, 9)):
        x, y, w, h = rng.uniform((0, 0.05, 0.05, 0.05), (1, horizon, 0.3, 0.22))
        kind = rng.integers(4)
        if kind == 0:  # a cloud, or a lamp
            corners = (x - w, y - h / 2, x + w, y + h / 2)
        elif kind == 1:  # a patch on the ground
            y = rng.uniform(horizon + 0.12, 1)
            corners = (x - w, y - 0.05, x + w, y + 0.05)
        else:  # a hill, or a house
            corners = (x - w, horizon - h, x + w, horizon + (h if kind == 2 else 0))
        box = [corner * side for corner in corners]
        (draw.rectangle if kind == 3 else draw.ellipse)(box, fill=code)
        if kind == 2:
            draw.rectangle((box[0], horizon * side, box[2], box[3]), fill=2)


def _draw_thing(draw: ImageDraw.ImageDraw, side: int, label: int, place: Points, base: int) -> None:
    """One thing of class `label` at `place` (2, 3), its tones as codes base + 0..3, outlined."""
    parts = [(tone, (line @ place[:, :2].T + place[:, 2]) * side) for tone, line in _recipe(label)]
    points = np.concatenate([line for _, line in parts])
    (left, _), (right, low) = points.min(axis=0), points.max(axis=0)
    if voc.CLASSES[label] != "aeroplane":
        draw.ellipse((left, low - side * 0.02, right, low + side * 0.015), fill=3)
    for tone, run in itertools.groupby(parts, lambda part: part[0]):
        lines = [line.ravel().tolist() for _, line in run]
        for line in lines:  # all outlines first: parts of one tone flow into each other
            draw.line(line + line[:2], base + 2, width=max(1, side // 80))
        for line in lines:
            draw.polygon(line, base + tone)


def _materials(rng: np.random.Generator) -> NDArray[np.float32]:
    """A table (codes, 7) float32 at random: R, G, B, wave vector x y, its depth, dots or not."""
    n = _FIRST + 16
    hue, saturation, value = rng.uniform((0, 0.15, 0.55), (6, 0.7, 0.98), (n, 3)).T[..., None]
    ramp = np.clip(np.abs((hue + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    color = 255 * value * (1 - saturation * (1 - ramp))  # HSV → RGB
    color[_FIRST + 2 :: 4] *= 0.3  # the dark tone
    color[_FIRST + 3 :: 4] = 245 - 0.35 * (255 - color[_FIRST + 3 :: 4])  # the light one
    angle, period = rng.uniform(0, np.pi, n), rng.uniform(0.02, 0.09, n)
    wave = 2 * np.pi / period * np.stack([np.cos(angle), np.sin(angle)])
    depth = rng.choice([0, 0.04, 0.08, 0.14], n)
    table = np.column_stack([color, wave.T, depth, rng.integers(2, size=n)])
    table[3] = table[2] * [0.6, 0.6, 0.6, 1, 1, 1, 1]  # a shadow is the ground, darker
    return table.astype(np.float32)


def _paint(codes: Pixels, rng: np.random.Generator) -> Pixels:
    """Codes (2S, 2S) uint8 → image (S, S, 3) uint8: hue, pattern, light and noise at random."""
    side = len(codes)
    pixel = _materials(rng)[codes]
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    along = np.sin(pixel[..., 3] * x + pixel[..., 4] * y)
    across = np.sin(pixel[..., 3] * y - pixel[..., 4] * x)
    pattern = np.tanh(4 * along * np.where(pixel[..., 6] > 0, across, 1))
    sun = rng.uniform(-0.35, 0.35, 2)
    light = 1 + pixel[..., 5] * pattern + sun[0] * (x - 0.5) + sun[1] * (y - 0.5)
    image = (pixel[..., :3] * light[..., None]).reshape(side // 2, 2, side // 2, 2, 3).mean((1, 3))
    image += rng.normal(0, 4, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _label(codes: Pixels, class_of: Pixels) -> Pixels:
    """Codes (S, S) → mask (S, S) uint8, void on both sides of every edge between things."""
    mask = class_of[codes]
    owner = np.maximum(codes, _FIRST - 4) // 4
    border = np.zeros(mask.shape, bool)
    for distance in range(1, 1 + max(1, len(mask) // 128)):
        parts = (slice(distance, None), slice(-distance))
        for axis in (0, 1):
            a, b = (np.moveaxis(owner, axis, 0)[part] for part in parts)
            for part in parts:
                np.moveaxis(border, axis, 0)[part] |= a != b
    mask[border] = voc.VOID
    return mask
