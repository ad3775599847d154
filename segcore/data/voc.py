"""The Pascal VOC labels: 21 classes, their colours, and files that hold them.

A mask is (H, W) uint8: class ids 0-20, and 255 (void) on the boundary that the annotators drew
between things, and where they could not tell. Everingham et al., "The Pascal Visual Object Classes
Challenge" (2012 development kit). Taught in chapter 2.
"""

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from segcore._errors import check
from segcore._files import replacing
from segcore.data.images import open_image

NUM_CLASSES = 21
VOID = 255
CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus",
    "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

_UNKNOWN = 254  # what the lookup table holds for a colour that is no class


@functools.cache
def palette() -> np.ndarray:
    """All 256 colours of VOC's palette, (256, 3) uint8 RGB, read-only.

    The bit rule of the VOC development kit (VOClabelcolormap): bits 0, 1, 2 of an id are the
    highest bits of red, green, blue; bits 3, 4, 5 the next ones; bits 6, 7 the next of red
    and green. Taught in chapter 2.
    """
    ids = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        colors[:, bit % 3] |= (((ids >> bit) & 1) << (7 - bit // 3)).astype(np.uint8)
    colors.setflags(write=False)
    return colors


COLORS = palette()[:NUM_CLASSES]


@functools.cache
def _id_of_color() -> np.ndarray:
    """The lookup table: (2**24,) uint8, the id at index R + 256 G + 65536 B, else _UNKNOWN."""
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    ids = np.array([*range(NUM_CLASSES), VOID], np.uint8)
    table[palette()[ids] @ np.array([1, 1 << 8, 1 << 16])] = ids
    return table


def encode(mask: np.ndarray) -> np.ndarray:
    """The colours of a mask: (H, W) uint8 ids 0-20 or 255 → (H, W, 3) uint8 RGB.

    Raises ValueError naming the first other id and where it stands. Taught in chapter 2.
    """
    _check_mask(mask)
    return np.take(palette(), mask, axis=0)


def decode(image: np.ndarray) -> np.ndarray:
    """The ids of a coloured mask: (H, W, 3 or 4) uint8 → (H, W) uint8, ids 0-20, 255 void.

    Each pixel's bytes, read as one 24-bit number, index one table of 2**24 ids. Raises
    ValueError naming the first unknown colour, or the first alpha below 255, and where it
    stands. Taught in chapter 2.
    """
    fits = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (3, 4)
    check("image", image, fits, "uint8 (H, W, 3) or (H, W, 4), colours as 8-bit RGB or RGBA")
    height, width, channels = image.shape
    # Four bytes from the start of every pixel on; the fourth is masked off. Unaligned words
    # were 1.8 times as fast as shifting three strided channels together.
    data = image.tobytes() + b"\0"
    words = np.ndarray((height, width), "<u4", data, 0, (channels * width, channels))
    index = words.astype(np.intp)
    index &= 0xFFFFFF
    mask = _id_of_color().take(index, mode="clip")  # in range already: clip skips the check
    if channels == 4:
        opaque = " is not opaque: a label has alpha 255; flatten the image or save it without alpha"
        _refuse(image[..., 3] != 255, image, "colour", opaque)
    colors = (
        ": none of VOC's 21 classes, nor void. Save masks as PNG (JPEG changes colours) and resize "
        "them by nearest neighbour (smoothing mixes colours)"
    )
    _refuse(mask == _UNKNOWN, image[..., :3], "unknown colour", colors)
    return mask


def read_mask(path: str | Path) -> np.ndarray:
    """The ids in an image file: (H, W) uint8, ids 0-20, 255 void.

    Accepts a PNG (or another lossless file) with VOC's palette, in RGB, in opaque RGBA, or
    in 8-bit grey whose values are ids. Raises FileNotFoundError or ValueError, each naming
    the file, what is wrong and what to do. Taught in chapter 2.
    """
    return _read(path, _voc_ids)


def read_ids(path: str | Path) -> np.ndarray:
    """The numbers in a palette or 8-bit grey file, (H, W) uint8, whatever classes they stand for.

    Raises as `read_mask` does.
    """
    return _read(path, _ids)


def write_mask(path: str | Path, mask: np.ndarray) -> None:
    """Write `mask` (H, W) uint8, ids 0-20 or 255, as a PNG with VOC's palette.

    The file appears whole or not at all: it is written beside `path`, then renamed. Raises
    ValueError for a wrong mask or a name without .png, FileNotFoundError for a missing
    folder, OSError for a full disk. Taught in chapter 2.
    """
    path = Path(path)
    _check_mask(mask)
    check("mask", mask, mask.size, f"of at least one pixel, to be written to {path}")
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: a mask is stored as .png, other formats may change its ids")
    with replacing(path) as file:
        picture(mask).save(file, "PNG")


def picture(mask: np.ndarray) -> Image.Image:
    """`mask` (H, W) uint8 as Pillow's palette image, in VOC's colours."""
    image = Image.fromarray(np.ascontiguousarray(mask))
    image.putpalette(palette().tobytes())
    return image


def file_pairs(root: str | Path, split: str = "val") -> list[tuple[Path, Path]]:
    """The (photo, mask) paths that `root`/ImageSets/Segmentation/`split`.txt lists, in order.

    `root` is VOC2012, VOCdevkit, or the folder above. Raises FileNotFoundError naming the
    missing folder, list or files, ValueError for an empty list. Taught in chapter 2.
    """
    home = _voc_home(Path(root))
    listing = home / "ImageSets" / "Segmentation" / f"{split}.txt"
    if not (_is_plain(split) and listing.is_file()):
        there = ", ".join(sorted(p.stem for p in listing.parent.glob("*.txt"))) or "none"
        raise FileNotFoundError(f"{listing}: no such split; choose of those there are: {there}")
    names = _names(listing)
    photos = [home / "JPEGImages" / f"{name}.jpg" for name in names]
    masks = [home / "SegmentationClass" / f"{name}.png" for name in names]
    missing = [path for path in photos + masks if not path.is_file()]
    if missing:
        first = ", ".join(str(path.relative_to(home)) for path in missing[:3])
        raise FileNotFoundError(
            f"{listing}: {len(missing)} of the {2 * len(names)} files it names are missing "
            f"(first: {first}); unpack the data again or take the names off the list"
        )
    return list(zip(photos, masks, strict=True))


def _names(listing: Path) -> list[str]:
    """The photos on a list; ValueError for none, for one twice, and for one outside the folder."""
    names = listing.read_text(encoding="utf-8-sig", errors="replace").split()
    if not names:
        raise ValueError(f"{listing}: the list is empty; write one photo name a line")
    if outside := [name for name in names if not _is_plain(name)]:
        raise ValueError(f"{listing}: {outside[0][:60]} is no name of a photo; correct the line")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{listing}: names {name} {times} times; take the repeated lines out")
    return names


def _is_plain(name: str) -> bool:
    """Whether `name` stays in the folder that it is looked up in."""
    return not {"/", "\\", "\0"} & set(name) and name not in (".", "..") and len(name) <= 200


def _voc_home(root: Path) -> Path:
    """The VOC2012 folder at, in, or two below `root`; FileNotFoundError says what was sought."""
    for home in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (home / "ImageSets" / "Segmentation").is_dir():
            return home
    raise FileNotFoundError(
        f"{root}: no VOC data here (wanted ImageSets/Segmentation in this folder, in VOC2012 or "
        "in VOCdevkit/VOC2012 below it); `segcore download voc` fetches it"
    )


def _read(path: str | Path, ids: Callable[[Image.Image, int], np.ndarray]) -> np.ndarray:
    """The `ids` of the image in a file and of its bits a sample; ValueErrors name the file."""
    image, bits = open_image(path), _png_bits(Path(path))
    try:
        return ids(image, bits)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _voc_ids(image: Image.Image, bits: int) -> np.ndarray:
    if image.mode in ("RGB", "RGBA") and bits == 8:
        return decode(np.asarray(image))
    mask = _ids(image, bits)
    if image.mode == "P":
        _check_palette(image, np.flatnonzero(image.histogram()))
    _check_mask(mask)
    return mask


def _ids(image: Image.Image, bits: int) -> np.ndarray:
    if image.mode != "P" and (image.mode, bits) != ("L", 8):
        raise ValueError(
            f"an image of mode {image.mode} with {bits} bits a sample; wanted VOC's palette, or "
            "8-bit RGB, RGBA or grey ids: convert the mask to one of them"
        )
    return np.array(image)


def _png_bits(path: Path) -> int:
    """Bits per sample in a PNG's header (Pillow hides 16 and 4); 8 for any other file."""
    with path.open("rb") as file:
        header = file.read(25)
    return header[24] if header.startswith(b"\x89PNG\r\n\x1a\n") else 8


def _check_palette(image: Image.Image, used: np.ndarray) -> None:
    """ValueError unless `image`'s palette has VOC's colours for the ids `used`, (N,) uint8."""
    flat = [*(image.getpalette("RGB") or ()), *[0] * 768][:768]
    colors = np.reshape(flat, (256, 3))
    wrong = used[(colors[used] != palette()[used]).any(axis=1)]
    if wrong.size:
        i = int(wrong[0])
        raise ValueError(
            f"the palette gives id {i} the colour {tuple(colors[i].tolist())}, VOC's is "
            f"{tuple(palette()[i].tolist())}; if the colours are VOC's in another order, save "
            "the mask as RGB, else write it with segcore.data.voc.write_mask"
        )


def _check_mask(mask: np.ndarray) -> None:
    """ValueError unless `mask` is (H, W) uint8 with ids 0-20 and 255 only."""
    fits = mask.dtype == np.uint8 and mask.ndim == 2
    check("mask", mask, fits, "class ids as uint8 (H, W)")
    wrong = (mask >= NUM_CLASSES) & (mask != VOID)
    rule = ": ids are 0-20, and 255 for void; map other classes to 0 or 255 first"
    _refuse(wrong, mask, "unknown id", rule)


def _refuse(wrong: np.ndarray, values: np.ndarray, what: str, why: str) -> None:
    """ValueError naming the first True of `wrong` (H, W), and what `values` has there."""
    if wrong.any():
        row, column = divmod(int(wrong.argmax()), wrong.shape[1])
        found = values[row, column].tolist()
        found = tuple(found) if isinstance(found, list) else found
        raise ValueError(f"{what} {found} at row {row}, column {column}{why}")
