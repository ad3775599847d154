"""A data set in memory: what is read, what is padded, and what happens to a broken file."""

import zlib

import numpy as np
import pytest
from PIL import Image

from segcore.data import dataset, voc


@pytest.fixture
def pairs(tmp_path):
    """Three photos of 40×20, two of them with masks of the classes 1 to 4 in quarters."""
    found = []
    for number in range(3):
        pixels = np.full((20, 40, 3), 50 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        ids = np.kron([[1, 2], [3, 4]], np.ones((10, 20))).astype(np.uint8)
        voc.write_mask(tmp_path / f"mask{number}.png", ids)
        mask = tmp_path / f"mask{number}.png" if number < 2 else None
        found.append((tmp_path / f"{number}.png", mask))
    return found


def test_photos_are_letterboxed_and_void_lies_beside_them(pairs):
    found = dataset.read_photos(pairs, 32)
    assert found.images.shape == (3, 32, 32, 3) and found.images.dtype == np.uint8
    assert found.names == ("0.png", "1.png", "2.png") and len(found) == 3
    np.testing.assert_array_equal(found.contents, [[16, 32]] * 3)
    np.testing.assert_array_equal(found.images[:, 0, 0, 0], [0, 50, 100])
    assert (found.images[:, 16:] == 127).all()
    assert found.masks.shape == (2, 32, 32)
    wanted = np.kron([[1, 2], [3, 4]], np.ones((8, 16)))
    np.testing.assert_array_equal(found.masks[1, :16], wanted)
    assert (found.masks[:, 16:] == 255).all()


def test_nearest_labels_invent_no_class(pairs):
    masks = dataset.read_photos(pairs, 27).masks
    assert set(np.unique(masks)) == {1, 2, 3, 4, 255}


BROKEN = {
    "a photo cut short": (0, lambda path: path.write_bytes(path.read_bytes()[:-30])),
    "a photo of text": (1, lambda path: path.write_text("no picture")),
    "a photo that is gone": (2, lambda path: path.unlink()),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_photo_is_named_and_skipped_or_stopped_as_asked(pairs, kind):
    number, spoil = BROKEN[kind]
    spoil(pairs[number][0])
    with pytest.raises(ValueError, match=rf"{number}\.png.*; or ask to skip what cannot be read"):
        dataset.read_photos(pairs, 32)
    with pytest.warns(UserWarning, match=rf"left out: .*{number}\.png"):
        found = dataset.read_photos(pairs, 32, bad="skip")
    left = [name for name in ("0.png", "1.png", "2.png") if name[0] != str(number)]
    assert list(found.names) == left
    assert len(found.masks) == sum(name != "2.png" for name in left)


def colours(path):
    Image.fromarray(voc.encode(voc.read_mask(path))).save(path)


def shrink(path):
    voc.write_mask(path, np.ones((20, 39), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (colours, "an image of mode RGB with 8 bits a sample"),
        (shrink, "39×20, but the photo is 40×20"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "damaged or cut short"),
    ],
)
def test_a_broken_mask_is_named_and_takes_its_photo_with_it(pairs, spoil, message):
    spoil(pairs[0][1])
    with pytest.raises(ValueError, match=rf"mask0\.png: .*{message}"):
        dataset.read_photos(pairs, 32)
    with pytest.warns(UserWarning, match=r"left out: .*mask0\.png"):
        assert dataset.read_photos(pairs, 32, bad="skip").names == ("1.png", "2.png")


def four_bits(path):
    """A grey PNG with 4 bits a sample: Pillow hands its ids 0, 1, 2, 3 on as 0, 17, 34, 51."""
    rows = np.packbits(np.full((20, 40 * 4), [0, 0, 0, 1] * 40, np.uint8), axis=1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = (40).to_bytes(4, "big") + (20).to_bytes(4, "big") + bytes([4, 0, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
            for kind, data in chunks
        )
    )


def test_ids_that_pillow_scales_are_refused(pairs):
    four_bits(pairs[0][1])
    with pytest.raises(ValueError, match=r"mask0\.png: .* mode L with 4 bits a sample"):
        dataset.read_photos(pairs, 32)


def test_what_cannot_be_read_as_photos(pairs):
    with pytest.raises(ValueError, match='bad must be "stop" or "skip", not \'ignore\''):
        dataset.read_photos(pairs, 32, bad="ignore")
    with pytest.raises(ValueError, match="photos with masks first"):
        dataset.read_photos(pairs[::-1], 32)
    with pytest.raises(ValueError, match="none of the photos could be read"):
        dataset.read_photos([], 32)
