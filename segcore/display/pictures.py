"""Pictures as a page takes them: colours laid over a photo, and data URIs that ask no server.

`segcore predict` uses this too, so nothing here imports a widget.
"""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

_EXACT_BYTES = 40_000  # a PNG this small is sent as it is; photos are larger and become JPEG
_JPEG_BYTES_PER_PIXEL = 0.35  # 92 KB for 513x513: a page of overlays stays light on a phone


def blend(image: Pixels, colors: Pixels, opacity: float = 0.6) -> Pixels:
    """`image` under the `colors` of a mask, both (H, W, 3) uint8 → (H, W, 3); black is see-through.

    Raises ValueError where the two do not fit each other. Taught in chapter 1.
    """
    if image.shape != colors.shape or image.shape[-1:] != (3,):
        raise ValueError(f"image {image.shape} and colors {colors.shape}; wanted (H, W, 3) twice")
    shown = opacity * colors.any(-1, keepdims=True)
    return (image * (1 - shown) + colors * shown + 0.5).astype(np.uint8)


def data_uri(payload: bytes, mime: str) -> str:
    """`payload` as text that an <img> shows without asking a server."""
    return f"data:{mime};base64,{base64.b64encode(payload).decode()}"


def picture_uri(image: Pixels, exact: int = _EXACT_BYTES) -> str:
    """`image` (H, W, 3) uint8 as a data URI: PNG of `exact` bytes at most, or a JPEG that fits."""
    picture, buffer = Image.fromarray(image), io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    if buffer.tell() <= exact:
        return data_uri(buffer.getvalue(), "image/png")
    for quality in (90, 84, 78, 70, 60, 50):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= _JPEG_BYTES_PER_PIXEL * image.shape[0] * image.shape[1]:
            break
    return data_uri(buffer.getvalue(), "image/jpeg")
