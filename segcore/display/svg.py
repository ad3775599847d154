"""Boxes, arrows and words as one SVG that follows the light or dark theme of the page around it.

A drawing is 360 units wide: on a phone that leaves it 340 pixels, its text is 11 pixels high.
"""

from __future__ import annotations

import hashlib
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

WIDTH = 360
_SHOWN = 540  # CSS pixels at most
_LINE = 15  # from one line of text to the next
_GAP = 14  # between the boxes of a stack
LIGHT = {
    "surface": "#ffffff", "line": "#d5d9df", "ink": "#1c2127", "muted": "#505862",
    "edge": "#6b7580", "data": "#eef1f4", "space": "#d3e4ff", "mix": "#ffe0b8",
    "resample": "#cdeed8", "accent": "#0a5ecf", "alarm": "#b3261e",
}  # fmt: skip
DARK = {
    "surface": "#1a1d22", "line": "#3a414a", "ink": "#e8ebef", "muted": "#b9c1cb",
    "edge": "#8d97a3", "data": "#2b3139", "space": "#1d3b66", "mix": "#563816",
    "resample": "#1e4a33", "accent": "#78b4ff", "alarm": "#ff9d8f",
}  # fmt: skip
# How a page says that it is light or dark: the book, Colab, JupyterLab, VS Code (as in widget.js).
_SAYS_LIGHT = (
    "[data-theme=light],[theme=light],[data-jp-theme-light=true],"
    "[data-vscode-theme-kind=vscode-light],[data-vscode-theme-kind=vscode-high-contrast-light]"
)
_SAYS_DARK = (
    "[data-theme=dark],[theme=dark],[data-jp-theme-light=false],"
    "[data-vscode-theme-kind=vscode-dark],[data-vscode-theme-kind=vscode-high-contrast]"
)
_RULES = """
.segd text{font:400 12px/1 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;\
fill:var(--ink);text-anchor:middle}
.segd .start{text-anchor:start}.segd .end{text-anchor:end}.segd .bold{font-weight:600}
.segd .muted{fill:var(--muted)}.segd text.accent{fill:var(--accent)}\
.segd text.alarm{fill:var(--alarm)}
.segd :is(rect,circle){stroke:var(--edge);fill:var(--surface)}.segd .card{stroke:var(--line)}
.segd path{stroke:var(--edge);stroke-width:1.5;fill:none}.segd .head{fill:var(--edge);stroke:none}
.segd .data{fill:var(--data)}.segd .space{fill:var(--space)}.segd .mix{fill:var(--mix)}
.segd .resample{fill:var(--resample)}.segd .solid{fill:var(--edge)}
.segd .thin{stroke-width:1}.segd .thick{stroke-width:2.5}.segd text.on{fill:var(--surface)}
.segd .dashed{stroke-dasharray:4 3}
.segd path.accent{stroke:var(--accent)}.segd .head.accent,.segd circle.accent{fill:var(--accent)}
.segd path.alarm{stroke:var(--alarm)}.segd .head.alarm,.segd circle.alarm{fill:var(--alarm)}
.segd .bare{fill:none}
"""
Point: TypeAlias = tuple[float, float]
Part: TypeAlias = tuple[str, float, *tuple[str, ...]]  # of a stack: kind, width, lines of text


@dataclass(frozen=True)
class Diagram:
    """A complete `svg` with its words for those who cannot see it; notebooks show it."""

    svg: str
    title: str
    description: str

    def _repr_html_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"[diagram: {self.title}]"


class Box(NamedTuple):
    """A rectangle, and the middles of its sides, where arrows begin and end."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2


class Drawing:
    """What is drawn so far; as high as its lowest part. `kind` names classes of the style sheet."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._height = 0.0

    def box(self, centre: float, y: float, part: Part) -> Box:
        """`part` about `centre`, its upper edge at `y`."""
        kind, width, *lines = part
        box = Box(centre - width / 2, y, width, _height(part))
        self._parts.append("<g>")
        self.rectangle(box, kind)
        for number, words in enumerate(lines):
            self.text((centre, y + _LINE * number + 11), words, "muted" if number else "")
        self._parts.append("</g>")
        return box

    def stack(self, centre: float, y: float, parts: Sequence[Part], up: bool = False) -> list[Box]:
        """A chain of boxes joined by arrows that runs down, or `up`, from `y`."""
        boxes: list[Box] = []
        for part in parts:
            boxes.append(self.box(centre, y - _height(part) if up else y, part))
            y = boxes[-1].y - _GAP if up else boxes[-1].bottom[1] + _GAP
        for one, other in pairwise(boxes):
            self.arrow(*((one.top, other.bottom) if up else (one.bottom, other.top)))
        return boxes

    def rectangle(self, box: Box, kind: str, corner: float = 4) -> None:
        """`box` without words; the corners of data are square, those of operators round."""
        x, y, width, height = map(_number, box)
        radius = 0 if kind in ("data", "bare") else corner
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" '
            f'class="{kind}"/>'
        )
        self._reaches(box.y + box.height)

    def text(self, centre: Point, words: str, kind: str = "") -> None:
        """One line of `words` about `centre`; with `kind` "start" or "end" it begins or ends."""
        x, y = _number(centre[0]), _number(centre[1] + 4.3)
        self._parts.append(f'<text x="{x}" y="{y}" class="{kind}">{html.escape(words)}</text>')
        self._reaches(centre[1] + 6)

    def dot(self, centre: Point, kind: str = "solid", radius: float = 4) -> None:
        """A disc about `centre`."""
        x, y = map(_number, centre)
        self._parts.append(f'<circle cx="{x}" cy="{y}" r="{_number(radius)}" class="{kind}"/>')
        self._reaches(centre[1] + radius)

    def line(self, *points: Point, kind: str = "") -> None:
        """Straight pieces from point to point."""
        steps = " ".join(f"{_number(x)} {_number(y)}" for x, y in points)
        self._parts.append(f'<path d="M{steps}" class="{kind}"/>')
        self._reaches(max(y for _, y in points))

    def arrow(self, *points: Point, kind: str = "") -> None:
        """A line with a head at its last point."""
        (x0, y0), (x, y) = points[-2:]
        length = math.hypot(x - x0, y - y0)
        right, down = (x - x0) / length, (y - y0) / length
        foot = (x - 7 * right, y - 7 * down)
        wings = [(foot[0] - 4 * k * down, foot[1] + 4 * k * right) for k in (1, -1)]
        self.line(*points[:-1], foot, kind=kind)
        self.line((x, y), *wings, kind=f"head {kind}".replace(" dashed", ""))

    def finish(self, title: str, description: str) -> Diagram:
        """The drawing with its alt text: a short name, and what there is to see."""
        height = _number(self._height + 12)
        body = "".join(self._parts)
        name = hashlib.sha256((title + body).encode()).hexdigest()[:8]
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-labelledby="t{name} d{name}" '
            f'style="display:block;width:100%;max-width:{_SHOWN}px;height:auto">'
            f'<title id="t{name}">{html.escape(title)}</title>'
            f'<desc id="d{name}">{html.escape(description)}</desc><style>{_style()}</style>'
            f'<g class="segd"><rect class="card" x=".5" y=".5" width="{WIDTH - 1}" '
            f'height="{_number(self._height + 11)}" rx="10"/>{body}</g></svg>'
        )
        return Diagram(svg, title, description)

    def _reaches(self, y: float) -> None:
        self._height = max(self._height, y)


def _style() -> str:
    light, dark = (";".join(f"--{k}:{v}" for k, v in each.items()) for each in (LIGHT, DARK))
    return (
        f".segd{{{light}}}@media(prefers-color-scheme:dark){{.segd{{{dark}}}}}"
        f":is({_SAYS_LIGHT}) .segd{{{light}}}:is({_SAYS_DARK}) .segd{{{dark}}}{_RULES}"
    )


def _height(part: Part) -> float:
    return _LINE * (len(part) - 2) + 7


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
