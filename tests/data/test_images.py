"""Reading photos as they come out of phones and scanners, and the way to the network and back."""

import errno
import io
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from segcore._errors import DAMAGE
from segcore.data import dataset, images, voc
from segcore.data.images import (
    PAD,
    ImageError,
    _resize_bilinear,
    letterbox,
    neighbours,
    read_image,
    unletterbox,
)


@pytest.fixture
def photo():
    """A small photo with no symmetry, (30, 40, 3) uint8."""
    rows, columns = np.mgrid[:30, :40]
    return np.stack([rows * 8, columns * 6, rows + columns], -1).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path, photo, orientation):
    # What a viewer does for each EXIF orientation, written out with NumPy alone.
    stored = {
        1: photo,
        2: photo[:, ::-1],
        3: photo[::-1, ::-1],
        4: photo[::-1],
        5: photo.transpose(1, 0, 2),
        6: np.rot90(photo),
        7: np.rot90(photo, 2).transpose(1, 0, 2),
        8: np.rot90(photo, 3),
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), photo)


def damaged_exif(photo, times):
    """JPEGs, upright only by their EXIF, with one to eight of its bytes changed (seed 0)."""
    image, stream = Image.fromarray(photo), io.BytesIO()
    exif = image.getexif()
    exif[0x0112], exif[0x010F], exif[0x011A] = 6, "Maker", 72.5
    exif.get_ifd(0x8769)[0x829A] = 0.01  # exposure
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 3.0)  # latitude
    image.save(stream, "JPEG", exif=exif)
    random, whole = np.random.default_rng(0), np.frombuffer(stream.getvalue(), np.uint8)
    start = stream.getvalue().index(b"Exif") + 6
    for count in random.choice([1, 2, 8], times):
        spoilt = whole.copy()
        places = random.integers(start, start + len(exif.tobytes()) - 6, count)
        spoilt[places] = random.integers(0, 256, count)
        yield spoilt.tobytes()


def test_damaged_exif_is_read_over_or_named(tmp_path, photo):
    """Pillow raises TypeError, struct.error and AttributeError where it writes EXIF anew."""
    path, said = tmp_path / "a.jpg", []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of EXIF that it reads over
        for content in damaged_exif(photo, 600):
            path.write_bytes(content)
            try:
                assert read_image(path).size == photo.size
            except ImageError as error:
                said.append(str(error))
    assert len(said) < 60
    assert all("a.jpg: damaged or cut short (" in text for text in said)


@pytest.mark.parametrize(
    "read",
    [
        read_image,
        voc.read_mask,
        lambda path: dataset.read_ids(path, (30, 40), 40),
    ],
)
@pytest.mark.parametrize("kind", DAMAGE)
def test_whatever_pillow_raises_names_the_file(tmp_path, photo, monkeypatch, read, kind):
    def load(image):
        raise kind("odd")

    path = tmp_path / "a.png"
    Image.fromarray(photo).convert("L").save(path)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(ValueError, match=r"a\.png: .*"):
        read(path)


def test_alpha_is_laid_over_white(tmp_path):
    Image.new("RGBA", (2, 2), (200, 0, 0, 0)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


def test_transparent_palette_is_laid_over_white(tmp_path):
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.save(tmp_path / "a.png", transparency=1)
    assert (read_image(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize(("stored", "shown"), [(0, 0), (200, 1), (32896, 128), (65535, 255)])
def test_16_bit_grey_is_scaled(tmp_path, stored, shown):
    Image.fromarray(np.full((2, 3), stored, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == shown).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path, photo, mode):
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    Image.fromarray(photo).convert("L" if mode == "LA" else mode).convert(mode).save(
        tmp_path / f"a.{suffix}"
    )
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.shape == (30, 40, 3) and image.dtype == np.uint8 and image.std() > 5


def test_letterbox_keeps_proportions_and_pads_below(photo):
    box, content = letterbox(photo, 65)
    assert content == (49, 65) and box.shape == (65, 65, 3)
    assert (box[49:] == PAD).all() and box[:49].std() > 5


SHAPES = [(70, 30), (60, 80), (1000, 200), (200, 1000), (61, 30), (30, 11), (11, 30), (105, 52)]


@pytest.mark.parametrize("shape", SHAPES)
def test_letterbox_gives_pillows_own_bytes(shape):
    """Shrunk or enlarged, tall or wide, in whichever order this Pillow scales rows and columns."""
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    box, (h, w) = letterbox(photo, 33)
    whole = Image.fromarray(photo).resize((w, h), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(box[:h, :w], whole)


@pytest.mark.parametrize("shape", SHAPES)
def test_letterbox_of_a_large_photo_in_strips_has_the_bytes_of_two_steps(shape, monkeypatch):
    monkeypatch.setattr(images, "STRIP", 1000)
    monkeypatch.setattr(images, "WHOLE", 0)
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    box, (h, w) = letterbox(photo, 33)
    tall = shape[0] > 2 * shape[1] and h < shape[0]
    picture = Image.fromarray(photo)
    for size in [(shape[1], h) if tall else (w, shape[0]), (w, h)]:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(box[:h, :w], picture)


def test_letterbox_of_a_single_row():
    box, content = letterbox(np.zeros((1, 90, 3), np.uint8), 33)
    assert content == (1, 33) and (box[1:] == PAD).all()


def test_letterbox_refuses_floats(photo):
    with pytest.raises(ValueError, match="float64"):
        letterbox(photo / 255, 33)


def test_unletterbox_brings_a_mask_home():
    mask = np.zeros((30, 40), np.uint8)
    mask[10:20, 5:25] = 7
    wide = np.kron(mask, np.ones((2, 2), np.uint8))
    boxed = np.zeros((80, 80), np.uint8)
    boxed[:60, :80] = wide
    np.testing.assert_array_equal(unletterbox(boxed, (60, 80), (30, 40)), mask)
    logits = np.eye(8, dtype=np.float32)[boxed]
    np.testing.assert_array_equal(unletterbox(logits, (60, 80), (30, 40)), mask)


@pytest.mark.parametrize("shape", [(7, 13), (41, 60), (20, 30)])
def test_bilinear_equals_pillow(shape):
    values = np.random.default_rng(0).random((20, 30, 1), np.float32)
    ours = _resize_bilinear(values, *shape)[..., 0]
    if shape[0] < 20:
        # Pillow averages when it shrinks; scipy samples, as we do
        from scipy.ndimage import map_coordinates

        grid = [(np.arange(n) + 0.5) * o / n - 0.5 for n, o in zip(shape, (20, 30), strict=True)]
        theirs = map_coordinates(values[..., 0], np.meshgrid(*grid, indexing="ij"), order=1)
    else:
        image = Image.fromarray(values[..., 0])
        theirs = np.asarray(image.resize(shape[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("shape", [(61, 83), (7, 11), (40, 55), (1, 97), (99, 1)])
@pytest.mark.parametrize("strip", [1, 3000, 10**9])
def test_strips_of_rows_give_the_mask_of_the_whole(monkeypatch, shape, strip):
    monkeypatch.setattr(images, "STRIP", strip)
    logits = np.random.default_rng(0).normal(size=(55, 55, 21)).astype(np.float32)
    whole = _resize_bilinear(logits[:40], *shape).argmax(-1)
    found = unletterbox(logits, (40, 55), shape)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, whole)


def test_a_strip_has_the_bits_of_the_whole():
    scores = np.random.default_rng(0).normal(size=(40, 55, 21)).astype(np.float32)
    whole = _resize_bilinear(scores, 61, 83)
    strips = [_resize_bilinear(scores, 61, 83, slice(i, i + 7)) for i in range(0, 61, 7)]
    np.testing.assert_array_equal(np.concatenate(strips), whole)


def test_a_large_photo_needs_little_memory():
    logits = np.random.default_rng(0).random((257, 257, 21), np.float32)
    tracemalloc.start()
    mask = unletterbox(logits, (193, 257), (1500, 2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < mask.nbytes + 10e6  # all scores at once took 837 MB


def test_neighbours_stand_around_their_position_and_stay_inside():
    before, after, along = neighbours(np.array([-3.0, -0.25, 0, 1.75, 3.5, 4, 9]), 5)
    assert before.tolist() == [0, 0, 0, 1, 3, 4, 4]
    assert after.tolist() == [1, 1, 1, 2, 4, 4, 4]
    assert along.tolist() == [0, 0, 0, 0.75, 0.5, 0, 0] and along.dtype == np.float32


def wholes(path):
    """What `read_image` gave before it worked in strips: Pillow's transposition, all at once."""
    with Image.open(path) as image:
        image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "CMYK", "1"])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_strips_of_a_photo_are_the_bytes_of_the_whole(tmp_path, monkeypatch, mode, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (61, 43, 4), np.uint8)
    image = Image.fromarray(pixels, "RGBA")
    image = image if mode == "RGBA" else image.convert("RGB").convert(mode)
    exif = image.getexif()
    exif[0x0112] = 1 if mode == "CMYK" else orientation  # Pillow turns such TIFFs twice
    path = tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}"
    image.save(path, exif=exif)
    monkeypatch.setattr(images, "STRIP", 300)
    np.testing.assert_array_equal(read_image(path), wholes(path))


@pytest.mark.parametrize("shape", [(300, 401), (401, 300), (20, 500), (1, 90), (257, 257), (9, 7)])
@pytest.mark.parametrize("strip", [1, 2000])
def test_letterboxing_in_strips_is_pillows_resize_to_the_byte(monkeypatch, shape, strip):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    monkeypatch.setattr(images, "STRIP", strip)
    box, (h, w) = letterbox(image, 257)
    whole = np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(box[:h, :w], whole)


def test_a_bug_of_ours_is_not_called_a_damaged_file(tmp_path, photo, monkeypatch):
    def strips(shape):
        raise TypeError("a slip in segcore")

    Image.fromarray(photo).save(tmp_path / "a.png")
    monkeypatch.setattr(images, "strips", strips)
    with pytest.raises(TypeError, match="a slip"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(voc, "decode", strips)
    with pytest.raises(TypeError, match="a slip"):
        voc.read_mask(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "webp", *["avif"] * features.check("avif")])
def test_damaged_pixels_are_named(tmp_path, photo, suffix):
    """Pillow raises RuntimeError for AVIF."""
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(photo).resize((400, 300)).save(path)
    assert read_image(path).shape == (300, 400, 3)
    whole = path.read_bytes()
    start = whole.index({"png": b"IDAT", "webp": b"VP8 ", "avif": b"mdat"}[suffix]) + 8
    path.write_bytes(whole[:start] + bytes(len(whole) - start))
    with pytest.raises(ImageError, match=rf"a\.{suffix}: damaged or cut short"):
        read_image(path)


def test_a_program_is_not_run_as_a_picture(tmp_path, monkeypatch):
    """EPS goes to Ghostscript in Pillow's hands."""
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("run"))
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(ImageError, match="save it as JPEG or PNG"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("read", [read_image, voc.read_mask])
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, photo, monkeypatch, read):
    def forbid(self, *_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    Image.fromarray(photo).save(tmp_path / "a.png")
    monkeypatch.setattr("pathlib.Path.open", forbid)  # the superuser, who runs CI, reads all
    with pytest.raises(PermissionError, match=r"a\.png"):
        read(tmp_path / "a.png")
