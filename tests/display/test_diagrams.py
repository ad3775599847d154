"""Diagrams say what is true, in words that fit their boxes and can be read by everyone."""

import re
from itertools import pairwise
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import ImageFont

from segcore.display import architecture, basics, diagrams, number_lines
from segcore.display.svg import DARK, LIGHT, Drawing

PHONE = 340  # CSS pixels left for a diagram on a small phone
# DejaVu is wider than the fonts of phones and desktops: what fits in it fits there.
FONTS = {
    bold: ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{bold}.ttf", 120)
    for bold in ("", "-Bold")
}
STATIONS = [
    ("From pixels to classes", "mIoU of masks on a grid"),
    ("Inverted residuals, linear bottlenecks", "the encoder of the network"),
    ("A title which is so long that it must go on in a second line", "an int8 file & more"),
]


def published(size, deep, low, rates):
    """A stand-in for DeepLabV3+ at `size` with the shapes that its authors' figure implies."""

    def layer(name, *shape, **more):
        return SimpleNamespace(name=name, output=SimpleNamespace(shape=(None, *shape)), **more)

    blocks = [layer(f"block_{n}_depthwise", dilation_rate=(1 + (n > 13),) * 2) for n in range(17)]
    atrous = [layer(f"aspp{n}_depthwise", dilation_rate=(r, r)) for n, r in enumerate(rates, 1)]
    channels = {"block_3_expand_relu": 144, "low_projection": 48, "decoder_concat": 304,
                "decoder2_pointwise": 256, "decoder2_pointwise_relu": 256,
                "logits": 21}  # fmt: skip
    return SimpleNamespace(
        input=SimpleNamespace(shape=(None, size, size, 3)),
        output=SimpleNamespace(shape=(None, size, size, 21)),
        layers=[
            *blocks, *atrous, *(layer(name, low, low, count) for name, count in channels.items()),
            layer("block_16_project_BN", deep, deep, 320),
            layer("concat_projection_relu", deep, deep, 256),
            layer("encoder_up", size=(4, 4)), layer("logits_up", size=(4, 4)),
            layer("encoder_crop", low, low, 256, cropping=((1, 2), (1, 2))),
            layer("logits_crop", size, size, 21, cropping=((2, 1), (2, 1))),
        ],
    )  # fmt: skip


ALL = {
    "separable": diagrams.separable_convolution(),
    "separable_wide": diagrams.separable_convolution(320, 1280),
    "inverted": diagrams.inverted_residual(),
    "inverted_large": diagrams.inverted_residual(257, 16, 24),
    "aspp": diagrams.aspp(),
    "aspp_257": diagrams.aspp((3, 6, 9), 17),
    "aspp_without_atrous": diagrams.aspp((), 129),
    "plus_513": architecture.deeplab_v3_plus(published(513, 33, 129, (6, 12, 18))),
    "plus_257": architecture.deeplab_v3_plus(published(257, 17, 65, (3, 6, 9))),
    "affine": number_lines.affine_quantisation(),
    "affine_2_bits": number_lines.affine_quantisation(-1, 1, 2, (-1.9, 0.2)),
    "straight_through": number_lines.straight_through(),
    "straight_through_2_bits": number_lines.straight_through(-1, 2, 2),
    "convolution": basics.convolution(),
    "feature_map": basics.feature_map(),
    "stride_and_padding": basics.stride_and_padding(),
    "skip_connection": basics.skip_connection(),
    "path": diagrams.course_path(STATIONS, 2),
}
every = pytest.mark.parametrize("name", ALL)


def parsed(diagram):
    """The root of the drawing, without the namespace in front of each tag."""
    return ElementTree.fromstring(diagram.svg.replace(' xmlns="http://www.w3.org/2000/svg"', ""))


def texts(diagram):
    return [text.text for text in parsed(diagram).iter("text")]


def ink(text):
    """(left, top, right, bottom) of a text element."""
    kinds = text.get("class").split()
    width = FONTS["-Bold" if "bold" in kinds else ""].getlength(text.text) / 10
    left = float(text.get("x")) - width * (0 if "start" in kinds else 1 if "end" in kinds else 0.5)
    base = float(text.get("y"))
    return left, base - 9, left + width, base + 2.5


def edges(rect):
    x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def inside(small, large, margin):
    return (
        small[0] >= large[0] + margin
        and small[1] >= large[1]
        and small[2] <= large[2] - margin
        and small[3] <= large[3]
    )


@every
def test_words_stay_in_their_box_and_on_the_card(name):
    root = parsed(ALL[name])
    card = edges(root.find("g/rect"))
    assert [t.text for t in root.iter("text") if not inside(ink(t), card, 4)] == []
    boxes = root.findall("g/g")
    assert all(inside(ink(t), edges(b.find("rect")), 3) for b in boxes for t in b.iter("text"))
    assert boxes or not name.startswith(("inverted", "aspp", "plus", "straight"))


@every
def test_no_words_lie_on_others_and_no_box_on_another(name):
    root = parsed(ALL[name])
    places = [(t.text, ink(t)) for t in root.iter("text")]
    places += [("box", edges(group.find("rect"))) for group in root.findall("g/g")]
    inner = {id(t): n for n, group in enumerate(root.findall("g/g")) for t in group.iter("text")}
    owners = [inner.get(id(t)) for t in root.iter("text")]
    owners += list(range(len(root.findall("g/g"))))
    clashes = [
        (one, other)
        for i, (one, a) in enumerate(places)
        for j, (other, b) in enumerate(places[:i])
        if (owners[i] is None or owners[i] != owners[j] or "box" not in (one, other))
        and min(a[2], b[2]) > max(a[0], b[0])
        and min(a[3], b[3]) > max(a[1], b[1])
    ]
    assert clashes == []


@every
def test_everyone_can_read_it_and_it_asks_nobody(name):
    diagram = ALL[name]
    root = parsed(diagram)
    ids = {node.get("id"): node.text for node in root if node.get("id")}
    assert root.get("role") == "img" and root.get("aria-labelledby").split() == list(ids)
    assert list(ids.values()) == [diagram.title, diagram.description]
    assert len(diagram.title) > 15 and len(diagram.description) > 60
    assert repr(diagram) == f"[diagram: {diagram.title}]" and diagram._repr_html_() == diagram.svg
    assert {node.tag for node in root.iter()} <= {"svg", "title", "desc", "style", "g", "rect",
                                                  "path", "circle", "text"}  # fmt: skip
    sizes = re.findall(r"([\d.]+)px", root.find("style").text)
    width = float(root.get("viewBox").split()[2])
    assert sizes and min(map(float, sizes)) * PHONE / width >= 11
    assert not re.search(r"https?:|url\(|@import|<script", diagram.svg.replace("http://www.w3", ""))


def test_two_diagrams_on_a_page_have_ids_of_their_own():
    ids = [found for each in ALL.values() for found in re.findall(r' id="(\w+)"', each.svg)]
    assert len(ids) == len(set(ids)) == 2 * len(ALL)


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_contrast(colors):
    words = [(ink, on) for ink in ("ink", "muted")
             for on in ("surface", "data", "space", "mix", "resample")]  # fmt: skip
    words += [("accent", "surface"), ("alarm", "surface")]
    shapes = [("edge", on) for on in ("surface", "data", "space", "mix", "resample")]
    assert {pair: contrast(*(colors[n] for n in pair)) for pair in words
            if contrast(*(colors[n] for n in pair)) < 4.5} == {}  # fmt: skip
    assert {pair: contrast(*(colors[n] for n in pair)) for pair in shapes
            if contrast(*(colors[n] for n in pair)) < 3} == {}  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [  # Howard et al. 2017: a share of 1/filters + 1/9
        ((32, 64), ["9 · 32 · 64 = 18,432 multiply-adds", "288 + 2,048 = 2,336 multiply-adds",
                    "at each position: 7.9 times fewer"]),
        ((3, 9), ["9 · 3 · 9 = 243 multiply-adds", "27 + 27 = 54 multiply-adds",
                  "at each position: 4.5 times fewer"]),
    ],
)  # fmt: skip
def test_a_separable_convolution_counts_its_work(sizes, wanted):
    assert set(wanted) <= set(texts(diagrams.separable_convolution(*sizes)))


@pytest.mark.parametrize(
    ("arguments", "left", "right"),
    [  # Sandler et al. 2018, Table 2, rows 3 and 4 at 224; at 257 as DESIGN's geometry has it
        ((56, 24, 32), "56×56×24 56×56×144 56×56×144 56×56×24 56×56×24",
         "56×56×24 56×56×144 28×28×144 28×28×32"),
        ((65, 24, 32), "65×65×24 65×65×144 65×65×144 65×65×24 65×65×24",
         "65×65×24 65×65×144 33×33×144 33×33×32"),
    ],
)  # fmt: skip
def test_inverted_residuals_have_the_published_shapes(arguments, left, right):
    root = parsed(diagrams.inverted_residual(*arguments))
    shapes = [t for t in root.iter("text") if "×" in t.text and t.text[-1].isdigit()]
    for side, wanted in ((0, left), (1, right)):
        column = [t for t in shapes if (float(t.get("x")) > 180) == side]
        assert [t.text for t in column if t.text.count("×") == 2] == wanted.split()


@pytest.mark.parametrize(
    ("rates", "side", "total", "outside"),
    [((6, 12, 18), 33, "1,280", 8), ((3, 6, 9), 17, "1,280", 8), ((1, 2), 17, "1,024", 0)],
)
def test_aspp_draws_each_kernel_to_scale(rates, side, total, outside):
    diagram = diagrams.aspp(rates, side)
    assert f"{side}×{side}×{total}" in texts(diagram)
    assert [t for t in texts(diagram) if "rate" in t] == [
        f"3×3 depthwise, dilation rate {rate}" for rate in rates
    ]
    dots = list(parsed(diagram).iter("circle"))
    assert len(dots) == 1 + 9 * len(rates)
    assert sum(dot.get("class") == "" for dot in dots) == outside


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((513, 33, 129, (6, 12, 18)), "513×513×3 129×129×144 33×33×320 33×33×256 129×129×256 "
         "129×129×304 129×129×256 129×129×21 513×513×21"),
        ((257, 17, 65, (3, 6, 9)), "257×257×3 65×65×144 17×17×320 17×17×256 65×65×256 "
         "65×65×304 65×65×256 65×65×21 257×257×21"),
    ],
)  # fmt: skip
def test_the_architecture_names_every_shape_on_its_way(arguments, wanted):
    said = texts(architecture.deeplab_v3_plus(published(*arguments)))
    assert [t for t in said if t.count("×") == 2] == wanted.split()
    assert {"rates " + ", ".join(map(str, arguments[3])), "to 48", "dilated from 14"} <= set(said)
    crops = [said[i + 1] for i, t in enumerate(said) if t == "bilinear ×4"]
    assert crops == ["crop 1 and 2", "crop 2 and 1"]


def test_another_network_is_refused_by_the_name_of_what_it_lacks():
    network = published(513, 33, 129, (6, 12, 18))
    network.layers = [layer for layer in network.layers if layer.name != "decoder_concat"]
    with pytest.raises(ValueError, match="no layer 'decoder_concat'"):
        architecture.deeplab_v3_plus(network)


@pytest.mark.slow
def test_real_networks_have_the_shapes_that_the_authors_geometry_gives():
    from segcore.models import deeplab

    for size, config, wanted in (
        (513, None, published(513, 33, 129, (6, 12, 18))),
        (257, None, published(257, 17, 65, (3, 6, 9))),
    ):
        real = architecture.deeplab_v3_plus(deeplab.deeplab_v3_plus(size, config=config))
        assert texts(real) == texts(architecture.deeplab_v3_plus(wanted))
    # The course paper: 7×7×320 joins 56×56 at size 224, without crops.
    said = texts(architecture.deeplab_v3_plus(deeplab.deeplab_v3_plus(224, config=deeplab.PAPER)))
    assert {"7×7×320", "56×56×304", "56×56×144", "bilinear resize", "to 224×224"} <= set(said)
    assert not [t for t in said if "crop" in t or "dilated" in t]


@pytest.mark.parametrize(
    ("arguments", "lines", "pairs"),
    [
        ((-1, 2.5, 3, (-0.6, 0.8, 3.1)), ["scale s = 0.5, zero point z = −2 (stands for 0)"],
         "−0.6 to −0.5, 0.8 to 1, 3.1 to 2.5"),
        ((-1, 0.5, 2, (-2, 0.2)), ["scale s = 0.5, zero point z = 0 (stands for 0)",
                                   "quantise: q = clip(round(x / s) + z, −2, 1)"],
         "−2 to −1, 0.2 to 0"),
    ],
)  # fmt: skip
def test_quantisation_rounds_and_clips(arguments, lines, pairs):
    diagram = number_lines.affine_quantisation(*arguments)
    assert set(lines) <= set(texts(diagram))
    assert f"x becomes y: {pairs}." in diagram.description
    assert texts(diagram).count("clipped") == 1


def test_a_range_that_is_no_range_is_refused():
    for draw in (number_lines.affine_quantisation, number_lines.straight_through):
        with pytest.raises(ValueError, match="bits is 8; wanted 2 or 3"):
            draw(-1, 1, 8)
        with pytest.raises(ValueError, match=r"range 0\.5 to 1; wanted low ≤ 0 ≤ high"):
            draw(0.5, 1)
        with pytest.raises(ValueError, match="range 0 to 0"):
            draw(0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-1, 2.5, 3), (-1, 1.2, 3), (0, 6, 3), (-3, 1.2, 2)]
)
def test_levels_are_those_of_tensorflows_fake_quantisation(low, high, bits):
    import tensorflow as tf

    x = np.linspace(low - 1, high + 1, 4001, dtype=np.float32)
    y = tf.quantization.fake_quant_with_min_max_args(x, low, high, bits).numpy()
    levels = number_lines._levels(low, high, bits)[2]
    np.testing.assert_allclose(np.unique(y.round(5)), levels, atol=1e-4)


@pytest.mark.parametrize("bits", [2, 3])
def test_the_staircase_has_a_step_for_each_level(bits):
    paths = parsed(number_lines.straight_through(-1, 1, bits)).iter("path")
    stairs, slope, _ = (p.get("d") for p in paths if p.get("class") == "thick accent")
    numbers = np.array(re.findall(r"[\d.]+", stairs), float).reshape(-1, 2)
    heights = np.unique(numbers[:, 1])
    assert len(heights) == 2**bits and np.ptp(np.diff(heights)) <= 0.2
    rises = np.diff(numbers, axis=0)
    assert sum(rises[:, 0] == 0) == 2**bits - 1 and (rises.T[0] * rises.T[1] == 0).all()
    assert np.unique(np.array(re.findall(r"[\d.]+", slope), float)[1::2]).tolist() == [312]


def test_the_path_keeps_order_and_marks_one_station():
    diagram = diagrams.course_path(STATIONS, 2)
    said = texts(diagram)
    assert [t for t in said if t.isdigit()] == ["01", "02", "03"]
    assert said.index(STATIONS[0][0]) < said.index(STATIONS[1][0])
    assert [t for t in said if "here" in t] == ["you are here: the encoder of the network"]
    assert [dot.get("class") for dot in parsed(diagram).iter("circle")] == [
        "data",
        "accent",
        "data",
    ]
    assert "2: Inverted residuals, linear bottlenecks, the encoder" in diagram.description
    assert " ".join(STATIONS[2]) in " ".join(said)
    assert not [t for t in texts(diagrams.course_path(STATIONS)) if "here" in t]
    for here in (0, 4):
        with pytest.raises(ValueError, match=f"here is {here}; wanted 1 to 3"):
            diagrams.course_path(STATIONS, here)


def test_words_are_escaped():
    drawing = Drawing()
    drawing.text((50, 20), "a < b & c")
    diagram = drawing.finish('"x" < y', "1 & 2")
    assert texts(diagram) == ["a < b & c"]
    assert [node.text for node in parsed(diagram)][:2] == ['"x" < y', "1 & 2"]


def test_a_stack_runs_up_as_it_runs_down():
    parts = [("data", 80, "a"), ("mix", 80, "b", "c"), ("data", 80, "d")]
    down, up = Drawing(), Drawing()
    falling, rising = down.stack(100, 10, parts), up.stack(100, 150, parts, up=True)
    assert falling[0].y == 10 and rising[0].bottom[1] == 150
    assert [160 - b.y for b in falling] == pytest.approx([b.bottom[1] for b in rising])
    gaps = {below.top[1] - above.bottom[1] for above, below in pairwise(falling)}
    assert len(gaps) == 1 and min(gaps) > 8  # room for an arrow's head
