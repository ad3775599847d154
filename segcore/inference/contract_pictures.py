"""Labelled pictures on which ways of preparing a photo can be told apart.

On a well lit photo that one animal fills, a network for 257 pixels answers nearly as well to wrong
pixels as to right ones: 0.83 mIoU after red and blue changed places, 0.84 before. Smaller, among
others, too dark or too bright, it does not: 0.57 against 0.70. So the shipped photos are
put side by side, and each network is held to what a better one sees in each photo alone.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segcore.data import voc
from segcore.data.images import read_image
from segcore.inference.segmenter import Segmenter

CAT, MOTORBIKE, PERSON = 8, 14, 15
DARK, BRIGHT = 0.25, 1.5  # at half the light networks for 513 pixels preferred half the range
# Letters are cat, motorbike and person, small ones mirrored: so no side is preferred.
STRIPS = ("CP", "mp", "Mc", "PM", "cm", "pC")  # two squares side by side
FOURS = ("CPmc", "pMcP", "MCpm", "PcCM", "mpPC", "cmMp")  # two rows of two
STRIP_TILE, FOUR_TILE = (300, 300), (200, 300)
WIDE = 1.9  # width by height from which squeezing does more than it saves


class Picture(NamedTuple):
    """`image` (H, W, 3) uint8 RGB, and `labels` (H, W) uint8: VOC's ids, 255 where none counts."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    @property
    def is_wide(self) -> bool:
        """Whether squeezing it into a square distorts it beyond what networks are trained for."""
        H, W = self.labels.shape
        return W >= WIDE * H


def shipped_pictures(reference: Segmenter) -> list[Picture]:
    """24 pictures made of three photos of scikit-image, CC0 or public domain.

    Their labels are what `reference` says of each photo alone. Any six in a row have both kinds
    of layout, both kinds of light, and all three photos.
    """
    import skimage.data

    photos = {
        "c": (skimage.data.chelsea(), CAT),
        "m": (skimage.data.stereo_motorcycle()[0], MOTORBIKE),
        "p": (skimage.data.astronaut()[:384], PERSON),
    }
    seen: dict[str, Picture] = {}
    for letter, (photo, class_id) in photos.items():
        seen[letter.upper()] = _labelled(photo, class_id, reference)
        seen[letter] = _labelled(np.ascontiguousarray(photo[:, ::-1]), class_id, reference)
    pictures = []
    for turn, lights in enumerate(((DARK, BRIGHT), (BRIGHT, DARK))):
        for number, (strip, four) in enumerate(zip(STRIPS, FOURS, strict=True)):
            light = lights[(number + turn) % 2]
            pictures.append(_lit(_joined([strip], STRIP_TILE, seen), light))
            pictures.append(_lit(_joined([four[:2], four[2:]], FOUR_TILE, seen), light))
    return pictures


def labelled_pictures(folder: str | Path, count: int) -> list[Picture]:
    """`count` photos with their masks, evenly drawn from the val list of a VOC `folder`."""
    pairs = voc.file_pairs(folder)
    chosen = np.unique(np.linspace(0, len(pairs) - 1, count).round().astype(int))
    return [Picture(read_image(pairs[n][0]), voc.read_mask(pairs[n][1])) for n in chosen]


def _labelled(photo: NDArray[np.uint8], class_id: int, reference: Segmenter) -> Picture:
    """`photo` with what `reference` calls background or `class_id`; the rest is not judged."""
    mask = reference(photo).mask
    return Picture(photo, np.where(np.isin(mask, (0, class_id)), mask, voc.VOID).astype(np.uint8))


def _joined(rows: list[str], tile: tuple[int, int], seen: dict[str, Picture]) -> Picture:
    """Pictures by their letters, each cut to fill a tile (height, width)."""
    height, width = tile

    def cut(pixels: NDArray[np.uint8], method: Image.Resampling) -> NDArray[np.uint8]:
        return np.asarray(ImageOps.fit(Image.fromarray(pixels), (width, height), method))

    smooth, nearest = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
    return Picture(
        np.vstack([np.hstack([cut(seen[n].image, smooth) for n in row]) for row in rows]),
        np.vstack([np.hstack([cut(seen[n].labels, nearest) for n in row]) for row in rows]),
    )


def _lit(picture: Picture, light: float) -> Picture:
    return picture._replace(image=np.clip(picture.image * light, 0, 255).astype(np.uint8))
