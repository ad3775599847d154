"""Less light: brightness by hand, noise by its statistics."""

import numpy as np
import pytest
import skimage.data

from segcore.data import low_light

GREYS = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


def test_full_light_without_noise_changes_nothing():
    photo = skimage.data.chelsea()
    assert np.array_equal(low_light.darken(photo, 1, noise=False), photo)


def test_half_the_light_by_hand():
    # sRGB 188 is 0.503 of white's light; half of white is 0.5, which is byte 188 (187.5 up).
    assert low_light.darken(GREYS, 0.5, noise=False)[0, 255].tolist() == [188] * 3
    # The dark end is a straight line: byte 8 is 8/255/12.92; a quarter of it is byte 2.
    assert low_light.darken(GREYS, 0.25, noise=False)[0, 8].tolist() == [2] * 3


def test_noise_is_that_of_counting():
    white, part = np.full((200, 200, 3), 255, np.uint8), 1 / 16
    shown = low_light.darken(white, part, gain=8).astype(float)  # half of white: nothing is clipped
    signal = ((shown / 255 + 0.055) / 1.055) ** 2.4 / 8 * low_light.FULL  # back to electrons
    expected = low_light.FULL * part
    assert signal.mean() == pytest.approx(expected, rel=0.02)
    assert signal.std() == pytest.approx(np.sqrt(expected + low_light.READ**2), rel=0.05)


def test_gain_gives_the_brightness_back_and_not_the_detail():
    photo = skimage.data.astronaut()
    lifted = low_light.darken(photo, 1 / 16, gain=16)
    assert abs(lifted.mean() - photo.mean()) < 6
    assert np.abs(lifted.astype(int) - photo).mean() > 8


def test_seed_decides():
    photo = skimage.data.chelsea()
    assert np.array_equal(low_light.darken(photo, 0.1), low_light.darken(photo, 0.1))
    assert not np.array_equal(low_light.darken(photo, 0.1), low_light.darken(photo, 0.1, seed=1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"light": 0}, "light must be above 0 .* not 0"),
        ({"light": 1.5}, "light must be .* not 1.5"),
        ({"light": 0.5, "gain": 0}, "gain must be above 0, not 0"),
        ({"image": GREYS.astype(float), "light": 1}, "image must be uint8, not float64"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        low_light.darken(**{"image": GREYS, **arguments})
