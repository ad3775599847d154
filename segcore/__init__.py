"""Small, readable parts of a mobile semantic segmenter, from the photo to the mask on the page.

    >>> import segcore
    >>> mask = segcore.load("phone")(segcore.read_image("photo.jpg")).mask

The packages stand in the order in which a photo becomes a mask: `data`, `metrics`, `models`,
`training`, `export`, `quantisation`, `inference`, `display`, `course`. Each imports only from those
before it. Importing segcore costs milliseconds: the names below are loaded on first use (PEP 562),
and TensorFlow only where a network is built, trained or converted.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segcore.data.images import read_image as read_image
    from segcore.data.voc import CLASSES as CLASSES
    from segcore.data.voc import VOID as VOID
    from segcore.data.voc import read_mask as read_mask
    from segcore.display.frames import Frames as Frames
    from segcore.display.overlay import MaskOverlay as MaskOverlay
    from segcore.inference.evaluate import evaluate as evaluate
    from segcore.inference.segmenter import load as load

__version__ = "0.2.0"
_HOME = {
    "load": "inference.segmenter",
    "evaluate": "inference.evaluate",
    "read_image": "data.images",
    "read_mask": "data.voc",
    "CLASSES": "data.voc",
    "VOID": "data.voc",
    "MaskOverlay": "display.overlay",
    "Frames": "display.frames",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    """The public name `name`, loaded now; AttributeError for any other."""
    if name not in _HOME:
        raise AttributeError(f"module 'segcore' has no attribute {name!r}")
    return getattr(import_module(f"segcore.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
