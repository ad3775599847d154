"""Diagrams along an axis: how numbers become integers and back, and how gradients pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from segcore.display.svg import Box, Diagram, Drawing
from segcore.export.affine import Affine


def affine_quantisation(
    low: float = -1.0,
    high: float = 2.5,
    bits: int = 3,
    values: Sequence[float] = (-0.6, 0.8, 3.1),
) -> Diagram:
    """Real `values` become integers of 2 or 3 `bits` and real numbers again: fake quantisation.

    The range is `low` to `high`, shifted until 0 is a level. ValueError for another number of bits
    and for a range without 0. Taught in chapter 9.
    """
    scale, zero, levels = _levels(low, high, bits)
    affine = Affine(scale, zero)
    used = affine.dequantise(affine.quantise(np.clip(values, levels[0], levels[-1])), float)
    start, end = min(levels[0], *values), max(levels[-1], *values)
    unit = 290 / (end - start)
    d = Drawing()

    def across(number: float) -> float:
        return 46 + (number - start) * unit

    _axes(d, [across(level) for level in levels], across(0))
    for stored, level in enumerate(levels, start=-(2 ** (bits - 1))):
        d.rectangle(Box(across(level) - 13, 128, 26, 24), "mix" if stored == zero else "data")
        d.text((across(level), 140), _signed(stored), "bold" if stored == zero else "")
        d.text((across(level), 244), _signed(level))
    for value, result in zip(values, used, strict=True):
        _round_trip(d, across(value), across(result), not levels[0] <= value <= levels[-1])
        d.text((across(value), 38), _signed(value))
    _step(d, levels, values, across)
    first, last = _signed(-(2 ** (bits - 1))), _signed(2 ** (bits - 1) - 1)
    for row, text in enumerate((
        f"x and y are real numbers, q has {bits} bits",
        f"scale s = {_signed(scale)}, zero point z = {_signed(zero)} (stands for 0)",
        f"quantise: q = clip(round(x / s) + z, {first}, {last})",
        "dequantise: y = s · (q − z)",
        "fake quantisation: x to y, q is not kept",
        "ring: x again; its distance from y is the error",
    )):  # fmt: skip
        d.text((14, 274 + 18 * row), text, "start muted" if row == 5 else "start")
    pairs = ", ".join(f"{_signed(v)} to {_signed(u)}" for v, u in zip(values, used, strict=True))
    return d.finish(
        "Affine quantisation and fake quantisation",
        f"Three axes: real numbers x; integers q from {first} to {last}, with scale "
        f"{_signed(scale)} and zero point {_signed(zero)}, so that 0 stays exact; real numbers y "
        f"from {_signed(levels[0])} to {_signed(levels[-1])}. x becomes y: {pairs}. What lies "
        "outside the range is clipped.",
    )


def straight_through(low: float = -1.0, high: float = 0.75, bits: int = 3) -> Diagram:
    """The straight-through estimator: a staircase forward, the slope of a ramp backward.

    The range is `low` to `high`, shifted until 0 is a level; 2 or 3 `bits`. ValueError otherwise.
    Taught in chapter 10.
    """
    levels = _levels(low, high, bits)[2]
    first, last = levels[0], levels[-1]
    d = Drawing()
    d.text((14, 20), "Forward: round and clip", "start bold")
    _lane(d, 34, ("x", "y"), ("round, clip", f"{2**bits} levels"))
    d.text((14, 96), "Backward: as if it were a ramp", "start bold")
    _lane(d, 110, ("dL/dx", "dL/dy"), ("× 1 inside", "× 0 if clipped"), back=True)
    _stairs_and_ramp(d, levels)
    d.line((18, 350), (46, 350), kind="thick accent")
    d.text((54, 350), "rounding: steps, slope 0 almost everywhere", "start")
    d.line((18, 368), (46, 368), kind="thick dashed")
    d.text((54, 368), "what the gradient takes it for", "start")
    return d.finish(
        "The straight-through estimator",
        f"Forward, x is rounded to {2**bits} levels from {_signed(first)} to {_signed(last)} and "
        "clipped there: a staircase, whose slope is 0 almost everywhere. Backward, the gradient "
        "dL/dy is passed on times 1 inside the range and times 0 where x was clipped, as if the "
        "staircase were a ramp.",
    )


def _levels(low: float, high: float, bits: int) -> tuple[float, int, list[float]]:
    """(scale, zero point, levels) of signed integers of `bits` that stand for `low` to `high`."""
    if bits not in (2, 3):
        raise ValueError(f"bits is {bits}; wanted 2 or 3, whose levels can be told apart")
    if not low <= 0 <= high or low == high:
        raise ValueError(f"range {low} to {high}; wanted low ≤ 0 ≤ high and low < high")
    first, last = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale = (high - low) / (last - first)
    zero = min(max(round(first - low / scale), first), last)
    return scale, zero, [scale * (q - zero) for q in range(first, last + 1)]


def _axes(d: Drawing, ticks: Sequence[float], origin: float) -> None:
    """The axes of x, q and y, with the levels as `ticks`, and the line of zero through them."""
    for name, y in (("x", 56), ("q", 140), ("y", 224)):
        d.text((14, y), name, "start bold")
    for y in (56, 224):
        d.line((30, y), (352, y))
        for x in ticks:
            d.line((x, y - 5), (x, y + 5))
    d.line((origin, 46), (origin, 236), kind="accent")


def _step(
    d: Drawing, levels: Sequence[float], values: Sequence[float], across: Callable[[float], float]
) -> None:
    """The quantisation step s between two levels, where `values` and 0 leave most room."""
    step, taken = levels[1] - levels[0], np.array([0, *values])
    room = max(levels[:-1], key=lambda level: float(np.abs(level + step / 2 - taken).min()))
    d.line((across(room), 56), (across(room + step), 56), kind="thick accent")
    d.text((across(room + step / 2), 38), "s", "accent bold")


def _round_trip(d: Drawing, x: float, y: float, clipped: bool) -> None:
    """From x on the upper axis to its integer, to y on the lower axis, and what was lost."""
    kind, dot = ("alarm", "alarm") if clipped else ("", "solid")
    if clipped:
        d.text((min(max(x, 40), 330), 20), "clipped", "alarm")
    d.dot((x, 56), dot)
    d.arrow((x, 60), (y, 127), kind=kind)
    d.arrow((y, 152), (y, 218), kind=kind)
    d.line((x, 224), (y, 224), kind=f"thick {kind}")
    d.dot((x, 224), "bare")
    d.dot((y, 224), dot)


def _stairs_and_ramp(d: Drawing, levels: Sequence[float]) -> None:
    """Left rounding and the ramp it is taken for, right the slopes of both."""
    first, last, step = levels[0], levels[-1], levels[1] - levels[0]
    unit = 130 / (last - first + 2 * step)

    def place(panel: float, x: float, up: float) -> tuple[float, float]:
        return panel + (x - first + step) * unit, 312 - up

    for panel, name in ((30, "y against x"), (206, "slope against x")):
        d.text((panel + 65, 176), name, "bold")
        d.line(place(panel, first - step, 0), place(panel, last + step, 0), kind="thin")
        for x in (first, 0, last):
            d.line(place(panel, x, -4), place(panel, x, 4), kind="thin")
            d.text(place(panel, x, -14), _signed(x))
    rise = 110 / (last - first)
    stairs = [(x + side * step / 2, (x - first) * rise) for x in levels for side in (-1, 1)]
    stairs[0], stairs[-1] = (first - step, 0), (last + step, 110)
    d.line(*(place(30, *point) for point in stairs), kind="thick accent")
    d.line(place(30, first, 0), place(30, last, 110), kind="dashed")
    for up, name in ((0, "0"), (90, "1")):
        d.text(place(206, first - 1.9 * step, up), name)
    ramp = ((first - step, 0), (first, 0), (first, 90), (last, 90), (last, 0), (last + step, 0))
    d.line(*(place(206, *point) for point in ramp), kind="thick dashed")
    d.line(place(206, first - step, 0), place(206, last + step, 0), kind="thick accent")


def _lane(
    d: Drawing, y: float, ends: tuple[str, str], operator: tuple[str, str], back: bool = False
) -> None:
    """Left, an operator of two lines, right; the arrows run right, or `back`."""
    left, right = (
        d.box(x, y + 7.5, ("data", 64, name)) for x, name in ((56, ends[0]), (304, ends[1]))
    )
    middle = d.box(180, y, ("mix" if back else "space", 132, *operator))
    for start, end in ((left.right, middle.left), (middle.right, right.left)):
        d.arrow(*((end, start) if back else (start, end)))


def _signed(number: float) -> str:
    """At most two digits behind the point, with a typographic minus."""
    return f"{round(number, 2) + 0:.2f}".rstrip("0").rstrip(".").replace("-", "−")
