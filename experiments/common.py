"""What every experiment shares: its options, the files of reference, rows of times.

Rows in records give fractions (0..1), milliseconds (`p50_ms`) and `bytes`; a number that does not
exist is null. Scores that a page may quote are made by `scores`, with intervals and matrices.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segcore import metrics
from segcore.course import results
from segcore.data import voc
from segcore.export.calibration import Calibration, draw_photos
from segcore.inference import benchmark
from segcore.inference.evaluate import evaluate
from segcore.inference.segmenter import Segmenter
from segcore.models.checkpoint import Arrays

if TYPE_CHECKING:
    import keras

Value: TypeAlias = "int | float | str | Mapping[str, Value] | Sequence[Value] | None"
Row = dict[str, Value]
Pairs = list[tuple[Path, Path]]

BESIDE = Path(__file__).resolve().parents[2] / "shared"
GOOGLE = {
    "google_513": "reference/deeplabv3_mnv2_pascal_quant.tflite",
    "google_half_513": "reference/deeplabv3_mnv2_dm05_pascal_quant.tflite",
}
DEEPLAB_V3 = "weights/deeplabv3_mnv2_coco_voc.npz"  # what our network began as
DIGITS = 5  # of a fraction: a thousandth of a per cent


def parser(description: str | None, data: bool = True) -> argparse.ArgumentParser:
    """Arguments of an experiment: `--trial`, and where it reads `data` two more; add your own."""
    arguments = results.parser(description)
    if data:
        arguments.add_argument(
            "--shared", type=Path, default=BESIDE, metavar="DIR", help="photos, masks and weights"
        )
        arguments.add_argument(
            "--photos", type=int, metavar="N", help="only so many val photos; for a trial"
        )
    return arguments


def parse(arguments: argparse.ArgumentParser) -> argparse.Namespace:
    """The options given; what would fail in the end (changed code, no data) fails now."""
    options = results.parse(arguments)
    if "shared" in options and not options.shared.is_dir():
        arguments.error(f"{options.shared}: no such folder; name it with --shared")
    if "photos" in options and options.photos is not None and not options.trial:
        arguments.error("--photos is for a --trial; a record is of all photos")
    return options


def options(description: str | None, data: bool = True) -> argparse.Namespace:
    """`parse` of `parser`: for an experiment without arguments of its own."""
    return parse(parser(description, data))


def record(
    name: str, values: Mapping[str, Value], options: argparse.Namespace, seed: int | None = None
) -> Path:
    """Writes results/NAME.json, or what a trial found to a temporary file, and prints where."""
    path = results.record(name, dict(values), seed, trial=options.trial)
    print(path if options.trial else path.relative_to(path.parents[1]))
    return path


def val_pairs(options: argparse.Namespace) -> Pairs:
    """The 416 (photo, mask) of VOC's val split at hand, or as many of them as a trial wants."""
    pairs = voc.file_pairs(options.shared / "voc2012")
    return pairs[:: len(pairs) // options.photos][: options.photos] if options.photos else pairs


def official_masks(shared: Path) -> list[Path]:
    """The 2,895 official VOC 2012 masks at hand, those without their photo too, by name."""
    patterns = ("voc/masks_only/*.png", "voc2012/VOCdevkit/*/SegmentationClass/*.png")
    masks = {path.name: path for pattern in patterns for path in shared.glob(pattern)}
    return [masks[name] for name in sorted(masks)]


def calibration(shared: Path) -> Calibration:
    """A hundred of the labelled train photos, drawn with seed 0."""
    return draw_photos([photo for photo, _ in voc.file_pairs(shared / "voc2012", "train")], 100)


def google(shared: Path) -> dict[str, Path]:
    """Google's two files by name."""
    return {name: shared / file for name, file in GOOGLE.items()}


def score(segmenter: Segmenter, pairs: Pairs, name: str = "") -> NDArray[np.int64]:
    """A confusion matrix for each of `pairs`, (N, 21, 21), with a bar under way."""
    bar = tqdm(pairs, unit="photo", desc=name or segmenter.name[-30:])
    return evaluate(segmenter, bar).matrices


def score_row(matrices: NDArray[np.int64]) -> Row:
    """Photos and scores of (N, 21, 21) as they stand in records: fractions, null where none is."""
    found = metrics.summary(matrices)
    return {
        "photos": found["photos"],
        "accuracy": fraction(found["accuracy"]),
        "miou": fraction(found["miou"]),
        "classes": found["classes"],
        "iou": {name: fraction(value) for name, value in found["iou"].items()},
    }


def time_in_turn(
    runs: Mapping[str, benchmark.Run], rounds: int, reference: str
) -> list[benchmark.Timing]:
    """`benchmark.interleave` with a bar; ratios are to `reference`."""
    return benchmark.interleave(runs, rounds, reference, lambda x: tqdm(x, unit="round"))


def timing_row(timing: benchmark.Timing, threads: int | None = 1) -> Row:
    """Times as they stand in records; `threads` None: as many as the runtime takes."""
    return {
        "p50_ms": round(timing.p50, 3),
        "p90_ms": round(timing.p90, 3),
        "ratio": round(timing.ratio, 3),
        "threads": threads,
    }


def fresh(variables: Sequence[keras.Variable], start: Arrays, seed: int) -> dict[str, np.ndarray]:
    """First weights by path: those of `start` that fit, else random kernels and a neutral rest.

    Kernels are drawn as He et al. 2015 do for ReLU, scores' kernels small; batch norm passes on.
    """
    rng, weights = np.random.default_rng(seed), {}
    for v in variables:
        shape = tuple(v.shape)
        if v.path in start and start[v.path].shape == shape:
            weights[v.path] = start[v.path]
        elif v.name == "kernel":
            inputs = 9 if "depthwise" in v.path else shape[2]
            deviation = 0.01 if v.path.startswith("logits") else np.sqrt(2 / inputs)
            weights[v.path] = rng.normal(0, deviation, shape).astype(np.float32)
        else:
            one = v.name in ("gamma", "moving_variance")
            weights[v.path] = np.full(shape, one, np.float32)
    return weights


def number(value: Value, path: str = "") -> float:
    """A value of a row as a number, or the one at a dotted `path` below it.

    Raises TypeError for null and for all that is no number.
    """
    for name in path.split(".") if path else ():
        if not isinstance(value, Mapping):
            raise TypeError(f"{value!r} has no {name!r}")
        value = value[name]
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def fraction(value: float | NDArray[np.float64]) -> float | None:
    """`value` rounded as records keep it; None for NaN, which JSON lacks."""
    return None if np.isnan(value) else round(float(value), DIGITS)
