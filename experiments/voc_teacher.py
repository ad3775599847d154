"""What a teacher says of every training photo: DeepLabV3 at 513 with stride 8, and at 641.

    python experiments/voc_teacher.py

Four thousand photos: official VOC train, SBD's and COCO's with masks, VOC 2007's without; none is a
val photo. `held_apart.txt` names those to choose by: 132 with masks (100 official ones, 29 of SBD,
3 of COCO, at least five of every class) and 200 without. The latter count more. DeepLabV3's authors
trained on photos with masks, so what it knows of these is in part remembered, and a student that
forgets looks worse there than it is; the others are as new to it as any photo of a reader's.

The teacher is the mean probability of two views of a photo, on every eighth pixel of its
letterboxed 513×513. All of it is kept under `build/voc_train` (4.5 GB) for `voc_train.py`, and a
run that was killed goes on. Half an hour on two cores with bfloat16, several without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import common
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segcore._keras import keras
from segcore.data import dataset, voc
from segcore.data.augment import bilinear
from segcore.data.images import letterbox, read_image, signed
from segcore.models import blocks, checkpoint
from segcore.models.mobilenet import mobilenet_v2

CACHE = Path(__file__).resolve().parents[1] / "build" / "voc_train"
BOX, POSITIONS = 513, 65  # a photo's side, and every eighth pixel of it
VIEWS = ((513, 8), (641, 16))  # size and output stride
NOT_YET = np.float16(-1)
Floats = NDArray[np.float32]
Say = Callable[[NDArray[np.uint8]], Floats]


@dataclass(frozen=True)
class Pool:
    """All N photos: files, `masks` of the first M (M, S, S), `images` (N, S, S, 3), `contents`.

    `held` says which are held apart, (N,) bool; the teacher's probabilities (N, 65, 65, 21) are
    float16, -1 where none were computed.
    """

    files: list[tuple[Path, Path | None]]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    contents: NDArray[np.float32]
    held: NDArray[np.bool_]
    teacher: NDArray[np.float16]


def files(shared: Path) -> list[tuple[Path, Path | None]]:
    """Photo and mask of everything that may be trained on, labelled photos first."""
    sbd, coco = shared / "voc2012/trainaug", shared / "coco128"
    names = (sbd / "list.txt").read_text().split()
    more = [(sbd / f"JPEGImages/{n}.jpg", sbd / f"SegmentationClassAug/{n}.png") for n in names]
    drawn = [(p, coco / f"masks/{p.stem}.png") for p in sorted((coco / "images").glob("*.jpg"))]
    labelled = voc.file_pairs(shared / "voc2012", "train") + more + drawn
    val = {photo.stem for photo, _ in voc.file_pairs(shared / "voc2012", "val")}
    assert not val & {photo.stem for photo, _ in labelled}, "a val photo is among these"
    return labelled + [(p, None) for p in sorted((shared / "voc/unlabelled").glob("*.jpg"))]


def pool(shared: Path) -> Pool:
    """The photos at 513, from `CACHE` or read anew, with what the teacher has said so far."""
    pairs = files(shared)
    names = ("images", "masks", "contents")
    paths = {name: CACHE / f"{name}.npy" for name in names}
    if not all(path.exists() for path in paths.values()):
        CACHE.mkdir(parents=True, exist_ok=True)
        photos = dataset.read_photos(tqdm(pairs, desc="photos", unit="photo"), BOX)
        for name in names:
            np.save(paths[name], getattr(photos, name))
    arrays = {name: np.load(path, mmap_mode="r") for name, path in paths.items()}
    if len(arrays["images"]) != len(pairs):
        raise SystemExit(f"{CACHE}: made from other photos; delete it")
    apart = set((Path(__file__).parent / "held_apart.txt").read_text().split())
    held = np.array([photo.relative_to(shared).as_posix() in apart for photo, _ in pairs])
    assert held.sum() == len(apart), "photos held apart are missing"
    return Pool(pairs, held=held, teacher=_answers(len(pairs)), **arrays)


def _answers(count: int) -> NDArray[np.float16]:
    """The file of the teacher's probabilities, open for reading and writing."""
    path = CACHE / "teacher.npy"
    if path.exists():
        return np.lib.format.open_memmap(path, "r+")
    shape = (count, POSITIONS, POSITIONS, voc.NUM_CLASSES)
    made = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    made[:, 0, 0, 0] = NOT_YET
    return made


def deeplab(size: int, stride: int, arrays: checkpoint.Arrays) -> Say:
    """DeepLabV3 at its own stride: a letterboxed photo (S, S, 3) → probabilities (65, 65, 21)."""
    image = keras.Input((size, size, 3))
    x = blocks.aspp(mobilenet_v2(image, stride), 256, dilation_rates=())
    network = keras.Model(image, keras.layers.Conv2D(voc.NUM_CLASSES, 1, name="logits")(x))
    checkpoint.load_weights(network, arrays)

    def say(box: NDArray[np.uint8]) -> Floats:
        logits = np.asarray(network.predict_on_batch(signed(box)[None])[0], np.float32)
        at = np.linspace(0, len(logits) - 1, POSITIONS, dtype=np.float32)
        score = bilinear(logits, at, at, np.array(logits.shape[:2], np.float32))
        odds = np.exp(score - score.max(-1, keepdims=True))
        return odds / odds.sum(-1, keepdims=True)

    return say


def brought_to_box(found: Floats, size: int, content: Floats, wanted: Floats) -> Floats:
    """Probabilities (65, 65, 21) of a `size` view, moved to every eighth pixel of the 513 box.

    `content` and `wanted` are the photo's height and width there and here.
    """
    pixels = np.arange(POSITIONS, dtype=np.float32) * 8
    y, x = (
        ((pixels + 0.5) * content[axis] / wanted[axis] - 0.5) * (POSITIONS - 1) / (size - 1)
        for axis in (0, 1)
    )
    return bilinear(found, y, x, np.array([POSITIONS, POSITIONS], np.float32))


def main() -> None:
    chosen = common.options(__doc__)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    photos = pool(chosen.shared)
    arrays = checkpoint.read_weights(chosen.shared / common.DEEPLAB_V3)
    networks = [(size, deeplab(size, stride, arrays)) for size, stride in VIEWS]
    asked = ~photos.held | (np.arange(len(photos.files)) >= len(photos.masks))
    left = np.flatnonzero(asked & (photos.teacher[:, 0, 0, 0] < 0))
    for index in tqdm(left, unit="photo"):
        total = np.zeros((POSITIONS, POSITIONS, voc.NUM_CLASSES), np.float32)
        for size, say in networks:
            if size == BOX:
                total += say(photos.images[index])
            else:
                box, content = letterbox(read_image(photos.files[index][0]), size)
                there = np.array(content, np.float32)
                total += brought_to_box(say(box), size, there, photos.contents[index])
        photos.teacher[index] = total / len(networks)


if __name__ == "__main__":
    main()
