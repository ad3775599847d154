"""Pictures carry their words, and the same picture is the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from segcore.display import plots


def test_bars_are_drawn_as_long_as_their_numbers():
    shown = plots.bars({"a": 1.0, "b": 4.0}, "b is four times a")
    image = np.asarray(Image.open(io.BytesIO(shown.png)).convert("RGB")).astype(int)
    accent = (abs(image - [0x0B, 0x6E, 0x99]) < 6).all(-1).sum(1)
    lengths = sorted({int(n) for n in accent if n > 20})
    assert lengths[-1] / lengths[0] == pytest.approx(4, rel=0.03)


def test_alt_text_is_escaped_and_wanted():
    pixels = np.zeros((2, 3, 3), np.uint8)
    assert 'alt="a &lt;b&gt; &quot;c&quot;"' in plots.picture(pixels, 'a <b> "c"')._repr_html_()
    assert repr(plots.picture(pixels, "two words")) == "[picture: two words]"
    with pytest.raises(ValueError, match="alt"):
        plots.picture(pixels, "  ")


def test_picture_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(plots.picture(pixels, "noise", scale=3).png)))
    np.testing.assert_array_equal(shown[1::3, 1::3], pixels)


def test_same_grid_same_bytes():
    images = [np.full((4, 4, 3), n, np.uint8) for n in (0, 200)]
    first, again = (plots.grid(images, ["a", "b"], "two squares") for _ in range(2))
    assert first.png == again.png


def test_grid_wants_a_title_for_each_image():
    with pytest.raises(ValueError, match="2 images and 1 titles"):
        plots.grid([np.zeros((2, 2))] * 2, ["a"], "squares")


def test_swatches_show_each_colour_and_want_a_name_for_each():
    colors = np.array([[200, 30, 90], [10, 120, 60], [64, 0, 128]], np.uint8)
    shown = plots.show(plots.swatches(colors, ["one", "two", "three"], columns=2), "three colours")
    pixels = np.asarray(Image.open(io.BytesIO(shown.png)).convert("RGB"))
    counts = [int((pixels == color).all(-1).sum()) for color in colors]
    assert min(counts) > 1000 and max(counts) < 1.05 * min(counts)
    with pytest.raises(ValueError, match="3 colours and 1 names"):
        plots.swatches(colors, ["one"])


def test_a_heavy_picture_travels_as_webp():
    pixels = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    shown = plots.picture(pixels, "noise")
    assert len(shown.png) > plots.HEAVY and "data:image/webp;base64," in shown._repr_html_()
    assert len(shown._repr_html_()) < len(shown.png)
