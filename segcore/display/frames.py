"""A slider over pictures computed beforehand: what a chapter explains by moving one number.

Taught in chapter 1; later chapters explain with it.
"""

import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
import traitlets
from numpy.typing import NDArray
from PIL import Image
from traitlets.utils.bunch import Bunch

from segcore._errors import check
from segcore.display.pictures import data_uri, picture_uri
from segcore.display.widget import STILL, Widget, check_image, display_size, shown_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Frame: TypeAlias = "NDArray[np.uint8] | Figure"


class Frames(Widget):
    """One picture at a time, with a slider, step and play buttons.

    `frames`: (H, W, 3) uint8 arrays or Matplotlib figures (which are closed, so that a notebook
    does not show them again), all of one size; `labels`: a text for each. `alt` says what there
    is to see: one text, to which each label is added, or one for each frame. Trait, read and set
    from Python: `index` (0 to len(frames) - 1). Raises ValueError naming the argument.
    """

    index = traitlets.Int(0).tag(sync=True)
    _scripts = ("player", "frames")
    _state = ("index",)

    def __init__(self, frames: Sequence[Frame], labels: Sequence[str], *,
                 title: str = "", alt: str | Sequence[str] = "") -> None:  # fmt: skip
        _check(frames, labels, alt)
        pictures = [_encode(frame, f"frames[{i}]") for i, frame in enumerate(frames)]
        width, height = pictures[0][1]
        for number, (_, size) in enumerate(pictures):
            fits = size == (width, height)
            check(f"frames[{number}]", size, fits, f"{width}x{height} pixels, as frames[0]")
        if isinstance(alt, str):
            alt = [f"{alt} {label}".strip() for label in labels]
        rows = [{"label": label, "alt": text} for label, text in zip(labels, alt, strict=True)]
        scene = {"width": width, "height": height, "shown": shown_width(height, width),
                 "title": title, "alt": alt[0], "frames": rows}  # fmt: skip
        super().__init__(_scene=scene, _sources=[uri for uri, _ in pictures])

    @traitlets.validate("index")
    def _exists(self, proposal: Bunch) -> int:
        count = len(self._sources)
        if not 0 <= proposal["value"] < max(1, count):
            raise traitlets.TraitError(f"index is {proposal['value']}; wanted 0 to {count - 1}.")
        return int(proposal["value"])

    def _still(self) -> str:
        figures = [
            f'<figure style="margin:0 0 1rem"><img class="dark-light" style="{STILL}" '
            f'alt="{html.escape(row["alt"])}" src="{source}">'
            f"<figcaption>{html.escape(row['label'])}</figcaption></figure>"
            for row, source in zip(self._scene["frames"], self._sources, strict=True)
        ]
        title = f"<p><strong>{html.escape(self._scene['title'])}</strong></p>"
        rest = f"<details><summary>The other pictures</summary>{''.join(figures[1:])}</details>"
        return (title if self._scene["title"] else "") + figures[0] + (rest if figures[1:] else "")

    def __repr__(self) -> str:
        first, last = self._scene["frames"][0]["label"], self._scene["frames"][-1]["label"]
        return f"Frames({len(self._sources)} pictures: {first} to {last})"


def _check(frames: Sequence[Frame], labels: Sequence[str], alt: str | Sequence[str]) -> None:
    N = len(frames)
    check("frames", frames, N, "one picture or more")
    fits = not isinstance(labels, str) and len(labels) == N
    check("labels", labels, fits, f"{N} texts, one a frame")
    check("alt", alt, isinstance(alt, str) or len(alt) == N, f"one text, or {N}, one a frame")


def _encode(frame: Frame, name: str) -> tuple[str, tuple[int, int]]:
    """(data URI, (width, height)) of an array or of a Matplotlib figure."""
    if not hasattr(frame, "savefig"):
        check_image(frame, name)
        height, width = display_size(*frame.shape[:2])
        small = Image.fromarray(frame).resize((width, height), Image.Resampling.BOX)
        return picture_uri(np.asarray(small)), (width, height)
    from matplotlib import pyplot

    drawn, lean = io.BytesIO(), io.BytesIO()
    frame.savefig(drawn, format="png", metadata={"Software": None})
    pyplot.close(cast("Figure", frame))
    figure = Image.open(drawn).convert("RGB")
    # 256 colours are enough for a figure and a third of the bytes.
    figure.quantize(256, dither=Image.Dither.NONE).save(lean, "PNG", optimize=True)
    return data_uri(lean.getvalue(), "image/png"), figure.size
