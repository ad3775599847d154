"""`segcore.data.voc` against VOC's own masks, the paper's colour list and broken files."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore.data import voc

# The list that the paper prints (its Figure 5), in class order.
PUBLISHED = [
    [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128],
    [0, 128, 128], [128, 128, 128], [64, 0, 0], [192, 0, 0], [64, 128, 0], [192, 128, 0],
    [64, 0, 128], [192, 0, 128], [64, 128, 128], [192, 128, 128], [0, 64, 0], [128, 64, 0],
    [0, 192, 0], [128, 192, 0], [0, 64, 128],
]  # fmt: skip
IDS = [*range(21), 255]


def random_mask(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(IDS, shape).astype(np.uint8)


def bit_rule(label: int) -> list[int]:
    """VOClabelcolormap of the development kit, one id at a time, from its description."""
    digits = f"{label:08b}"[::-1]
    channels = [digits[0::3], digits[1::3], digits[2::3]]  # lowest bit first
    return [int(bits.ljust(8, "0"), 2) for bits in channels]


def test_palette_is_the_bit_rule_and_starts_as_published():
    assert voc.palette().tolist() == [bit_rule(label) for label in range(256)]
    assert voc.COLORS.tolist() == PUBLISHED
    assert voc.palette()[voc.VOID].tolist() == [224, 224, 192]
    assert len(voc.CLASSES) == voc.NUM_CLASSES == 21
    with pytest.raises(ValueError, match="read-only"):
        voc.palette()[0, 0] = 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (33, 65), (375, 500), (0, 3), (3, 0)])
def test_decode_undoes_encode(shape):
    mask = random_mask(shape, seed=sum(shape))
    colors = voc.encode(mask)
    assert colors.shape == (*shape, 3) and colors.dtype == np.uint8
    decoded = voc.decode(colors)
    assert decoded.dtype == np.uint8 and np.array_equal(decoded, mask)
    opaque = np.dstack([colors, np.full(shape, 255, np.uint8)])
    assert np.array_equal(voc.decode(opaque), mask)


def test_encode_gives_the_published_colours():
    mask = np.array([[0, 15, 255], [20, 1, 8]], np.uint8)
    wanted = [[PUBLISHED[0], PUBLISHED[15], [224, 224, 192]], [PUBLISHED[i] for i in (20, 1, 8)]]
    assert voc.encode(mask).tolist() == wanted


def test_decode_reads_views_and_leaves_a_writable_result():
    mask = random_mask((40, 60))
    colors = voc.encode(mask)
    assert np.array_equal(voc.decode(colors[::2, ::-3]), mask[::2, ::-3])
    assert np.array_equal(voc.decode(np.asfortranarray(colors)), mask)
    decoded = voc.decode(colors)
    decoded[0, 0] = 7
    assert decoded[0, 0] == 7


def test_only_the_22_colours_decode():
    """One bit off in any channel of any label is found, also in the very last pixel."""
    labels = {tuple(bit_rule(i)) for i in IDS}
    for color in sorted(labels):
        for channel in range(3):
            for bit in range(8):
                near = list(color)
                near[channel] ^= 1 << bit
                image = np.array([[color, near]], np.uint8)
                if tuple(near) in labels:
                    assert voc.decode(image)[0, 1] == IDS[[bit_rule(i) for i in IDS].index(near)]
                else:
                    with pytest.raises(ValueError, match="unknown colour"):
                        voc.decode(image)


def test_decode_names_the_first_unknown_colour_and_its_place():
    image = voc.encode(np.zeros((9, 11), np.uint8)).copy()
    image[4, 7] = (1, 2, 3)
    image[8, 0] = (9, 9, 9)
    with pytest.raises(ValueError, match=r"\(1, 2, 3\) at row 4, column 7.*nearest neighbour"):
        voc.decode(image)


def test_decode_refuses_transparency():
    image = np.zeros((3, 4, 4), np.uint8)
    image[..., 3] = 255
    image[1, 2, 3] = 254
    with pytest.raises(ValueError, match=r"254\) at row 1, column 2 is not opaque.*alpha 255"):
        voc.decode(image)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.int64), np.zeros((2, 4, 4, 3), np.uint8)],
)
def test_decode_refuses_other_arrays(image):
    with pytest.raises(ValueError, match=r"image must be uint8 \(H, W, 3\)"):
        voc.decode(image)


@pytest.mark.parametrize("wrong", [21, 128, 254])
def test_encode_refuses_other_ids(wrong):
    mask = np.zeros((5, 6), np.uint8)
    mask[3, 2] = wrong
    with pytest.raises(ValueError, match=f"unknown id {wrong} at row 3, column 2"):
        voc.encode(mask)
    with pytest.raises(ValueError, match="int64"):
        voc.encode(np.zeros((5, 6), np.int64))


@pytest.mark.slow
def test_all_official_masks_decode_and_so_do_their_rgb_twins(shared: Path):
    """All 2,895: ids 0-20 and 255 only; the RGB twin (and a fourth as RGBA) gives the same ids."""
    folders = ("voc/masks_only", "voc2012/VOCdevkit/VOC2012/SegmentationClass")
    named = {path.name: path for folder in folders for path in (shared / folder).glob("*.png")}
    paths = list(named.values())
    assert len(paths) == 2895
    allowed = np.isin(np.arange(256), IDS)
    for number, path in enumerate(paths):
        mask = voc.read_mask(path)
        with Image.open(path) as image:
            assert np.array_equal(mask, np.asarray(image)), path
            twins = [image.convert(mode) for mode in ("RGB", "RGBA")[: 1 + (number % 4 == 0)]]
        assert allowed[mask].all(), path
        for twin in twins:
            assert np.array_equal(voc.decode(np.asarray(twin)), mask), path


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "L"])
def test_read_mask_reads_every_kind_of_png(tmp_path: Path, mode: str):
    mask = random_mask((21, 34))
    path = tmp_path / "mask.png"
    voc.write_mask(path, mask)
    if mode == "L":
        Image.fromarray(mask).save(path)
    elif mode != "P":
        Image.open(path).convert(mode).save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    assert np.array_equal(voc.read_mask(path), mask)
    assert np.array_equal(voc.read_mask(str(path)), mask)


def test_read_mask_reads_a_palette_of_few_colours(tmp_path: Path):
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8))
    image.putpalette(voc.palette()[:4].tobytes())
    image.save(tmp_path / "four.png", bits=2)
    assert (tmp_path / "four.png").read_bytes()[24] == 2
    assert voc.read_mask(tmp_path / "four.png").tolist() == [[0, 1], [2, 3]]


def test_write_mask_is_laid_out_as_vocs_own(tmp_path: Path, voc_root: Path):
    official = voc.file_pairs(voc_root, "val")[0][1]
    voc.write_mask(tmp_path / "copy.png", voc.read_mask(official))
    with Image.open(official) as theirs, Image.open(tmp_path / "copy.png") as ours:
        assert ours.mode == theirs.mode == "P"
        assert ours.getpalette() == theirs.getpalette()
        assert ours.tobytes() == theirs.tobytes()


def save(path: Path, array: np.ndarray, palette: bytes | None = None, mode: str = "") -> None:
    image = Image.fromarray(array)
    if palette:
        image.putpalette(palette)
    (image.convert(mode) if mode else image).save(path)


def bad_file(kind: str, folder: Path) -> Path:
    """Write the broken mask `kind` and return its path."""
    path = folder / f"{kind}.png"
    zeros, ids = np.zeros((8, 8), np.uint8), np.full((8, 8), 30, np.uint8)
    voc_colors, swapped = voc.palette().tobytes(), voc.palette()[::-1].tobytes()
    makers = {
        "wrong palette": lambda: save(path, zeros, swapped),
        "palette id 30": lambda: save(path, ids, voc_colors),
        "grey id 30": lambda: save(path, ids),
        "16-bit grey": lambda: save(path, zeros.astype(np.uint16)),
        "bilevel": lambda: save(path, zeros > 0),
        "grey with alpha": lambda: save(path, zeros, mode="LA"),
        "unknown colour": lambda: save(path, np.full((8, 8, 3), 7, np.uint8)),
        "see-through": lambda: save(path, np.zeros((8, 8, 4), np.uint8)),
        "text": lambda: path.write_text("not an image"),
        "empty": lambda: path.write_bytes(b""),
        "folder": lambda: path.mkdir(),
        "missing": lambda: None,
    }
    makers[kind]()
    return path


BAD = {
    "wrong palette": "VOC's is",
    "palette id 30": "unknown id 30 at row 0",
    "grey id 30": "unknown id 30 at row 0",
    "16-bit grey": "16 bits a sample",
    "bilevel": "mode 1 with 1 bits",
    "grey with alpha": "mode LA",
    "unknown colour": r"\(7, 7, 7\)",
    "see-through": "not opaque",
    "text": "not a picture that can be read here",
    "empty": "the file is empty",
    "folder": "this is a folder",
    "missing": "no such file",
}


@pytest.mark.parametrize("kind", BAD)
def test_read_mask_names_the_bad_file_in_one_line(tmp_path: Path, kind: str):
    path = bad_file(kind, tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=BAD[kind]) as caught:
        voc.read_mask(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.count(path.name) == 1
    assert "\n" not in message and len(message) < 400


def png(header: bytes, rows: bytes) -> bytes:
    """A hand-made PNG: `header` is IHDR's 13 bytes, `rows` the scan lines."""
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_read_mask_refuses_depths_that_pillow_rescales(tmp_path: Path):
    """Pillow turns 16-bit RGB into 8 bits, and multiplies 4-bit grey by 17, silently."""
    size = (1).to_bytes(4, "big") * 2
    deep, shallow = tmp_path / "deep.png", tmp_path / "shallow.png"
    deep.write_bytes(png(size + bytes([16, 2, 0, 0, 0]), b"\0" + bytes([128, 5, 0, 5, 0, 5])))
    shallow.write_bytes(png(size + bytes([4, 0, 0, 0, 0]), b"\0\x10"))
    for path, bits in [(deep, 16), (shallow, 4)]:
        with pytest.raises(ValueError, match=f"{path.name}.* {bits} bits a sample"):
            voc.read_mask(path)


def test_read_mask_survives_every_cut_and_many_flipped_bytes(tmp_path: Path):
    """A damaged file is either refused by name or, if it still reads, holds ids only."""
    path = tmp_path / "mask.png"
    voc.write_mask(path, random_mask((16, 16)))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    cuts = [whole[:n] for n in range(0, len(whole) - 40, 7)]
    for data in cuts:
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"mask\.png: "):
            voc.read_mask(path)
    for _ in range(400):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        complaint = ""
        try:
            assert np.isin(voc.read_mask(path), IDS).all()
        except ValueError as error:
            complaint = str(error)
        assert not complaint or complaint.startswith(f"{path}: ")


def test_write_mask_refuses_what_it_cannot_store(tmp_path: Path):
    good = random_mask((4, 4))
    for path, mask, words in [
        ("a.png", good.astype(np.int32), "mask must be class ids .* not int32"),
        ("a.png", np.full((4, 4), 21, np.uint8), "unknown id 21"),
        ("a.png", good[:0], "at least one pixel"),
        ("a.jpg", good, "a.jpg: .*stored as .png"),
    ]:
        with pytest.raises(ValueError, match=words):
            voc.write_mask(tmp_path / path, mask)
    with pytest.raises(FileNotFoundError, match=r"no.a\.png"):
        voc.write_mask(tmp_path / "no" / "a.png", good)
    assert list(tmp_path.iterdir()) == []


def test_write_mask_on_a_full_disk_keeps_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    voc.write_mask(path, random_mask((4, 4)))
    before = path.read_bytes()

    def full(self, target, *args):
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        voc.write_mask(path, random_mask((4, 4), seed=1))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.png"]


def small_voc(home: Path, names: str = "b\na\n") -> Path:
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (home / folder).mkdir(parents=True)
    (home / "ImageSets/Segmentation/val.txt").write_text(names, encoding="utf-8")
    for name in names.replace("\ufeff", "").split():
        if "." in name:
            continue
        (home / "JPEGImages" / f"{name}.jpg").write_bytes(b"")
        (home / "SegmentationClass" / f"{name}.png").write_bytes(b"")
    return home


@pytest.mark.parametrize("up", [0, 1, 2])
def test_file_pairs_keeps_the_lists_order_from_any_of_three_roots(tmp_path: Path, up: int):
    home = small_voc(tmp_path / "VOCdevkit" / "VOC2012", "b\r\na\r\n\r\n")
    root = [home, *home.parents][up]
    assert voc.file_pairs(root, "val") == [
        (home / "JPEGImages" / f"{n}.jpg", home / "SegmentationClass" / f"{n}.png") for n in "ba"
    ]


def test_file_pairs_reads_the_real_folder(voc_root: Path):
    assert len(voc.file_pairs(voc_root)) == 416
    assert len(voc.file_pairs(voc_root.parents[1], "train")) == 509


def test_file_pairs_says_what_is_missing(tmp_path: Path):
    home = small_voc(tmp_path / "VOC2012", "a b c d e")
    for name in "abcd":
        (home / "JPEGImages" / f"{name}.jpg").unlink()
    (home / "SegmentationClass" / "e.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"val\.txt: 5 of the 10 files") as caught:
        voc.file_pairs(tmp_path)
    assert str(Path("JPEGImages/c.jpg")) in str(caught.value)
    assert "d.jpg" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"test.txt: no such split.*there are: val"):
        voc.file_pairs(home, "test")
    (home / "ImageSets/Segmentation/val.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"val.txt: the list is empty"):
        voc.file_pairs(home)
    with pytest.raises(FileNotFoundError, match=r"nowhere: no VOC data here.*download voc"):
        voc.file_pairs(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no VOC data here"):
        voc.file_pairs(home / "JPEGImages")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("a\nb\na\n", r"val.txt: names a 2 times"),
        ("a\n../../elsewhere/a\n", r"val.txt: \.\./\.\./elsewhere/a is no name of a photo"),
        ("..\n", "is no name of a photo"),
        ("\ufeff", "the list is empty"),
    ],
)
def test_file_pairs_refuses_repeated_names_and_ways_out(tmp_path: Path, names: str, words: str):
    with pytest.raises(ValueError, match=words):
        voc.file_pairs(small_voc(tmp_path, names))


def test_file_pairs_reads_a_list_with_a_byte_order_mark(tmp_path: Path):
    home = small_voc(tmp_path, "\ufeffb\na\n")
    assert [photo.stem for photo, _ in voc.file_pairs(home)] == ["b", "a"]


def test_file_pairs_takes_no_split_from_elsewhere(tmp_path: Path):
    home = small_voc(tmp_path)
    (tmp_path / "elsewhere.txt").write_text("a\n")
    way = Path(*[".."] * len((home / "ImageSets" / "Segmentation").relative_to(tmp_path).parts))
    assert (home / "ImageSets" / "Segmentation" / way / "elsewhere.txt").is_file()
    with pytest.raises(FileNotFoundError, match="no such split"):
        voc.file_pairs(home, f"{way}/elsewhere")
