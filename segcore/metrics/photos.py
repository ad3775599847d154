"""Matrices photo by photo in a file: every score can be taken from it anew without a network."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segcore._files import replacing
from segcore.data.voc import CLASSES
from segcore.metrics.confusion import Counts


@dataclass(frozen=True)
class PhotoMatrices:
    """A confusion matrix for each photo: `matrices` (N, C, C) int64, and names for N and C.

    `trimap` (N, C, C), where there is one, counts only the pixels at most `trimap_width` away from
    a labelled border. `model`, `size` and `sha256` tell which network was scored, the side of its
    input, and the checksum of its file; they are empty where nobody knows.
    """

    photos: tuple[str, ...]
    matrices: Counts
    class_names: tuple[str, ...] = CLASSES
    trimap: Counts | None = None
    trimap_width: int = 0
    model: str = ""
    size: int = 0
    sha256: str = ""

    def __post_init__(self) -> None:
        wanted = (len(self.photos), len(self.class_names), len(self.class_names))
        for name, counts in (("matrices", self.matrices), ("trimap", self.trimap)):
            if counts is not None and counts.shape != wanted:
                raise ValueError(f"{name} is {counts.shape}; wanted (photos, C, C) = {wanted}")
        if (self.trimap is None) != (self.trimap_width == 0):
            raise ValueError(f"trimap_width is {self.trimap_width}; wanted it with a trimap alone")
        if len(set(self.photos)) != len(self.photos):
            raise ValueError("photos names one twice; wanted each once")

    def near_borders(self) -> PhotoMatrices:
        """The same with the trimap's matrices in place of all pixels'; ValueError without one."""
        if self.trimap is None:
            raise ValueError(f"{self.model or 'this'} was scored without a trimap")
        return replace(self, matrices=self.trimap, trimap=None, trimap_width=0)


def save_matrices(path: str | Path, found: PhotoMatrices) -> Path:
    """Writes `found` to `path`, a compressed .npz of the smallest integers that hold it → `path`.

    416 photos and 21 classes take 14 kilobytes, twice that with a trimap. Same content, same bytes.
    """
    arrays: dict[str, Any] = {
        name: np.array(value) for name, value in vars(found).items() if value is not None
    }
    for name in {"matrices", "trimap"} & set(arrays):
        arrays[name] = arrays[name].astype(np.min_scalar_type(int(arrays[name].max(initial=0))))
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)
    return Path(path)


def load_matrices(path: str | Path) -> PhotoMatrices:
    """What `save_matrices` wrote. Raises FileNotFoundError, or ValueError naming the file."""
    try:
        with Path(path).open("rb") as opened, zipfile.ZipFile(opened), np.load(opened) as file:
            return PhotoMatrices(
                photos=tuple(file["photos"].tolist()),
                matrices=_counts(file["matrices"]),
                class_names=tuple(file["class_names"].tolist()),
                trimap=_counts(file["trimap"]) if "trimap" in file else None,
                trimap_width=int(file["trimap_width"]),
                model=str(file["model"]),
                size=int(file["size"]),
                sha256=str(file["sha256"]),
            )
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path}: no whole file of matrices, as --save writes ({error})"
        ) from error


def is_matrices(path: str | Path) -> bool:
    """Whether `path` is a file that `save_matrices` wrote, by its table of contents alone."""
    try:
        with zipfile.ZipFile(path) as file:
            return {"matrices.npy", "photos.npy", "class_names.npy"} <= set(file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def paired(a: PhotoMatrices, b: PhotoMatrices) -> tuple[Counts, Counts]:
    """The matrices of `a` and those of `b` in `a`'s order, for `paired_bootstrap`.

    Raises ValueError as `check_pair` does, and naming a photo whose labels differ.
    """
    check_pair(a.photos, a.class_names, b)
    place = {photo: i for i, photo in enumerate(b.photos)}
    second = b.matrices[[place[photo] for photo in a.photos]]
    differ = (a.matrices.sum(-1) != second.sum(-1)).any(-1)
    if differ.any():
        photo = a.photos[int(differ.argmax())]
        raise ValueError(f"{photo} was scored with other labels; a pair needs the same masks")
    return a.matrices, second


def check_pair(photos: Sequence[str], class_names: Sequence[str], b: PhotoMatrices) -> None:
    """Raises ValueError unless `b` has these `photos`, in any order, and these `class_names`."""
    name, ids = b.model or "b", [*zip(class_names, b.class_names, strict=False)]
    if tuple(class_names) != b.class_names:
        i = next((i for i, (one, other) in enumerate(ids) if one != other), len(ids))
        found, wanted = ([*names, "nothing"][i] for names in (b.class_names, class_names))
        raise ValueError(
            f"{name} was scored on other classes: {i} is {found}, here {wanted}; "
            "a pair needs the same"
        )
    if alone := sorted(set(photos) ^ set(b.photos)):
        raise ValueError(
            f"{name} was scored on other photos ({len(b.photos)}, here {len(photos)}; {alone[0]} "
            "is among one of the two only); a pair needs the same"
        )


def _counts(stored: np.ndarray) -> Counts:
    """Stored counts as int64. Raises ValueError for what counts nothing."""
    if stored.dtype.kind != "u":
        raise ValueError(f"counts of {stored.dtype}; wanted unsigned integers")
    return stored.astype(np.int64)
