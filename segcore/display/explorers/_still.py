"""What a page without JavaScript shows in place of an explorer: a picture, words and a table."""

import html
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from segcore.display.pictures import picture_uri
from segcore.display.widget import STILL


def figure(title: str, *parts: str) -> str:
    """The `parts`, HTML all of them, as one <figure> under a `title`."""
    caption = f"<figcaption><strong>{html.escape(title)}</strong></figcaption>" if title else ""
    return f'<figure style="margin:0">{caption}{"".join(parts)}</figure>'


def cells(colors: NDArray[np.uint8], alt: str, width: int = 240) -> str:
    """A picture whose pixels (H, W, 3) are drawn as squares, `width` CSS pixels across."""
    style = f"{STILL};max-width:{width}px;margin:.5rem 0;image-rendering:pixelated"
    uri = picture_uri(np.ascontiguousarray(colors))
    return f'<img class="dark-light" style="{style}" alt="{html.escape(alt)}" src="{uri}">'


def words(text: str) -> str:
    """`text` as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of texts; the first of each row is its name."""
    top = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in head)
    body = "".join(_row(*row) for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _row(name: object, *values: object) -> str:
    texts = "".join(f"<td>{html.escape(str(value))}</td>" for value in values)
    return f'<tr><th scope="row">{html.escape(str(name))}</th>{texts}</tr>'
