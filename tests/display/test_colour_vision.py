"""Colour vision against colorspacious (simulation) and coloraide (CIEDE2000), run elsewhere."""

import numpy as np
import pytest

from segcore.data import voc
from segcore.display import colour_vision

# colorspacious 1.1.2: cspace_convert(c / 255, {"name": "sRGB1+CVD", "cvd_type": ...,
# "severity": 100}, "sRGB1"), clipped to 0..1, times 255, rounded.
SEEN = {
    "protanopia": {
        (128, 0, 0): (51, 44, 0), (64, 0, 0): (22, 18, 0), (64, 128, 192): (100, 131, 195),
        (224, 224, 192): (230, 221, 190), (200, 30, 90): (80, 83, 91),
    },
    "deuteranopia": {
        (128, 0, 0): (80, 70, 0), (64, 0, 0): (37, 32, 0), (64, 128, 192): (82, 119, 191),
        (224, 224, 192): (230, 223, 193), (200, 30, 90): (124, 116, 86),
    },
    "tritanopia": {
        (128, 0, 0): (142, 0, 3), (64, 0, 0): (72, 0, 1), (64, 128, 192): (0, 143, 151),
        (224, 224, 192): (229, 220, 215), (200, 30, 90): (219, 0, 58),
    },
}  # fmt: skip

# coloraide 8: Color("srgb", ...).delta_e(..., method="2000").
APART = [
    ((128, 0, 0), (0, 128, 0), 64.8134),
    ((0, 128, 128), (64, 128, 128), 4.4613),
    ((0, 0, 0), (64, 0, 0), 22.8248),
    ((255, 255, 255), (0, 0, 0), 100.0),
    ((10, 20, 200), (30, 10, 180), 2.8550),
]


def colors(*rows):
    return np.array(rows, np.uint8)


@pytest.mark.parametrize("kind", SEEN)
def test_simulation_equals_colorspacious(kind):
    given, wanted = colors(*SEEN[kind]), colors(*SEEN[kind].values())
    assert colour_vision.simulate(given, kind).tolist() == wanted.tolist()
    assert colour_vision.simulate(given[None, :, None], kind).shape == (1, len(given), 1, 3)


def test_normal_vision_and_greys_stay_as_they_are():
    assert np.array_equal(colour_vision.simulate(voc.palette(), "normal"), voc.palette())
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    for kind in colour_vision.MATRICES:
        assert np.abs(colour_vision.simulate(greys, kind).astype(int) - greys).max() <= 1


@pytest.mark.parametrize(("a", "b", "wanted"), APART)
def test_difference_equals_coloraide(a, b, wanted):
    apart = colour_vision.difference(colors(a), colors(b))
    assert apart.shape == (1,) and apart[0] == pytest.approx(wanted, abs=0.01)


def test_close_pairs_are_sorted_and_below_the_limit():
    pairs = colour_vision.close_pairs(voc.COLORS, "normal")
    named = [(voc.CLASSES[i], voc.CLASSES[j]) for i, j, _ in pairs]
    assert named[:2] == [("bus", "motorbike"), ("bicycle", "cow")]
    assert [d for _, _, d in pairs] == sorted(d for _, _, d in pairs) and pairs[-1][2] < 10
    assert len(colour_vision.close_pairs(voc.COLORS, "normal", limit=5)) == 2
    assert colour_vision.close_pairs(colors((0, 0, 0), (255, 255, 255)), "deuteranopia") == []


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"kind must be one of normal, .* not 'red'"):
        colour_vision.simulate(voc.COLORS, "red")
    with pytest.raises(ValueError, match=r"colors must be .* not float64 \(21, 3\)"):
        colour_vision.simulate(voc.COLORS / 255, "normal")
    with pytest.raises(ValueError, match=r"colors must be .* not uint8 \(21, 2\)"):
        colour_vision.simulate(voc.COLORS[:, :2], "normal")
