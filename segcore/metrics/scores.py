"""What all tables print, from matrices photo by photo; and those matrices in a file.

From a file of matrices every score, interval and comparison can be taken anew without a network.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from segcore._files import replacing
from segcore.data.voc import CLASSES
from segcore.metrics.confusion import Counts, iou, mean_iou, pixel_accuracy

MIN_PIXELS = 20_000  # labelled pixels below which a class's IoU is noise


class Scores(TypedDict):
    """Scores of a set of photos; all of them fractions, 0..1, NaN where there is nothing.

    `miou` is the mean over the `classes` with at least MIN_PIXELS labelled pixels, `miou_all` that
    over every labelled class. `iou`, `pixels` and `photos_with` tell IoU, labelled pixels and
    number of photos of each labelled class, by name.
    """

    photos: int
    accuracy: float
    miou: float
    miou_all: float
    classes: int
    iou: dict[str, float]
    pixels: dict[str, int]
    photos_with: dict[str, int]


def summary(matrices: Counts, class_names: Sequence[str] = CLASSES) -> Scores:
    """`Scores` from a confusion matrix for each photo, (N, C, C), and the C names of classes.

    Raises ValueError where the shape does not fit. Taught in chapter 1.
    """
    C = len(class_names)
    if matrices.ndim != 3 or matrices.shape[1:] != (C, C):
        raise ValueError(f"matrices is {matrices.shape}; wanted (photos, {C}, {C}), one a photo")
    total = matrices.sum(0)
    photos_with, pixels = (matrices.sum(-1) > 0).sum(0), total.sum(-1)
    labelled = [(name, i) for i, name in enumerate(class_names) if pixels[i]]
    each = iou(total)
    return Scores(
        photos=len(matrices),
        accuracy=pixel_accuracy(total),
        miou=mean_iou(total, MIN_PIXELS),
        miou_all=mean_iou(total),
        classes=int((pixels >= MIN_PIXELS).sum()),
        iou={name: float(each[i]) for name, i in labelled},
        pixels={name: int(pixels[i]) for name, i in labelled},
        photos_with={name: int(photos_with[i]) for name, i in labelled},
    )


def percent(fraction: float, digits: int = 1) -> str:
    """A fraction as it is printed, in per cent without the sign: 0.7324 → "73.2"."""
    return f"{100 * fraction:.{digits}f}"


@dataclass(frozen=True)
class PhotoMatrices:
    """A confusion matrix for each photo: `matrices` (N, C, C) int64, and names for N and C."""

    photos: tuple[str, ...]
    matrices: Counts
    class_names: tuple[str, ...] = CLASSES

    def __post_init__(self) -> None:
        wanted = (len(self.photos), len(self.class_names), len(self.class_names))
        if self.matrices.shape != wanted:
            raise ValueError(f"matrices is {self.matrices.shape}; wanted (photos, C, C) = {wanted}")
        if len(set(self.photos)) != len(self.photos):
            raise ValueError("photos names one twice; wanted each once")


def save_matrices(path: str | Path, found: PhotoMatrices) -> Path:
    """Writes `found` to `path`, a compressed .npz of the smallest integers that hold it → `path`.

    416 photos and 21 classes take some tens of kilobytes. Same content, same bytes.
    """
    matrices = found.matrices.astype(np.min_scalar_type(int(found.matrices.max(initial=0))))
    photos, class_names = np.array(found.photos, str), np.array(found.class_names, str)
    with replacing(path) as file:
        np.savez_compressed(file, matrices=matrices, photos=photos, class_names=class_names)
    return Path(path)


def load_matrices(path: str | Path) -> PhotoMatrices:
    """What `save_matrices` wrote. Raises FileNotFoundError, or ValueError naming the file."""
    try:
        with Path(path).open("rb") as opened, zipfile.ZipFile(opened), np.load(opened) as file:
            photos, names = (tuple(file[key].tolist()) for key in ("photos", "class_names"))
            return PhotoMatrices(photos, file["matrices"].astype(np.int64), names)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: no matrices of `save_matrices` ({error})") from error


def paired(a: PhotoMatrices, b: PhotoMatrices) -> tuple[Counts, Counts]:
    """The matrices of `a` and those of `b` in `a`'s order, for `paired_bootstrap`.

    Raises ValueError naming a photo that only one of them has, or when the classes differ.
    """
    if a.class_names != b.class_names:
        raise ValueError("the two were scored on other classes; a pair needs the same")
    alone = set(a.photos) ^ set(b.photos)
    if alone:
        raise ValueError(f"{min(alone)} was scored in one of the two only; a pair needs the same")
    place = {photo: i for i, photo in enumerate(b.photos)}
    return a.matrices, b.matrices[[place[photo] for photo in a.photos]]
