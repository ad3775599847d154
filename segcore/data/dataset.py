"""A whole data set in memory: letterboxed bytes, decoded once, augmented anew at every step."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segcore._errors import check
from segcore.data import voc
from segcore.data.images import letterbox, read_image

Bytes = NDArray[np.uint8]
Pair = tuple[Path, Path | None]


@dataclass(frozen=True)
class Photos:
    """N photos, the first M of them labelled.

    `images` (N, S, S, 3) uint8, each at the top left and padded with grey; `contents` (N, 2)
    float32, the height and width of what is not padding; `masks` (M, S, S) uint8, void beside the
    photo; `names` of the files.
    """

    images: Bytes
    contents: NDArray[np.float32]
    masks: Bytes
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def read_photos(pairs: Sequence[Pair], size: int, bad: str = "stop", threads: int = 4) -> Photos:
    """Reads (photo, mask or None) files, those with masks first, into `Photos` of side `size`.

    Masks hold class ids (palette or grey) and are brought to size by the nearest pixel. A file that
    cannot be read is named: with `bad` = "stop" in a ValueError, with "skip" in a warning.
    """
    check("bad", bad, bad in ("stop", "skip"), '"stop" or "skip"')
    labelled = [mask is not None for _, mask in pairs]
    if labelled != sorted(labelled, reverse=True):
        raise ValueError("pairs must list the photos with masks first")
    with ThreadPoolExecutor(threads) as pool:
        read = pool.map(partial(_read, size=size, bad=bad), pairs)
        found = [photo for photo in read if photo is not None]
    if not found:
        raise ValueError("none of the photos could be read")
    names, images, contents, several = zip(*found, strict=True)
    masks = [mask for mask in several if mask is not None]
    return Photos(
        np.stack(images),
        np.asarray(contents, np.float32),
        np.array(masks, np.uint8).reshape(-1, size, size),
        names,
    )


def read_ids(
    path: Path, content: tuple[int, int], size: int, photo: Sequence[int] | None = None
) -> Bytes:
    """A mask file → (size, size) uint8 ids: resized to `content` = (h, w), void elsewhere.

    Raises ValueError naming the file when `voc.read_ids` cannot read it, or when it is not as large
    as its `photo` (H, W, ...).
    """
    h, w = content
    mask = voc.read_ids(path)
    if photo is not None and mask.shape != tuple(photo[:2]):
        sizes = f"{mask.shape[1]}×{mask.shape[0]}, but the photo is {photo[1]}×{photo[0]}"
        raise ValueError(f"{path}: the mask is {sizes}")
    ids = np.full((size, size), voc.VOID, np.uint8)
    ids[:h, :w] = np.asarray(Image.fromarray(mask).resize((w, h), Image.Resampling.NEAREST))
    return ids


def _read(
    pair: Pair, size: int, bad: str
) -> tuple[str, Bytes, tuple[int, int], Bytes | None] | None:
    photo, mask = pair
    try:
        image = read_image(photo)
        box, content = letterbox(image, size)
        ids = None if mask is None else read_ids(mask, content, size, image.shape)
    except (OSError, ValueError) as error:
        if bad == "stop":
            raise ValueError(f"{error}; or ask to skip what cannot be read") from None
        warnings.warn(f"left out: {error}", stacklevel=2)
        return None
    return photo.name, box, content, ids
