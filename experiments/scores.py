"""Scores in records: matrices photo by photo in results/matrices, and rows taken from them.

A row that gives scores names its file of matrices, and tests/test_records.py takes it anew from
there. All numbers are fractions; intervals are of 95 %, by bootstrap over photos.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import common
from common import Pairs, Row, fraction
from tqdm import tqdm

from segcore import metrics
from segcore.course import results
from segcore.inference.evaluate import compare_files, evaluate
from segcore.inference.segmenter import Segmenter
from segcore.metrics import PhotoMatrices

COMMON = 20  # photos from which on a class's IoU is no longer mostly luck


def score(
    segmenter: Segmenter, pairs: Pairs, name: str = "", trimap_width: int = 0
) -> PhotoMatrices:
    """A confusion matrix for each of `pairs`, with a bar under way; `name` is that of the model."""
    bar = tqdm(pairs, unit="photo", desc=name or segmenter.name[-30:])
    found = evaluate(segmenter, bar, trimap_width=trimap_width).photos
    return replace(found, model=name or segmenter.name)


def matrices_folder(options: argparse.Namespace) -> Path:
    """Where matrices are kept: results/matrices, or runs/matrices for a trial."""
    root = results.folder()
    folder = root.parent / "runs" / "matrices" if options.trial else root / "matrices"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep(
    scored: PhotoMatrices, options: argparse.Namespace, against: PhotoMatrices | None = None
) -> Row:
    """Stores matrices as MODEL.npz → their `score_row`, which says so.

    With another network to stand `against`, the row tells the difference to it.
    """
    metrics.save_matrices(matrices_folder(options) / f"{scored.model}.npz", scored)
    row = score_row(scored) | {"matrices": scored.model}
    if against is None or against.model == scored.model:
        return row
    return row | {"difference": difference_row(against, scored)}


def score_row(scored: PhotoMatrices) -> Row:
    """Photos and scores with their 95 % intervals as they stand in records."""
    sure = metrics.score_intervals(scored.matrices, scored.class_names)
    row = common.score_row(scored.matrices) | {
        "interval": {
            "accuracy": bounds(sure["accuracy"]),
            "miou": bounds(sure["miou"]),
            "iou": {name: bounds(one) for name, one in sure["iou"].items()},
        },
    }
    if scored.trimap is not None:
        near = metrics.score_intervals(scored.trimap, scored.class_names)["miou"]
        row["trimap"] = {
            "width": scored.trimap_width,
            "miou": fraction(near.value),
            "interval": bounds(near),
        }
    return row


def difference_row(a: PhotoMatrices, b: PhotoMatrices) -> Row:
    """How much more `b` scores than `a`: paired over photos, with intervals; both named by model.

    `largest_fall` is that of a class in COMMON photos or more; null where none falls.
    """
    found, counted = metrics.score_differences(a, b), metrics.summary(b.matrices, b.class_names)
    row: Row = {
        "network": b.model,
        "against": a.model,
        "verdict": found["miou"].verdict,
        "accuracy": difference(found["accuracy"]),
        "miou": difference(found["miou"]),
        "iou": {name: difference(one) for name, one in found["iou"].items()},
    }
    if a.trimap is not None and a.trimap_width == b.trimap_width:
        near = metrics.score_differences(a.near_borders(), b.near_borders())["miou"]
        row["trimap_miou"] = difference(near)
    falls = {
        one: difference(apart)
        for one, apart in found["iou"].items()
        if counted["photos_with"][one] >= COMMON and apart.value < 0
    }
    worst = min(falls, key=lambda one: found["iou"][one].value, default="")
    return row | {"largest_fall": {"class": worst, **falls[worst]} if falls else None}


def bounds(one: metrics.Interval) -> Row:
    """The ends of an interval."""
    return {"low": fraction(one.low), "high": fraction(one.high)}


def difference(one: metrics.Interval) -> Row:
    """A difference and the ends of its interval."""
    return {"difference": fraction(one.value), **bounds(one)}


def score_file(
    path: Path, reference: Segmenter, pairs: Pairs, name: str
) -> tuple[PhotoMatrices, Row]:
    """Matrices of the .tflite at `path`; what it holds, and how far it is from `reference`."""
    held = compare_files(path, reference, tqdm(pairs, desc=path.stem, unit="photo"))
    found = PhotoMatrices(photo_names(pairs), held.pop("matrices"), model=name, size=reference.size)
    apart = held["logit_difference"]
    held["logit_difference"] = None if apart is None else round(apart, 3)
    return found, held | {"changed": fraction(held["changed"])}


def photo_names(pairs: Pairs) -> tuple[str, ...]:
    """Names of photos as matrices carry them."""
    return tuple(photo.stem for photo, _ in pairs)
