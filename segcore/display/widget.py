"""What all widgets share: one script, two hosts.

In Jupyter, VS Code and Colab a widget is an anywidget: its traits are read and set from Python.
In the built book there is no kernel: `to_html` carries a still picture, the same script and the
traits' values, and asks nothing of any server. Taught in chapter 1.
"""

import hashlib
import html
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from segcore._errors import check

LONGEST = 1024  # pixels: what is larger is scaled down for display

# A still <img>. The class keeps the book's dark theme from putting white under it.
STILL = "display:block;width:100%;height:auto;margin:0;background:none;filter:none"


@cache
def script(*names: str) -> str:
    """One ES module: widget.js and the scripts called `names`, with the style sheets they have."""
    files = [Path(__file__).parent / f"{name}.js" for name in ("widget", *names)]
    sheets = [file.with_suffix(".css") for file in files]
    styles = [sheet.read_text("utf-8") for sheet in sheets if sheet.exists()]
    scripts = [file.read_text("utf-8") for file in files]
    return f"const STYLE = {json.dumps(''.join(styles))};\n" + "\n".join(scripts)


def check_image(image: np.ndarray, name: str) -> None:
    """Raises ValueError, naming the argument `name`, unless `image` is (H, W, 3) uint8."""
    is_array = isinstance(image, np.ndarray)
    fits = is_array and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    advice = "of floats in [0, 1], (image * 255).astype('uint8') makes one"
    check(name, image, fits and image.size, f"a (H, W, 3) uint8 array ({advice})")


def display_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of a picture on the page: the same, or scaled to LONGEST on its long side."""
    scale = min(1.0, LONGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shown_width(height: int, width: int) -> int:
    """CSS pixels across: small pictures magnified by a whole number, tall ones kept in view."""
    return round(min(width * max(1, round(450 / width)), 640 * width / height))


class Widget(anywidget.AnyWidget):
    """A picture that answers the hand. Children name their scripts and the traits a page keeps."""

    _scene = traitlets.Dict().tag(sync=True)  # sizes, names, colours, texts
    _sources: Any = traitlets.List().tag(sync=True)  # data URIs, in the order of the still <img>s
    _scripts: tuple[str, ...] = ()
    _state: tuple[str, ...] = ()
    _ipython_display_ = None  # ipywidgets 7 (Colab) has one, which leaves picture and words out
    _still: Callable[[], str]  # the HTML without JavaScript; its <img>s are `_sources`, in order

    def __init__(self, **traits: Any) -> None:
        self._esm = script(*self._scripts)
        super().__init__(**traits)

    def to_html(self) -> str:
        """A complete HTML fragment with the traits' present values. Same inputs, same bytes."""
        state = {name: getattr(self, name) for name in ("_scene", *self._state)}
        text = json.dumps(state, ensure_ascii=True, sort_keys=True).replace("<", "\\u003c")
        still = self._still()
        name = hashlib.sha256((still + text).encode()).hexdigest()[:12]
        width = self._scene["shown"]
        return (
            f'<div data-segcore="{name}" style="max-width:{width}px">\n{still}\n</div>\n'
            f'<script type="module">\n{script(*self._scripts)}\n'
            f'mount("{name}", {text});\n</script>\n'
        )

    def save(self, path: str | Path) -> Path:
        """Writes `to_html` as a complete page to `path` and returns it; opens from a USB stick."""
        title = html.escape(self._scene["title"] or self._scene["alt"])
        page = (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n"
            "<style>:root { color-scheme: light dark; } body { margin: 1rem; "
            "font-family: system-ui, sans-serif; }</style>\n</head>\n"
            f"<body>\n<main>\n{self.to_html()}</main>\n</body>\n</html>\n"
        )
        Path(path).write_text(page, "utf-8")
        return Path(path)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = self.to_html()
        return bundle
