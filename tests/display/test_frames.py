"""Frames without a browser: encoding, escaping, determinism, traits, refusals."""

import base64
import io

import matplotlib
import numpy as np
import pytest
import traitlets
from PIL import Image

from segcore.display.frames import Frames

matplotlib.use("Agg")
GREY = [np.full((5, 8, 3), shade, np.uint8) for shade in (0, 90, 250)]
LABELS = ["black", "grey", "white"]


def test_pictures_travel_in_order() -> None:
    frames = Frames(GREY, LABELS, alt="A flat colour:")
    for source, image in zip(frames._sources, GREY, strict=True):
        picture = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
        assert np.array_equal(np.asarray(picture), image)
    assert [row["alt"] for row in frames._scene["frames"]][1] == "A flat colour: grey"
    assert repr(frames) == "Frames(3 pictures: black to white)"


def test_figures_are_rendered_closed_and_deterministic() -> None:
    from matplotlib import pyplot

    def draw() -> list[object]:
        figures = []
        for power in (1, 2):
            figure, axes = pyplot.subplots(figsize=(3, 2))
            axes.plot(np.arange(5) ** power)
            figures.append(figure)
        return figures

    first, again = (Frames(draw(), ["line", "square"], alt="A curve.").to_html() for _ in "ab")
    assert first == again and "data:image/png" in first
    assert pyplot.get_fignums() == []


def test_without_javascript_the_first_stands_open_and_the_others_fold() -> None:
    text = Frames(GREY, LABELS, title="Shades").to_html()
    still = text[: text.index("<script")]
    opened, folded = still.split("<details>")
    assert opened.count("<img") == 1 and "black" in opened and "Shades" in opened
    assert folded.count("<img") == 2 and "white" in folded
    assert "<details>" not in Frames(GREY[:1], LABELS[:1]).to_html()


def test_texts_are_escaped() -> None:
    bad = "</script><img src=x onerror=alert(1)>"
    text = Frames(GREY, [bad] * 3, title=bad, alt=[bad] * 3).to_html()
    assert text.count("</script>") == 1 and "<img src=x" not in text


def test_index_is_a_trait_and_the_page_starts_there() -> None:
    frames = Frames(GREY, LABELS)
    assert frames.index == 0
    frames.index = 2
    assert '"index": 2' in frames.to_html()
    for wrong in (3, -1):
        with pytest.raises(traitlets.TraitError, match=f"index is {wrong}; wanted 0 to 2"):
            frames.index = wrong
    assert frames.index == 2
    bundle, _ = frames._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} == {*bundle}


@pytest.mark.parametrize(("frames", "labels", "alt", "said"), [
    ([], [], "", "frames must be one picture or more"),
    (GREY, LABELS[:2], "", r"labels must be 3 texts, .* not \['black', 'grey'\]"),
    (GREY, "abc", "", "labels must be .* not 'abc'"),
    (GREY, LABELS, ["one"], r"alt must be one text, or 3, .* not \['one'\]"),
    ([GREY[0], GREY[1][:3], GREY[2]], LABELS, "", r"frames\[1\] must be 8x5 .* not \(8, 3\)"),
    ([GREY[0], GREY[1] / 255, GREY[2]], LABELS, "", r"frames\[1\] must be .* not float64 \(5"),
    (["a.png"], ["a"], "", r"frames\[0\] must be .* not 'a.png'"),
])  # fmt: skip
def test_arguments_refuse(frames: object, labels: object, alt: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Frames(frames, labels, alt=alt)  # type: ignore[arg-type]
