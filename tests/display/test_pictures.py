"""Colours over a photo, and pictures in a page, byte by byte."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from segcore.display.pictures import blend, data_uri, picture_uri


def test_blend_leaves_background_alone():
    photo = np.full((10, 12, 3), (41, 30, 10), np.uint8)
    colors = np.zeros_like(photo)
    colors[5, 5] = (128, 0, 0)
    mixed = blend(photo, colors, 0.5)
    changed = (mixed != photo).any(-1)
    assert changed.sum() == 1 and changed[5, 5]
    assert mixed[5, 5].tolist() == [85, 15, 5]  # halves, rounded up


def test_blend_wants_a_colour_for_each_pixel():
    photo = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ValueError, match=r"image \(4, 5, 3\) and colors \(4, 5\)"):
        blend(photo, photo[..., 0])
    with pytest.raises(ValueError, match=r"wanted \(H, W, 3\) twice"):
        blend(photo, photo[:1])  # NumPy would repeat it


def test_a_data_uri_holds_the_bytes():
    assert base64.b64decode(data_uri(b"\x00abc", "image/png").partition(",")[2]) == b"\x00abc"
    assert data_uri(b"", "image/webp") == "data:image/webp;base64,"


def test_small_pictures_travel_exactly_and_large_ones_stay_light():
    rng = np.random.default_rng(0)
    for side, mime in ((20, "image/png"), (400, "image/jpeg")):
        pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
        head, _, text = picture_uri(pixels).partition(",")
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
        assert head == f"data:{mime};base64" and shown.shape == pixels.shape
        assert mime == "image/jpeg" or np.array_equal(shown, pixels)
