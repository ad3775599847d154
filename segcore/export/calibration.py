"""The photos that show a converter the ranges of activations: which, how many, how prepared."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore._errors import check
from segcore.data.images import PAD, letterbox, read_image, signed

Photo = Path | NDArray[np.uint8]


@dataclass(frozen=True)
class Calibration:
    """Photos that show the ranges of activations, as paths or (H, W, 3) uint8 arrays.

    `seed` tells how they were drawn, None for photos that were named one by one.
    """

    photos: tuple[Photo, ...]
    seed: int | None = None

    def images(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Each photo as a network sees it: letterboxed, (1, size, size, 3) float32 in [-1, 1]."""
        for photo in self.photos:
            image = read_image(photo) if isinstance(photo, str | Path) else photo
            box, _ = letterbox(image, size)
            yield signed(box[None])

    def scheme(self, size: int) -> dict[str, Any]:
        """How to do it again: which photos, how many, and what was done to them. Ready for JSON."""
        names = [photo.name if isinstance(photo, Path) else _digest(photo) for photo in self.photos]
        return {
            "photos": len(names),
            "names": names,
            "seed": self.seed,
            "letterbox": f"{size}, top left, padded with {PAD}",
            "normalisation": "byte / 127.5 - 1",
        }


def draw_photos(photos: Iterable[Path], count: int, seed: int = 0) -> Calibration:
    """`count` of `photos` for calibration: drawn without putting back, the same for equal seeds.

    Raises ValueError when there are fewer.
    """
    found = sorted(photos)
    check("count", count, 0 < count <= len(found), f"1 to {len(found)}, the photos at hand")
    chosen = np.random.default_rng(seed).choice(len(found), count, replace=False)
    return Calibration(tuple(found[i] for i in sorted(chosen)), seed)


def _digest(image: NDArray[np.uint8]) -> str:
    """A name for a photo that has none: its size and the beginning of its checksum."""
    code = hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
    return f"{image.shape[1]}x{image.shape[0]} sha256 {code[:12]}"
