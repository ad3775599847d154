"""The Pascal VOC labels: 21 classes, their colours, and files that hold them.

A mask is (H, W) uint8: class ids 0-20, and 255 (void) where the annotators drew the rim
between things or could not tell. Everingham et al., "The Pascal Visual Object Classes
Challenge" (2012 development kit). Taught in chapter 2.
"""

import functools
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

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
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(
            f"image is {image.dtype} {image.shape}, wanted uint8 (H, W, 3) or (H, W, 4): "
            "pass the colours as 8-bit RGB or RGBA"
        )
    height, width, channels = image.shape
    # Four bytes from the start of every pixel on; the fourth is masked off. Unaligned words
    # were 1.8 times as fast as shifting three strided channels together.
    data = image.tobytes() + b"\0"
    words = np.ndarray((height, width), "<u4", data, 0, (channels * width, channels))
    index = words.astype(np.intp)
    index &= 0xFFFFFF
    mask = _id_of_color().take(index, mode="clip")  # in range already: clip skips the check
    unknown = mask == _UNKNOWN
    if channels == 4:
        unknown |= image[..., 3] != 255
    if unknown.any():
        raise ValueError(_unknown_message(image, *_first(unknown)))
    return mask


def read_mask(path: str | Path) -> np.ndarray:
    """The ids in an image file: (H, W) uint8, ids 0-20, 255 void.

    Accepts a PNG (or another lossless file) with VOC's palette, in RGB, in opaque RGBA, or
    in 8-bit grey whose values are ids. Raises FileNotFoundError or ValueError, each naming
    the file, what is wrong and what to do. Taught in chapter 2.
    """
    image, bits = open_image(path), _png_bits(Path(path))
    try:
        if image.mode in ("RGB", "RGBA") and bits == 8:
            return decode(np.asarray(image))
        mask = _ids(image, bits)
        if image.mode == "P":
            _check_palette(image, np.flatnonzero(image.histogram()))
        _check_mask(mask)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return mask


def read_ids(path: str | Path) -> np.ndarray:
    """The numbers in a palette or 8-bit grey file, (H, W) uint8, whatever classes they stand for.

    Raises as `read_mask` does.
    """
    image, bits = open_image(path), _png_bits(Path(path))
    try:
        return _ids(image, bits)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_mask(path: str | Path, mask: np.ndarray) -> None:
    """Write `mask` (H, W) uint8, ids 0-20 or 255, as a PNG with VOC's palette.

    The file appears whole or not at all: it is written beside `path`, then renamed. Raises
    ValueError for a wrong mask or a name without .png, FileNotFoundError for a missing
    folder, OSError for a full disk. Taught in chapter 2.
    """
    path = Path(path)
    _check_mask(mask)
    if mask.size == 0:
        raise ValueError(f"mask is {mask.shape}, wanted at least one pixel to write to {path}")
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: a mask is stored as .png, other formats may change its ids")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}; make it first")
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
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(
            f"{listing}: names {len(twice)} photos more than once (first: {twice[0]}), which would "
            "count so often; take the repeated lines out"
        )
    return names


def _is_plain(name: str) -> bool:
    """Whether `name` stays in the folder that it is looked up in."""
    return not {"/", "\\", "\0"} & set(name) and name not in (".", "..") and len(name) <= 200


def _voc_home(root: Path) -> Path:
    """The VOC2012 folder at, in, or two below `root`; FileNotFoundError says what was sought."""
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; `segcore download voc` makes one")
    for home in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (home / "ImageSets" / "Segmentation").is_dir():
            return home
    raise FileNotFoundError(
        f"{root}: no VOC data here (wanted ImageSets/Segmentation in this folder, in VOC2012 or "
        "in VOCdevkit/VOC2012 below it); `segcore download voc` fetches it"
    )


def _ids(image: Image.Image, bits: int) -> np.ndarray:
    """The (H, W) uint8 numbers of a loaded `image` with `bits` a sample; ValueError for colours."""
    if not (image.mode == "P" or (image.mode == "L" and bits == 8)):
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
    colors = np.zeros((256, 3), np.uint8)
    flat = np.array(image.getpalette("RGB"), np.uint8)
    colors.reshape(-1)[: flat.size] = flat
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
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError(f"mask is {mask.dtype} {mask.shape}, wanted class ids as uint8 (H, W)")
    wrong = (mask >= NUM_CLASSES) & (mask != VOID)
    if wrong.any():
        row, column = _first(wrong)
        raise ValueError(
            f"unknown id {mask[row, column]} at row {row}, column {column}: ids are 0-20, and "
            "255 for void; map other classes to 0 or 255 first"
        )


def _first(wrong: np.ndarray) -> tuple[int, int]:
    """Row and column of the first True of `wrong` (H, W)."""
    row, column = divmod(int(wrong.argmax()), wrong.shape[1])
    return row, column


def _unknown_message(image: np.ndarray, row: int, column: int) -> str:
    """What to tell about the pixel of `image` (H, W, 3 or 4) that is no label."""
    color = tuple(image[row, column].tolist())
    if len(color) == 4 and color[3] != 255:
        return (
            f"colour {color} at row {row}, column {column} is not opaque: a label has alpha 255; "
            "flatten the image or save it without alpha"
        )
    return (
        f"unknown colour {color[:3]} at row {row}, column {column}: none of VOC's 21 classes, "
        "nor void. Save masks as PNG (JPEG changes colours) and resize them by nearest "
        "neighbour (smoothing mixes colours)"
    )
