"""What happens beside the steps of a run: its seconds, and masks of six pictures for a film.

None of the pictures is a VOC photo: three are in the public domain (scikit-image's), three drawn.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import data

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.data import toy
from segcore.data.images import letterbox
from segcore.inference.segmenter import Segmenter

PHOTOS, SCENES = ("chelsea", "astronaut", "coffee"), 3
EPOCHS = (1, 2, 4, 8)  # beside the last
Pixels = NDArray[np.uint8]


class Watch(keras.callbacks.Callback):
    """Notes in `folder` how long each epoch takes, and what `segmenter` says of `boxes`, (N, S, S).

    Masks are kept after `EPOCHS` and the last one; without boxes there are none.
    """

    def __init__(self, folder: Path, segmenter: Segmenter, boxes: Pixels | None = None) -> None:
        super().__init__()
        self.folder, self.segmenter, self.boxes = folder, segmenter, boxes

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun = perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        spent = _seconds(self.folder) | {str(epoch + 1): perf_counter() - self.begun}
        write_bytes(self.folder / "seconds.json", json.dumps(spent).encode())
        if self.boxes is not None and epoch + 1 in {*EPOCHS, self.params["epochs"]}:
            masks = [self.segmenter.infer(box).argmax(-1) for box in self.boxes]
            np.save(self.folder / f"masks_{epoch + 1}.npy", np.array(masks, np.uint8))


def seconds(folder: Path) -> float:
    """How long all epochs of a run took, validation included, also when it was killed between."""
    return round(sum(_seconds(folder).values()), 1)


def masks(folder: Path) -> dict[int, Pixels]:
    """Epoch → masks (6, S, S) of the run in `folder`."""
    files = {int(path.stem.removeprefix("masks_")): path for path in folder.glob("masks_*.npy")}
    return {epoch: np.load(files[epoch]) for epoch in sorted(files)}


def pictures(size: int) -> Pixels:
    """`PHOTOS`, letterboxed, and `SCENES` of ToyVOC: (6, size, size, 3)."""
    photos = [letterbox(getattr(data, name)(), size)[0] for name in PHOTOS]
    return np.stack([*photos, *toy.scenes(SCENES, size)[0]])


def _seconds(folder: Path) -> dict[str, float]:
    path = folder / "seconds.json"
    return json.loads(path.read_text()) if path.exists() else {}
