"""The overlay without a browser: fractions, escaping, size, determinism, traits, refusals."""

import base64
import io
import json
import re
import struct
import zlib

import ipywidgets
import numpy as np
import pytest
import traitlets
from anywidget import AnyWidget
from IPython.core.formatters import DisplayFormatter
from PIL import Image
from skimage import color, data

from segcore.data import voc
from segcore.display.legend import SAFE, class_rows
from segcore.display.overlay import MaskOverlay
from segcore.display.widget import script
from segcore.inference.segmenter import Prediction

IMAGE = np.full((4, 6, 3), 100, np.uint8)
MASK = np.array([[0, 0, 8, 8, 255, 12]] * 4, np.uint8)


def photo_513() -> np.ndarray:
    return np.asarray(Image.fromarray(data.astronaut()).resize((513, 513)))


def noisy(seed: int, share: float) -> np.ndarray:
    """A person in front of nothing, with random ids in `share` of the pixels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:513, :513] / 513
    mask = np.where((x - 0.45) ** 2 / 0.1 + (y - 0.75) ** 2 / 0.5 < 1, 15, 0).astype(np.uint8)
    wrong = random.random(mask.shape) < share
    mask[wrong] = random.integers(0, 21, wrong.sum())
    return mask


def payload(uri: str) -> bytes:
    return base64.b64decode(uri.split(",")[1])


def test_fractions_are_counted_at_full_size() -> None:
    random = np.random.default_rng(0)
    mask = random.integers(0, 5, (1300, 40)).astype(np.uint8)
    overlay = MaskOverlay(np.zeros((1300, 40, 3), np.uint8), mask)
    assert overlay._scene["height"] == 1024  # scaled down on the page
    for number in range(5):
        assert overlay.fractions[voc.CLASSES[number]] == (mask == number).sum() / mask.size


def test_a_prediction_brings_its_names_along() -> None:
    """The ids of three classes used to be called background, aeroplane and bicycle."""
    mask = np.array([[0, 1, 2, 2, 2, 2]] * 4, np.uint8)
    names = ("sky", "road", "tree")
    overlay = MaskOverlay(IMAGE, Prediction(mask, 0, 0, 0, names), compare=mask)
    assert list(overlay.fractions) == list(names)
    many = tuple(f"class {number}" for number in range(30))
    MaskOverlay(IMAGE, Prediction(mask + 27, 0, 0, 0, many), compare=Prediction(mask, 0, 0, 0))
    assert list(MaskOverlay(IMAGE, mask).fractions) == list(voc.CLASSES[:3])


def test_mask_png_holds_ids_unfiltered_and_hides_the_background() -> None:
    source = payload(MaskOverlay(IMAGE, MASK)._sources[1])
    picture = Image.open(io.BytesIO(source))
    assert np.array_equal(np.asarray(picture), MASK)
    colors = np.asarray(picture.convert("RGBA"))
    assert colors[0, 0, 3] == 0 and (colors[0, 1:3, 3] == [0, 255]).all()
    assert tuple(colors[0, 4, :3]) == (224, 224, 192)
    packed, at = b"", 8
    while at < len(source):  # what overlay.js relies on: 8 bits, filter 0 before each row
        (size,) = struct.unpack(">I", source[at : at + 4])
        if source[at + 4 : at + 8] == b"IDAT":
            packed += source[at + 8 : at + 8 + size]
        at += 12 + size
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(4, 7)
    assert (rows[:, 0] == 0).all() and np.array_equal(rows[:, 1:], MASK)


def test_scaled_mask_keeps_the_ids_that_stand_there() -> None:
    mask = np.random.default_rng(1).integers(0, 21, (1500, 2100)).astype(np.uint8)
    overlay = MaskOverlay(np.zeros((*mask.shape, 3), np.uint8), mask)
    small = np.asarray(Image.open(io.BytesIO(payload(overlay._sources[1]))))
    height, width = small.shape
    assert max(height, width) == 1024
    for row, column in [(0, 0), (height - 1, width - 1), (300, 555)]:
        y, x = int((row + 0.5) * 1500 / height), int((column + 0.5) * 2100 / width)
        assert small[row, column] == mask[y, x]


def test_drawn_pictures_travel_exactly() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:40, 8:30] = (200, 30, 90)
    uri = MaskOverlay(image, np.zeros((64, 64), np.uint8))._sources[0]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(payload(uri)))), image)


@pytest.mark.parametrize("share", [0.03, 0.3])
def test_a_513_photo_with_two_masks_stays_under_250_kb(share: float) -> None:
    overlay = MaskOverlay(photo_513(), noisy(0, share), compare=noisy(1, 0.0), alt="An astronaut")
    assert len(overlay.to_html().encode()) < 250_000


def test_same_inputs_same_bytes_and_other_inputs_another_name() -> None:
    first, again = (MaskOverlay(photo_513(), noisy(0, 0.01), alt="A").to_html() for _ in "ab")
    assert first == again
    other = MaskOverlay(photo_513(), noisy(1, 0.01), alt="A").to_html()
    names = [re.search(r'data-segcore="(\w+)"', text).group(1) for text in (first, other)]  # type: ignore[union-attr]
    assert names[0] != names[1]


def test_names_and_titles_are_escaped() -> None:
    bad = "</script><img src=x onerror=alert(1)> \"'&\u2028"
    overlay = MaskOverlay(IMAGE, np.ones((4, 6), np.uint8), ["background", bad],
                          title=bad, alt=bad, labels=(bad, bad),
                          compare=np.ones((4, 6), np.uint8))  # fmt: skip
    text = overlay.to_html()
    assert text.count("</script>") == 1 and "<img src=x" not in text
    assert 'alt="&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &quot;&#x27;&amp;' in text
    state = re.search(r'^mount\("\w+", (.*)\);$', text, re.MULTILINE)
    assert state and json.loads(state.group(1))["_scene"]["classes"][0]["name"] == bad


def test_the_script_ends_no_script_element() -> None:
    for name in ("overlay", "player", "frames"):
        assert "</script" not in script(name).lower() and "<!--" not in script(name)


def test_nothing_is_asked_of_any_server(tmp_path: object) -> None:
    text = MaskOverlay(IMAGE, MASK).to_html()
    assert not re.search(r"https?:|//cdn|@import|url\(", text)


def test_save_writes_a_complete_page(tmp_path) -> None:  # type: ignore[no-untyped-def]
    overlay = MaskOverlay(IMAGE, MASK, title="A <b>", alt="Grey")
    path = overlay.save(tmp_path / "page.html")
    text = path.read_text("utf-8")
    assert text.startswith("<!doctype html>") and "<title>A &lt;b&gt;</title>" in text
    assert overlay.to_html() in text


def test_mimebundle_for_notebook_book_and_terminal() -> None:
    overlay = MaskOverlay(IMAGE, MASK)
    bundle, _ = overlay._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == overlay.model_id
    assert bundle["text/html"] == overlay.to_html()
    said = "MaskOverlay(4x6: background 33.3 %, cat 33.3 %, dog 16.7 %, void 16.7 %)"
    assert bundle["text/plain"] == said


def test_traits_start_and_complete() -> None:
    overlay = MaskOverlay(IMAGE, MASK, compare=np.full((4, 6), 15, np.uint8), opacity=0.3)
    assert (overlay.opacity, overlay.visible, overlay.picked) == (0.3, [8, 12, 15, 255], None)
    overlay.picked = {"x": 2, "y": 1}
    assert overlay.picked == {"x": 2, "y": 1, "id": 8, "name": "cat"}
    overlay.picked = {"x": 3, "y": 1}  # right of the wipe: the other mask
    assert overlay.picked["name"] == "person"
    overlay.visible = [255, 8, 8]
    assert overlay.visible == [8, 255]
    overlay.wipe, overlay.opacity = 1.0, 0.9
    assert '"opacity": 0.9' in overlay.to_html() and ";opacity:0.9" in overlay.to_html()


def test_traits_link_with_ipywidgets() -> None:
    overlay, slider = MaskOverlay(IMAGE, MASK), ipywidgets.FloatSlider(max=1)
    traitlets.link((overlay, "opacity"), (slider, "value"))
    slider.value = 0.25
    assert overlay.opacity == 0.25


@pytest.mark.parametrize(("name", "value"), [
    ("opacity", 1.5), ("wipe", -0.1), ("visible", [21]), ("picked", {"x": 6, "y": 0}),
    ("picked", {"y": 0}), ("outlines", "yes"),
])  # fmt: skip
def test_traits_refuse(name: str, value: object) -> None:
    with pytest.raises(traitlets.TraitError, match=name):
        setattr(MaskOverlay(IMAGE, MASK), name, value)


@pytest.mark.parametrize(("change", "said"), [
    ({"image": IMAGE / 255}, r"image must be a \(H, W, 3\) uint8 .* not float64"),
    ({"image": IMAGE[..., 0]}, r"image must be .* not uint8 \(4, 6\)"),
    ({"image": "cat.jpg"}, "image must be .* not 'cat.jpg'"),
    ({"image": IMAGE[:0]}, r"image must be .* not uint8 \(0, 6, 3\)"),
    ({"mask": MASK[:2]}, r"mask has shape \(2, 6\); wanted \(4, 6\), as the image"),
    ({"mask": MASK.astype(float)}, "mask is float64; wanted an integer"),
    ({"mask": MASK + 9}, r"mask has id 21 at \(row 0, column 5\); class_names names 0-20"),
    ({"mask": -MASK.astype(int)}, r"mask has id -8 at \(row 0, column 2\)"),
    ({"compare": MASK.T}, r"compare has shape \(6, 4\)"),
    ({"compare": [[0]]}, "compare is list"),
    ({"class_names": ["a"]}, "mask has id 8 .* class_names names 0-0"),
    ({"class_names": "cats"}, "class_names must be a text for each id, .* not 'cats'"),
    ({"colors": voc.COLORS[:3]}, r"colors must be \(21, 3\) uint8, .* not uint8 \(3, 3\)"),
    ({"opacity": 60}, "opacity must be a number from 0 to 1, not 60"),
    ({"labels": "ab"}, "labels must be two texts, .* not 'ab'"),
])  # fmt: skip
def test_arguments_refuse(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MaskOverlay(**{"image": IMAGE, "mask": MASK, **change})  # type: ignore[arg-type]


def test_other_names_and_wide_integers_are_welcome() -> None:
    overlay = MaskOverlay(IMAGE, (MASK == 8).astype(np.int64), ["sky", "road"], voc.palette())
    assert overlay.fractions == {"sky": 2 / 3, "road": 1 / 3} and overlay.visible == [0, 1]


def test_safe_colours_are_never_shared() -> None:
    mask = np.append(np.arange(21, dtype=np.uint8), np.uint8(255))[None]
    names = dict(enumerate(voc.CLASSES)) | {255: "void"}
    drawn = {(row["safe"], row["pattern"]) for row in class_rows([mask], names, voc.COLORS)}
    assert len(drawn) == 22


def test_every_host_gets_picture_and_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """ipywidgets 7, as on Colab, has a display method of its own that sends the widget alone."""
    sent: list[object] = []
    monkeypatch.setattr(
        AnyWidget, "_ipython_display_", lambda self: sent.append(self), raising=False
    )
    bundle, _ = DisplayFormatter().format(MaskOverlay(IMAGE, MASK))
    assert not sent and "<img" in bundle["text/html"] and "alt=" in bundle["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


# Machado, Oliveira and Fernandes (2009), severity 1: what linear RGB becomes to a reader without
# red, green or blue cones.
MACHADO = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.mark.parametrize("kind", MACHADO)
def test_safe_colours_differ_to_every_reader(kind: str) -> None:
    """ΔE (CIEDE2000) of at least 10 between each two: VOC's own palette fails for 14-19 pairs."""
    inks = np.array([list(bytes.fromhex(ink[1:])) for ink in (*SAFE, "#000000")]) / 255
    linear = np.where(inks <= 0.04045, inks / 12.92, ((inks + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(MACHADO[kind]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = color.rgb2lab(seen[None])[0]
    apart = color.deltaE_ciede2000(lab[:, None], lab[None])
    assert apart[~np.eye(len(lab), dtype=bool)].min() > 10
