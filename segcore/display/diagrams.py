"""Diagrams of blocks of the network, operator by operator, and of the course itself."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from segcore.display.svg import Box, Diagram, Drawing, Part, Point


def separable_convolution(channels: int = 32, filters: int = 64) -> Diagram:
    """A standard 3×3 convolution above a depthwise separable one, with their multiply-adds.

    Taught in chapter 3.
    """
    standard, first, second = 9 * channels * filters, 9 * channels, channels * filters
    times = f"{standard / (first + second):.1f} times"
    d = Drawing()
    d.text((14, 20), "Standard: neighbours and channels at once", "start bold")
    inputs = _channels(d, (70, 48), f"{channels} in", 3, "space")
    outputs = _channels(d, (290, 48), f"{filters} out", 4)
    for one in inputs:
        for other in outputs:
            d.line(one.right, other.left, kind="thick")
    d.text((180, 188), f"{second:,} kernels of 3×3 weights")
    d.text((180, 206), f"9 · {channels} · {filters} = {standard:,} multiply-adds")
    d.line((14, 226), (346, 226), kind="thin")
    d.text((14, 246), "Depthwise separable: one after the other", "start bold")
    inputs = _channels(d, (50, 274), f"{channels} in", 3, "space")
    middle = _channels(d, (180, 274), f"{channels}", 3)
    outputs = _channels(d, (310, 274), f"{filters} out", 4)
    for one, same in zip(inputs, middle, strict=True):
        d.line(one.right, same.left, kind="thick")
        for other in outputs:
            d.line(same.right, other.left, kind="thin")
    for x, words, count in ((107, f"{channels} kernels 3×3", first),
                            (253, f"{second:,} weights 1×1", second)):  # fmt: skip
        d.text((x, 414), words)
        d.text((x, 432), f"{count:,}", "muted")
    d.text((180, 456), f"{first:,} + {second:,} = {first + second:,} multiply-adds")
    d.text((180, 474), f"at each position: {times} fewer", "muted")
    d.text((180, 492), "(three or four channels of each drawn)", "muted")
    return d.finish(
        "Standard and depthwise separable convolution",
        f"Standard: each of {filters} output channels is joined to each of {channels} input "
        f"channels by a 3×3 kernel of its own, {standard:,} multiply-adds at a position. "
        f"Depthwise separable: first one 3×3 kernel for each channel, {first:,}, then 1×1 weights "
        f"join every channel to every output, {second:,}; together {times} fewer. Three or four "
        "channels of each are drawn.",
    )


def inverted_residual(
    side: int = 65, channels: int = 24, filters: int = 32, expansion: int = 6
) -> Diagram:
    """MobileNetV2's block at stride 1, `channels` to `channels`, and at stride 2, to `filters`.

    `side` is that of the square feature map that comes in. Taught in chapter 4.
    """
    inside, half = channels * expansion, -(-side // 2)
    d = Drawing()
    first, *_, last = _block(d, 104, 1, (side, side), (channels, inside, channels))
    _block(d, 278, 2, (side, half), (channels, inside, filters))
    add = (104.0, last.bottom[1] + 26)
    d.arrow(last.bottom, (104, add[1] - 10))
    d.arrow(first.left, (18, first.left[1]), (18, add[1]), (94, add[1]))
    d.dot(add, "", 10)
    d.text(add, "+", "bold")
    d.text((120, add[1]), "shortcut", "start")
    result = d.box(104, add[1] + 24, ("data", 88, f"{side}×{side}×{channels}"))
    d.arrow((104, add[1] + 10), result.top)
    d.text((278, add[1]), "no shortcut:")
    d.text((278, add[1] + 16), "shapes differ", "muted")
    return d.finish(
        "MobileNetV2's inverted residual block at stride 1 and 2",
        f"Stride 1: {side}×{side}×{channels} goes through a 1×1 convolution that expands to "
        f"{inside} channels, batch norm, ReLU6; a 3×3 depthwise convolution, batch norm, ReLU6; "
        f"and a 1×1 convolution that projects to {channels}, batch norm, no activation. A shortcut "
        f"adds the input. Stride 2: the same, but the depthwise convolution halves the sides to "
        f"{half}×{half}, {filters} channels come out, and there is no shortcut.",
    )


def aspp(
    dilation_rates: Sequence[int] = (6, 12, 18),
    side: int = 33,
    channels: int = 320,
    filters: int = 256,
) -> Diagram:
    """Atrous spatial pyramid pooling over a square feature map, each kernel drawn to scale on it.

    Taught in chapter 5.
    """
    shape, rates = f"{side}×{side}", ", ".join(map(str, dilation_rates))
    scale = 38 / max(side, 2 * max(dilation_rates, default=0) + 1)
    rows = [("resample", "image pooling", f"mean, 1×1, back to {shape}"),
            ("mix", "1×1 convolution", "BN, ReLU")]  # fmt: skip
    rows += [("space", f"3×3 depthwise, dilation rate {rate}", "then 1×1; BN, ReLU after both")
             for rate in dilation_rates]  # fmt: skip
    d = Drawing()
    start = d.box(180, 14, ("data", 150, f"{shape}×{channels}"))
    for row, (kind, *words) in enumerate(rows):
        y = 87 + 54 * row
        d.rectangle(Box(30, y - 23, 266, 46), kind)
        dilation = dilation_rates[row - 2] if row > 1 else 0
        _kernel(d, (54, y), side * scale, dilation * scale if row else None)
        d.text((80, y - 8), words[0], "start")
        d.text((80, y + 9), words[1], "start muted")
        d.arrow((14, y), (29, y))
        d.line((297, y), (340, y))
        d.text((318, y - 9), str(filters))
    total = filters * len(rows)
    d.line(start.bottom, (180, 50), (14, 50), (14, y))
    joined, *_ = d.stack(180, y + 42, [
        ("data", 180, "concatenate", f"{shape}×{total:,}"),
        ("mix", 180, "1×1 convolution", "BN, ReLU"),
        ("data", 150, f"{shape}×{filters}"),
    ])  # fmt: skip
    d.arrow((340, 87), (340, joined.right[1]), joined.right)
    atrous = f", and 3×3 separable convolutions with dilation rates {rates}" if rates else ""
    return d.finish(
        "Atrous spatial pyramid pooling (ASPP)",
        f"{shape}×{channels} goes into {len(rows)} branches side by side: image pooling, a 1×1 "
        f"convolution{atrous}. Each gives {filters} channels; concatenated they are {total:,}, and "
        f"a 1×1 convolution mixes them to {filters}.",
    )


def course_path(chapters: Sequence[tuple[str, str]], here: int | None = None) -> Diagram:
    """The chapters as stations: (title, what it gives) of each, in their order.

    Chapter number `here`, counted from 1, is marked. ValueError when there is none.
    """
    if here is not None and not 1 <= here <= len(chapters):
        raise ValueError(f"here is {here}; wanted 1 to {len(chapters)}")
    d, y, stations = Drawing(), 26.0, []
    for number, (title, gives) in enumerate(chapters, start=1):
        stations.append((y, number == here))
        lines = textwrap.wrap(title, 40)
        gives = f"you are here: {gives}" if number == here else gives
        for words in lines:
            d.text((52, y), words, "start bold" if number == here else "start")
            y += 16
        for words in textwrap.wrap(gives, 42):
            d.text((52, y), words, "start muted")
            y += 16
        y += 12
    d.line((28, stations[0][0]), (28, stations[-1][0]))
    for number, (y, marked) in enumerate(stations, start=1):
        d.dot((28, y), "accent" if marked else "data", 13)
        d.text((28, y), f"{number:02}", "on bold" if marked else "")
    return d.finish(
        "The path of the course",
        " ".join(f"{n}: {title}, {gives}." for n, (title, gives) in enumerate(chapters, start=1)),
    )


def _block(
    d: Drawing, x: float, stride: int, sides: tuple[int, int], channels: tuple[int, int, int]
) -> list[Box]:
    """One inverted residual block without its shortcut: `sides` and `channels` on its way."""
    (before, after), (first, inside, last) = sides, channels
    d.text((x, 20), f"Stride {stride}", "bold")
    parts: list[Part] = [
        ("data", 88, f"{before}×{before}×{first}"),
        ("mix", 132, "1×1 convolution", "BN, ReLU6"),
        ("data", 132, f"{before}×{before}×{inside}"),
        ("space", 132, "3×3 depthwise", f"stride {stride}", "BN, ReLU6"),
        ("data", 132, f"{after}×{after}×{inside}"),
        ("mix", 132, "1×1 convolution", "BN, no ReLU"),
        ("data", 88, f"{after}×{after}×{last}"),
    ]
    return d.stack(x, 34, parts)


def _channels(d: Drawing, top: Point, label: str, count: int, kind: str = "data") -> list[Box]:
    """A column of 3×3 positions of `count` channels; of "data" the centre alone is marked."""
    d.text(top, label)
    x, y = top[0] - 12, top[1] + 13 + 14 * (4 - count)
    maps = [Box(x, y + 28 * number, 24, 24) for number in range(count)]
    for each in maps:
        d.rectangle(each, kind, 0)
        if kind == "data":
            d.rectangle(Box(x + 8, each.y + 8, 8, 8), "solid", 0)
        for k in (8, 16):
            d.line((x + k, each.y), (x + k, each.y + 24), kind="thin")
            d.line((x, each.y + k), (x + 24, each.y + k), kind="thin")
    return maps


def _kernel(d: Drawing, centre: Point, side: float, step: float | None) -> None:
    """A feature map of `side`, and on it a kernel's weights, hollow if outside; None: all of it."""
    x, y = centre
    d.rectangle(Box(x - side / 2, y - side / 2, side, side), "solid" if step is None else "data", 0)
    if step is None:
        return
    for right in sorted({-step, 0, step}):
        for down in sorted({-step, 0, step}):
            inside = max(abs(right), abs(down)) <= side / 2
            d.dot((x + right, y + down), "solid" if inside else "", 2)
