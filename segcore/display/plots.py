"""Figures with alt text that look the same in Jupyter, in Colab and in the book."""

import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from segcore.display.pictures import data_uri

INK, ACCENT, QUIET = "#1f2933", "#0b6e99", "#c3ccd5"
HEAVY = 120_000  # bytes
STYLE: Any = {
    "font.size": 11,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.prop_cycle": cycler(
        color=["#0b6e99", "#d1495b", "#3f7d20", "#8e5ea2", "#b5651d", "#4d5b6a"]
    ),
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


class Picture:
    """A picture with words for those who cannot see it; notebooks show it as the cell's value.

    `png` are the bytes of a PNG file. One that holds photos and would weigh more than a page
    should is shown as WebP instead.
    """

    def __init__(self, png: bytes, alt: str, width: int) -> None:
        if not alt.strip():
            raise ValueError("alt must say in a sentence what the picture shows; it is empty")
        self.png, self.alt, self.width = png, alt, width

    def _repr_html_(self) -> str:
        mime, payload = "image/png", self.png
        if len(payload) > HEAVY:
            mime, payload = "image/webp", _as_webp(payload)
        # The class keeps the book's dark mode from changing the colours of a picture about colours.
        return (
            f'<img class="dark-light" alt="{html.escape(self.alt)}" width="{self.width}" '
            f'style="max-width:100%;height:auto;border-radius:6px;background:white" '
            f'src="{data_uri(payload, mime)}">'
        )

    def __repr__(self) -> str:
        return f"[picture: {self.alt}]"


def new(
    width: float = 7, height: float = 3.2, columns: int = 1, rows: int = 1
) -> tuple[Figure, Any]:
    """A figure of `width`×`height` inches in the course's style → (figure, axes or their array).

    Drawn without pyplot: nothing is shown twice, nothing stays open.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns)
    return figure, axes


def show(figure: Figure, alt: str, dpi: int = 110) -> Picture:
    """A finished `figure` → `Picture`. `alt` says what to see in it, as one or two sentences."""
    with mpl.rc_context(STYLE):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return Picture(buffer.getvalue(), alt, round(figure.get_figwidth() * 96))


def picture(image: NDArray[np.uint8], alt: str, scale: int = 1) -> Picture:
    """An image (H, W, 3) or (H, W) uint8, each pixel drawn as a `scale`×`scale` square."""
    upsampled = np.repeat(np.repeat(image, scale, axis=0), scale, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(upsampled).save(buffer, format="PNG", optimize=True)
    return Picture(buffer.getvalue(), alt, upsampled.shape[1])


def grid(
    images: Sequence[NDArray[np.uint8]], titles: Sequence[str], alt: str, columns: int = 4
) -> Picture:
    """Images side by side under their `titles`, `columns` in a row.

    Raises ValueError when there are not as many titles as images.
    """
    if len(images) != len(titles) or not len(images):
        raise ValueError(f"{len(images)} images and {len(titles)} titles; one title an image")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    width = min(9.0, 3.0 * columns)
    height = rows * (width / columns * tallest + 0.35)
    figure, axes = new(width, height, columns, rows)
    for place, axis in enumerate(np.atleast_1d(axes).ravel()):
        axis.axis("off")
        if place < len(images):
            axis.imshow(images[place], interpolation="nearest", cmap="gray")
            axis.set_title(titles[place])
    return show(figure, alt)


def bars(values: Mapping[str, float], alt: str, label: str = "", digits: int = 1) -> Picture:
    """Horizontal bars with their numbers, in the order given; `label` names the quantity."""
    figure, axis = new(5.5, 0.3 * len(values) + 0.7)
    names, numbers = list(values), list(values.values())
    drawn = axis.barh(names, numbers, color=ACCENT)
    axis.bar_label(drawn, [f"{number:,.{digits}f}" for number in numbers], padding=4, color=INK)
    axis.invert_yaxis()
    axis.set_xlabel(label)
    axis.spines["left"].set_visible(False)
    axis.tick_params(left=False)
    axis.margins(x=0.12)
    return show(figure, alt)


def swatches(colors: NDArray[np.uint8], names: Sequence[str], columns: int = 4) -> Figure:
    """A figure of the rows of `colors` (N, 3) uint8, each over its name; for `show` or `Frames`.

    Raises ValueError when there are not as many names as colours.
    """
    if len(colors) != len(names) or not len(colors):
        raise ValueError(f"{len(colors)} colours and {len(names)} names; one name a colour")
    rows = -(-len(colors) // columns)
    figure, axis = new(1.1 * columns, 0.62 * rows)  # narrow: its words stay legible on a phone
    for place, (color, name) in enumerate(zip(colors, names, strict=True)):
        row, column = divmod(place, columns)
        box = mpl.patches.Rectangle((column + 0.04, row), 0.92, 0.6, fc=color / 255, ec=QUIET)
        axis.add_patch(box)
        axis.text(column + 0.5, row + 0.8, name, ha="center", va="center", color=INK, size=9.5)
    axis.set(xlim=(0, columns), ylim=(rows, -0.05))
    axis.axis("off")
    return figure


def _as_webp(png: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, format="WEBP", quality=88, method=4)
    return buffer.getvalue()
