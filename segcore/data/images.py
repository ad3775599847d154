"""Photos in and out: reading with every header honoured, letterboxing.

Nothing here knows a class name or a network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from segcore._errors import DAMAGE, check

Pixels = NDArray[np.uint8]

PAD = 127  # the grey that a network whose inputs lie in [-1, 1] sees as nothing
MAX_PIXELS = 100_000_000  # a phone's photo has 12 to 50 million; more is a mistake or an attack

WHOLE = 1 << 24  # pixels of a photo that is scaled at once: 64 MB in Pillow
STRIP = 1 << 18  # pixels or scores worked on at a time: all of a photo's at once are gigabytes
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF") + (  # never EPS: it is a program
    ("AVIF",) if find_spec("PIL.AvifImagePlugin") else ()
)


class ImageError(ValueError):
    """A photo that cannot be used. The message names the file and what to do."""


def read_image(path: str | Path) -> Pixels:
    """The photo at `path` → (H, W, 3) uint8 RGB, upright.

    EXIF rotation is applied, alpha is laid over white, 16-bit is scaled to 8, grey and CMYK become
    RGB. Raises FileNotFoundError, or ImageError naming the file and what to do.
    """
    path = Path(path)
    image = open_image(path)
    with _damage_named(path):
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    W, H = image.size
    turned = orientation in (5, 6, 7, 8)
    pixels = np.empty((W, H, 3) if turned else (H, W, 3), np.uint8)
    down, across = (-1 if orientation in ways else 1 for ways in ((3, 4, 6, 7), (2, 3, 7, 8)))
    stored = (pixels.swapaxes(0, 1) if turned else pixels)[::down, ::across]
    for rows in strips((H, W)):
        with _damage_named(path):
            part = _rgb(image.crop((0, rows.start, W, rows.stop)))
        stored[rows] = part if part.ndim == 3 else _to_8_bit(path, part)[..., None]
    return pixels


def open_image(path: str | Path) -> Image.Image:
    """The picture in the file at `path`, decoded, as Pillow has it: any mode, not yet upright.

    Raises FileNotFoundError, OSError where the system forbids, or ImageError naming the file and
    what to do: for other formats than FORMATS, damage, or a size that is no photo's.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; check the spelling")
    if path.is_dir():
        raise ImageError(f"{path}: this is a folder; name the pictures in it")
    with path.open("rb") as file:
        with _damage_named(path):
            image = Image.open(file, formats=FORMATS)
        W, H = image.size
        if H * W > MAX_PIXELS:
            raise ImageError(f"{path}: {W}×{H} pixels are too many; make the picture smaller")
        if max(H, W) > 100 * min(H, W):
            raise ImageError(f"{path}: {W}×{H} is a strip, not a photo; crop it")
        with _damage_named(path):
            image.load()
    return image


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of an (H, W, ...) picture in strips of about STRIP pixels, from the top."""
    H, W = shape[:2]
    height = max(STRIP // max(W, 1), 1)
    return (slice(top, min(top + height, H)) for top in range(0, H, height))


def letterbox(image: Pixels, size: int | tuple[int, int]) -> tuple[Pixels, tuple[int, int]]:
    """`image` (H, W, 3) uint8 → ((size, size, 3) uint8, (h, w)): the photo fills the top-left h×w.

    The longer side is scaled to `size`, the rest padded with grey 127, so shapes keep their
    proportions. `size` may be (height, width). Raises ValueError for a wrong shape or dtype. Taught
    in chapter 1.
    """
    fits = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    check("image", image, fits, "(H, W, 3) uint8")
    H, W = image.shape[:2]
    height, width = (size, size) if isinstance(size, int) else size
    scale = min(height / H, width / W)
    h, w = max(round(H * scale), 1), max(round(W * scale), 1)
    box = np.full((height, width, 3), PAD, np.uint8)
    # Rows are made narrow before columns are made short, as Pillow does; only Pillow 13 begins with
    # the columns of what is more than twice as tall, mostly: so the usual photo is left to Pillow.
    if H * W <= WHOLE:
        box[:h, :w] = _scale(image, h, w)
    elif H <= 2 * W or h >= H:
        narrow = np.concatenate([_scale(image[rows], w=w) for rows in strips((H, W))])
        box[:h, :w] = _scale(narrow, h=h)
    else:
        low = [_scale(image[:, columns], h=h) for columns in strips((W, H))]
        box[:h, :w] = _scale(np.concatenate(low, axis=1), w=w)
    return box, (h, w)


def signed(pixels: Pixels) -> NDArray[np.float32]:
    """Bytes 0..255 of any shape → float32 -1..1, as MobileNetV2 was trained."""
    return (pixels / np.float32(127.5) - np.float32(1)).astype(np.float32, copy=False)


def unletterbox(logits: NDArray, content: tuple[int, int], shape: tuple[int, int]) -> Pixels:
    """What a network said about a letterboxed photo → (H, W) uint8 class ids at the native `shape`.

    `logits` (S, S, C) scores are upsampled bilinearly before the winner is taken, which keeps
    edges smooth; (S, S) class ids can only be repeated. `content` is what `letterbox` returned.
    """
    h, w = content
    H, W = shape
    if logits.ndim == 2:
        return logits.astype(np.uint8)[_nearest(h, H)[:, None], _nearest(w, W)[None]]
    mask = np.empty(shape, np.uint8)
    for rows in strips((H, W * logits.shape[2])):
        mask[rows] = _resize_bilinear(logits[:h, :w], H, W, rows).argmax(-1)
    return mask


def _scale(image: Pixels, h: int | None = None, w: int | None = None) -> Pixels:
    """`image` (H, W, 3) brought to `h` rows or `w` columns by Pillow, which averages to shrink."""
    size = (w or image.shape[1], h or image.shape[0])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _resize_bilinear(values: NDArray, H: int, W: int, rows: slice = slice(None)) -> NDArray:
    """The `rows` of (h, w, C) → (H, W, C), pixel centres at half coordinates, edges repeated."""
    h, w = values.shape[:2]
    if (h, w) == (H, W):
        return values[rows]
    top, bottom, down = (part[rows] for part in neighbours(_centres(h, H), h))
    left, right, across = neighbours(_centres(w, W), w)
    values = values[top[0] : bottom[-1] + 1].astype(np.float32, copy=False)
    top, bottom = top - top[0], bottom - top[0]
    columns = values[:, left] * (1 - across[:, None]) + values[:, right] * across[:, None]
    return columns[top] * (1 - down[:, None, None]) + columns[bottom] * down[:, None, None]


def neighbours(position: NDArray, length: float) -> tuple[NDArray, NDArray, NDArray]:
    """The two positions around each `position` on 0..`length` - 1, and how far along it lies, 0..1.

    Bilinear resampling of every kind reads it: int32, int32 and float32 of one shape. What lies
    outside is brought to the nearest end.
    """
    position = np.clip(position, 0, length - 1)
    before = np.floor(position)
    after = np.minimum(before + 1, length - 1)
    along = (position - before).astype(np.float32)
    return before.astype(np.int32), after.astype(np.int32), along


def _centres(old: int, new: int) -> NDArray:
    """Where the centres of `new` pixels lie among `old` ones, both half a pixel from their edge."""
    return (np.arange(new) + 0.5) * old / new - 0.5


def _nearest(old: int, new: int) -> NDArray:
    return ((np.arange(new) + 0.5) * old / new).astype(int)


def _rgb(image: Image.Image) -> NDArray:
    """(H, W, 3) uint8, alpha over white; (H, W) as it is where there are more than 8 bits."""
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _to_8_bit(path: Path, values: NDArray) -> Pixels:
    """16-bit grey values, in any integer dtype, → uint8: 65535 becomes 255."""
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535 or values.dtype.kind == "f":
        found = f"{values.dtype} grey values up to {values.max()}"
        raise ImageError(f"{path}: {found}; save it with 8 or 16 bits")
    return (values / 257 + 0.5).astype(np.uint8)


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Around Pillow's own calls and nothing else: what they raise becomes an ImageError."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: {_why_unreadable(path)}") from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: too many pixels; make the picture smaller") from error
    except DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise ImageError(f"{path}: damaged or cut short ({reason}); copy it again") from error


def _why_unreadable(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        return "the file is empty; copy it again"
    if start[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "HEIC photos are not supported; export it as JPEG"
    return "not a picture that can be read here; save it as JPEG or PNG"
