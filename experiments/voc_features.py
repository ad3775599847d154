"""What a frozen encoder sees of VOC's photos: computed once, kept on disk, for training heads.

Shared by voc_optimizers.py and voc_finetune.py. The encoder is MobileNetV2 as ImageNet left it. Its
features are kept in float16 under build/voc_features, those of the train photos a second time with
the photos mirrored: for 509 train and 416 val photos 1.3 GB in the course paper's wiring and 2.0 GB
in ours. A head is trained and judged at its own resolution, every fourth pixel.
"""

from __future__ import annotations

import argparse
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import common
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.data import dataset, voc
from segcore.data.images import signed
from segcore.inference.segmenter import Segmenter, wrap
from segcore.models import blocks, checkpoint, deeplab
from segcore.training.batch_norm import layers_of
from segcore.training.batches import Batches

CACHE = Path(__file__).resolve().parents[1] / "build" / "voc_features"
IMAGENET = common.BESIDE / "weights" / "mobilenet_v2_imagenet.npz"
FILTERS = 96  # of the head's convolutions; 256 in the networks that ship
MOMENTUM = 0.95  # of the head's batch norm: a run has a thousand steps
STEP = 4  # pixels between two of the head's scores
JUDGED = 16  # photos scored at a time
Pixels = TypeVar("Pixels", bound=np.generic)


@dataclass(frozen=True)
class Wiring:
    """A network's `size` and `config`; its scores stand on every fourth pixel from `first` on."""

    size: int
    config: deeplab.DeepLabConfig
    first: int


WIRINGS = {
    "paper": Wiring(224, deeplab.PAPER, 2),  # 7×7×320 joins 56×56×144; scores lie between pixels
    "ours": Wiring(257, deeplab.DeepLabConfig(), 0),  # 17×17×320 joins 65×65×144
}


@dataclass(frozen=True)
class Features:
    """Of N photos, and where there are 2 N of all arrays, of the same photos mirrored behind them.

    `deep` (h, h, 320) and `low` (g, g, 144) each, float16; `labels` (g, g) uint8; `source` is a
    checksum of what they were made from.
    """

    pairs: common.Pairs
    deep: NDArray[np.float16]
    low: NDArray[np.float16]
    labels: NDArray[np.uint8]
    source: int


@dataclass(frozen=True)
class Views:
    """A batch of features, half of them mirrored where `flips`: the `change` of `Batches`."""

    source: int
    flips: bool
    features: Features = field(repr=False)

    def __call__(self, rng: np.random.Generator, chosen: NDArray[np.intp]) -> tuple:
        """Both inputs of the head, float32, and the labels of the photos `chosen` (B,)."""
        f = self.features
        rows = chosen + len(f.pairs) * rng.integers(0, 2, len(chosen)) if self.flips else chosen
        return (f.deep[rows].astype(np.float32), f.low[rows].astype(np.float32)), f.labels[rows]


@dataclass(frozen=True)
class Bench:
    """One wiring with its data: `head` and `segmenter` share the weights of `network`.

    `held` (N,) bool says which train photos are held apart to choose by.
    """

    name: str
    network: keras.Model
    head: keras.Model
    segmenter: Segmenter
    train: Features
    val: Features
    held: NDArray[np.bool_]

    @property
    def wiring(self) -> Wiring:
        """Its size and configuration."""
        return WIRINGS[self.name]

    def batches(self, rows: NDArray[np.intp], size: int, seed: int) -> Batches:
        """Train photos to learn from, in batches of `size`, each as often mirrored as not."""
        return Batches((rows,), size, seed, Views(self.train.source, True, self.train))

    def judged(self, features: Features, rows: NDArray[np.intp]) -> Batches:
        """Photos to be scored by, all of them, as they are."""
        size = min(JUDGED, len(rows))
        return Batches((rows,), size, change=Views(features.source, False, features))


def facts(bench: Bench) -> common.Row:
    """What a reader needs to build the same network and the same data elsewhere."""
    size, config = bench.wiring.size, bench.wiring.config
    return {
        "size": size,
        "output_stride": config.output_stride,
        "aligned": config.aligned,
        "dilation_rates": deeplab.dilation_rates(size, config.output_stride),
        "filters": FILTERS,
        "parameters": {"head": bench.head.count_params(), "all": bench.network.count_params()},
        "batch_norm": {"momentum": MOMENTUM, "epsilon": blocks.BN_EPSILON},
        "photos": {
            "train": len(bench.held),
            "held_apart": int(bench.held.sum()),
            "val": len(bench.val.pairs),
        },
        "feature_bytes": sum(
            array.nbytes for one in (bench.train, bench.val) for array in (one.deep, one.low)
        ),
    }


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments of the experiments on these features."""
    arguments = common.parser(description, data=False)
    arguments.add_argument(
        "--voc", type=Path, default=common.BESIDE / "voc2012", metavar="DIR",
        help="a VOC 2012 folder, such as `segcore download voc` makes",
    )  # fmt: skip
    arguments.add_argument(
        "--start", type=Path, metavar="FILE", help="ImageNet weights; else Keras' download"
    )
    arguments.add_argument(
        "--photos", type=int, metavar="N", help="only so many of a split; for a trial"
    )
    return arguments


def bench(name: str, options: argparse.Namespace) -> Bench:
    """The wiring `name` with the features of all photos, read or computed."""
    wiring, arrays = WIRINGS[name], imagenet(options.start)
    network = deeplab.deeplab_v3_plus(wiring.size, filters=FILTERS, config=wiring.config)
    encoder, head = deeplab.split(scores_of(network))
    restore(encoder, arrays)
    encoder.compile(jit_compile=False)
    for norm in layers_of(head):
        norm.momentum = MOMENTUM
    train, val = (voc.file_pairs(options.voc, split) for split in ("train", "val"))
    if options.photos:
        N = options.photos
        train, val = (pairs[:: max(len(pairs) // N, 1)][:N] for pairs in (train, val))
    return Bench(
        name,
        network,
        head,
        wrap(network, name, voc.CLASSES),
        features(name, train, encoder, mirror=True),
        features(name, val, encoder, mirror=False),
        held_apart(train),
    )


def imagenet(start: Path | None) -> checkpoint.Arrays:
    """MobileNetV2's weights: of `start`, of the file at hand, or of Keras' download."""
    if start is None and not IMAGENET.exists():
        return checkpoint.arrays_of(keras.applications.MobileNetV2(include_top=False))
    return checkpoint.read_weights(start or IMAGENET)


def scores_of(network: keras.Model) -> keras.Model:
    """`network` up to the scores at every fourth pixel: four times quicker than with all pixels."""
    return keras.Model(network.input, network.get_layer("logits").output)


def restore(encoder: keras.Model, arrays: checkpoint.Arrays) -> None:
    """Gives `encoder` its ImageNet weights."""
    checkpoint.load_weights(encoder, {key: arrays[key] for key in checkpoint.variables_of(encoder)})


def reset(head: keras.Model, seed: int) -> None:
    """Gives `head` fresh weights."""
    first = common.fresh(head.variables, {}, seed)
    for variable in head.variables:
        variable.assign(first[variable.path])


def held_apart(pairs: common.Pairs) -> NDArray[np.bool_]:
    """Which of `pairs` held_apart.txt lists; every fifth where it lists none of them."""
    names = (Path(__file__).parent / "held_apart.txt").read_text().split()
    held = np.isin([photo.stem for photo, _ in pairs], [Path(name).stem for name in names])
    return held if held.any() else np.arange(len(pairs)) % 5 == 0


def features(name: str, pairs: common.Pairs, encoder: keras.Model, mirror: bool) -> Features:
    """What `encoder` says of `pairs`, from `CACHE` or computed now."""
    sums = {
        key: zlib.crc32(array.tobytes()) for key, array in checkpoint.arrays_of(encoder).items()
    }
    made_from = {"photos": [photo.stem for photo, _ in pairs], "encoder": sums}
    folder = CACHE / name / f"{'train' if mirror else 'val'}_{len(pairs)}"
    if not (folder / "made_from.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        compute(folder, WIRINGS[name], pairs, encoder, mirror)
        write_bytes(folder / "made_from.json", json.dumps(made_from).encode())  # last: all is there
    if json.loads((folder / "made_from.json").read_text()) != made_from:
        raise SystemExit(f"{folder}: made from other photos or weights; delete it")
    deep, low, labels = (np.load(folder / f"{n}.npy", "r") for n in ("deep", "low", "labels"))
    return Features(pairs, deep, low, labels, zlib.crc32(json.dumps(made_from).encode()))


def compute(
    folder: Path, wiring: Wiring, pairs: common.Pairs, encoder: keras.Model, mirror: bool
) -> None:
    """Writes the three files of `features`."""
    photos = dataset.read_photos(pairs, wiring.size)
    ways = [(photos.images, photos.masks)]
    if mirror:
        ways.append(
            (mirrored(photos.images, photos.contents), mirrored(photos.masks, photos.contents))
        )
    N, first = len(photos), wiring.first
    files = [
        np.lib.format.open_memmap(
            folder / f"{name}.npy", "w+", np.float16, (len(ways) * N, *output.shape[1:])
        )
        for name, output in zip(("deep", "low"), encoder.outputs, strict=True)
    ]
    for number, (images, _) in enumerate(ways):
        for i in tqdm(
            range(0, N, JUDGED), desc=f"{folder.parent.name}/{folder.name}", unit="batch"
        ):
            found = encoder.predict_on_batch(signed(images[i : i + JUDGED]))
            for file, values in zip(files, found, strict=True):
                file[number * N + i :][: len(values)] = values
    labels = [masks[:, first::STEP, first::STEP] for _, masks in ways]
    np.save(folder / "labels.npy", np.concatenate(labels))


def mirrored(arrays: NDArray[Pixels], contents: NDArray[np.float32]) -> NDArray[Pixels]:
    """Letterboxed photos (N, S, S, 3) or masks (N, S, S) with each photo turned left to right.

    It stays at the top left: `contents` (N, 2) are heights and widths without the padding.
    """
    turned = arrays.copy()
    for array, width in zip(turned, contents[:, 1].astype(int), strict=True):
        array[:, :width] = array[:, :width][:, ::-1].copy()
    return turned
