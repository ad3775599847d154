"""Paired augmentation against brute force."""

import numpy as np
import pytest

from segcore.data import augment
from segcore.data.augment import Augmentation, View, apply, draw

IDENTITY = View(*np.array([1, 0, 0, 0, 0, 1, 1], np.float32))


@pytest.fixture
def pair():
    """A 40×60 photo and mask inside boxes of 64: grey and void around them."""
    rng = np.random.default_rng(0)
    image, mask = np.full((64, 64, 3), 127, np.uint8), np.full((64, 64), 255, np.uint8)
    image[:40, :60] = rng.integers(0, 256, (40, 60, 3))
    mask[:40, :60] = rng.choice([0, 7, 15, 255], (40, 60))
    return image, mask, np.array([40, 60], np.float32)


def test_identity_shows_the_photo_as_it_is(pair):
    image, mask, content = pair
    shown, labels = apply(image, mask, content, IDENTITY, 64)
    np.testing.assert_allclose(shown, image / 127.5 - 1, atol=1e-5)
    np.testing.assert_array_equal(labels, mask)
    assert shown.dtype == np.float32 and labels.dtype == np.uint8


def test_flip_mirrors_photo_and_mask_alike(pair):
    image, mask, content = pair
    shown, labels = apply(image, mask, content, IDENTITY._replace(flip=np.float32(1)), 64)
    np.testing.assert_allclose(shown[:40, :60], image[:40, 59::-1] / 127.5 - 1, atol=1e-5)
    np.testing.assert_array_equal(labels[:40, :60], mask[:40, 59::-1])
    assert (labels[:, 60:] == 255).all()


def by_hand(image, mask, content, view, size):
    """One pixel at a time, four neighbours each."""
    shown, labels = np.full((size, size, 3), 127.0), np.full((size, size), 255, np.uint8)
    H, W = map(int, content)
    for i in range(size):
        for j in range(size):
            y = (i + view.top + 0.5) / view.scale - 0.5
            x = (j + view.left + 0.5) / view.scale - 0.5
            x = W - 1 - x if view.flip else x
            if not (-0.5 <= y < H - 0.5 and -0.5 <= x < W - 0.5):
                continue
            labels[i, j] = mask[int(np.floor(y + 0.5)), int(np.floor(x + 0.5))]
            y, x = min(max(y, 0), H - 1), min(max(x, 0), W - 1)
            total = 0
            for r in {int(y), min(int(y) + 1, H - 1)}:
                for c in {int(x), min(int(x) + 1, W - 1)}:
                    total = total + (1 - abs(y - r)) * (1 - abs(x - c)) * image[r, c].astype(float)
            shown[i, j] = total
    return shown, labels


@pytest.mark.parametrize("seed", range(4))
def test_random_views_equal_a_loop_over_pixels(pair, seed):
    image, mask, content = pair
    dark = Augmentation(49, brightness=0, contrast=0, saturation=0)
    batch = draw(np.random.default_rng(seed), content[None], dark)
    view = augment.View(*(field[0].astype(np.float64) for field in batch))
    shown, labels = apply(image, mask, content, view, 49)
    wanted, ids = by_hand(image, mask, content, view, 49)
    differ = np.abs((shown + 1) * 127.5 - wanted).max(-1) > 0.05
    assert differ.mean() < 0.001  # a position on the very edge may round either way
    assert (labels != ids).mean() < 0.001


def test_no_view_invents_a_class_and_padding_is_void_and_grey(pair):
    image, mask, content = pair
    views = draw(np.random.default_rng(1), np.repeat(content[None], 50, 0), Augmentation(65))
    for fields in zip(*views, strict=True):
        shown, labels = apply(image, mask, content, augment.View(*fields), 65)
        assert set(np.unique(labels)) <= {0, 7, 15, 255}
        inside = augment.positions(content, augment.View(*fields), 65)[2]
        assert (labels[~inside] == 255).all()
        np.testing.assert_allclose(shown[~inside], 127 / 127.5 - 1, atol=1e-6)
        assert shown.min() >= -1 and shown.max() <= 1


def test_crops_stay_inside_large_photos_and_small_photos_inside_crops():
    contents = np.repeat(np.float32([[360, 480]]), 400, 0)
    views = draw(np.random.default_rng(0), contents, Augmentation(385))
    room = contents * views.scale[:, None] - 385
    for offset, space in zip((views.top, views.left), room.T, strict=True):
        assert (np.minimum(space, 0) - 1e-3 <= offset).all()
        assert (offset <= np.maximum(space, 0) + 1e-3).all()
    assert views.scale.min() < 0.4 and views.scale.max() > 1.9
    assert 0.4 < views.flip.mean() < 0.6


def test_the_same_seed_draws_the_same_views():
    content = np.float32([[40, 60]] * 3)
    first, second = (draw(np.random.default_rng(7), content, Augmentation(33)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_jitter_changes_colours_as_written():
    pixels = np.array([[[200.0, 100, 0]]], np.float32)
    grey = float(pixels[0, 0] @ augment.GREY)
    view = IDENTITY._replace(saturation=np.float32(0))
    np.testing.assert_allclose(augment.jitter(pixels, view)[0, 0], [grey] * 3, rtol=1e-5)
    view = IDENTITY._replace(brightness=np.float32(0.1), contrast=np.float32(0.5))
    wanted = (pixels - 127) * 0.5 + 127 + 25.5
    np.testing.assert_allclose(augment.jitter(pixels, view), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": (0.0, 1.0)}, r"scale must be \(low, high\) with 0 < low <= high"),
        ({"scale": (2.0, 1.0)}, r"not \(2.0, 1.0\)"),
        ({"contrast": 1.5}, "contrast must be 0 to 1, not 1.5"),
    ],
)
def test_bad_strengths_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(65, **fields)


def test_called_it_views_photos_one_by_one(pair):
    image, mask, content = pair
    images, masks, contents = (np.repeat(part[None], 3, 0) for part in (image, mask, content))
    how = Augmentation(33, scale=(0.5, 1.5))
    inputs, labels = how(np.random.default_rng(5), images, masks, contents)
    assert inputs.shape == (3, 33, 33, 3) and inputs.dtype == np.float32
    assert labels.shape == (3, 33, 33) and labels.dtype == np.uint8
    views = draw(np.random.default_rng(5), contents, how)
    for place in range(3):
        view = augment.View(*(field[place] for field in views))
        wanted, ids = apply(image, mask, content, view, 33)
        np.testing.assert_array_equal(inputs[place], wanted)
        np.testing.assert_array_equal(labels[place], ids)
