"""The command `segcore evaluate`: what a network scores, how sure that is, and against another."""

from __future__ import annotations

import argparse
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segcore import metrics, shipped
from segcore.cli.common import add_model_options, open_model, positive, progress, without_nan
from segcore.cli.outputs import add_force, check_outputs, checksum
from segcore.data import voc
from segcore.inference import evaluate as scoring
from segcore.inference.segmenter import Segmenter
from segcore.metrics import Interval, PhotoMatrices, ScoreIntervals, percent

FEW = 3  # photos that need no progress bar
TRUSTED = 10  # photos from which on a percentile bootstrap is not much too narrow
Pairs = list[tuple[Path, Path]]


class Comparison(NamedTuple):
    """The differences to another network, the same within the trimap, and the other's name."""

    differences: ScoreIntervals
    trimap: ScoreIntervals | None
    name: str


def add_evaluate(commands: Any) -> None:
    """Adds `evaluate` to the `commands` of an argument parser."""
    command = commands.add_parser(
        "evaluate",
        help="score a model on a VOC folder",
        description="Accuracy, mIoU and the IoU of each class at native size, each with a 95 % "
        "interval by bootstrap over photos.",
    )
    command.add_argument("folder", metavar="VOC_DIR", help="e.g. VOCdevkit/VOC2012")
    command.add_argument("--split", default="val", help="list of photos; default: %(default)s")
    command.add_argument(
        "--trimap",
        type=positive,
        default=0,
        metavar="PIXELS",
        help="score the pixels at most so far from a labelled border, too",
    )
    command.add_argument("--save", metavar="FILE.npz", help="keep every photo's confusion matrix")
    command.add_argument(
        "--compare",
        metavar="OTHER",
        help="the difference to another network on the same photos: a file of --save, or a model",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_model_options(command)
    add_force(command)
    command.set_defaults(run=evaluate)


def evaluate(options: argparse.Namespace) -> int:
    """Scores a model on the photos of a VOC folder, compares it, and prints a table or JSON."""
    _check_save(options)
    pairs = voc.file_pairs(options.folder, options.split)
    other = _open_other(options)
    segmenter = open_model(options)
    if isinstance(other, PhotoMatrices):
        _check_pair(options, other, [photo.stem for photo, _ in pairs], segmenter.class_names)
    found, milliseconds = _score(segmenter, pairs, options.trimap)
    if options.save:
        sha256 = checksum(_file(options.model, options.size))
        metrics.save_matrices(options.save, replace(found, sha256=sha256))
    compared = None
    if other is not None:
        if isinstance(other, Segmenter):
            other, _ = _score(other, pairs, options.trimap)
        compared = _compare(other, found, options)
    median = round(float(np.median(milliseconds)), 1)
    print(_json(found, compared, median) if options.json else _table(found, compared, median))
    return 0


def _check_save(options: argparse.Namespace) -> None:
    """Refuses a --save that is no .npz, or that would replace what is not segcore's own."""
    if options.save is None:
        return
    if Path(options.save).suffix != ".npz":
        raise ValueError(f"{options.save}: --save writes a .npz; end its name so")
    read = [_file(name, options.size) for name in (options.model, options.compare) if name]
    check_outputs([Path(options.save)], read, options.force)


def _open_other(options: argparse.Namespace) -> PhotoMatrices | Segmenter | None:
    """What --compare names: matrices of a file, or a model at its own size."""
    if options.compare is None:
        return None
    path = Path(options.compare)
    weights = zipfile.is_zipfile(path) and not metrics.is_matrices(path)
    if options.compare in shipped.NETWORKS or path.suffix != ".npz" or weights:
        return open_model(argparse.Namespace(model=options.compare, size=None, threads=None))
    return metrics.load_matrices(path)


def _check_pair(
    options: argparse.Namespace, other: PhotoMatrices, photos: list[str], names: tuple[str, ...]
) -> None:
    """Raises what a comparison would in the end, before the photos are scored."""
    try:
        metrics.check_pair(photos, names, other)
    except ValueError as error:
        raise ValueError(f"{options.compare}: {error}") from error
    if options.trimap and other.trimap_width != options.trimap:
        kept = f"one of {other.trimap_width} pixels" if other.trimap_width else "none"
        raise ValueError(
            f"{options.compare}: has no trimap of {options.trimap} pixels, but {kept}; "
            "score both with the same --trimap"
        )


def _score(
    segmenter: Segmenter, pairs: Pairs, trimap_width: int
) -> tuple[PhotoMatrices, NDArray[np.float64]]:
    """Matrices and milliseconds, with a bar where it takes a while."""
    bar = pairs if len(pairs) < FEW else progress(pairs, "photo", segmenter.name[-30:])
    found = scoring.evaluate(segmenter, bar, trimap_width=trimap_width)
    return found.photos, found.inference_ms


def _compare(a: PhotoMatrices, b: PhotoMatrices, options: argparse.Namespace) -> Comparison:
    """How much more `b` scores than `a`."""
    try:
        near = None
        if options.trimap:
            near = metrics.score_differences(a.near_borders(), b.near_borders())
        return Comparison(metrics.score_differences(a, b), near, _name(a))
    except ValueError as error:
        raise ValueError(f"{options.compare}: {error}") from error


def _table(found: PhotoMatrices, compared: Comparison | None, median_ms: float) -> str:
    """Scores with intervals and photo counts; in a comparison, the differences below."""
    scores = metrics.summary(found.matrices, found.class_names)
    counted = f"{len(found.photos)} photos, {scores['classes']} classes labelled, native size"
    head = f"{_name(found)}, {counted}; 95 % intervals over photos"
    rows = [head, f"{'%':12} {'score':>6} {'interval':>13} {'photos':>7}"]
    intervals = metrics.score_intervals(found.matrices, found.class_names)
    counts = scores["photos_with"] | dict.fromkeys(("accuracy", "mIoU"), len(found.photos))
    rows += [f"{_row(name, one)} {counts[name]:7,}" for name, one in _lines(intervals)]
    if found.trimap is not None:
        near = metrics.score_intervals(found.trimap, found.class_names)["miou"]
        rows.append(f"{_row(f'trimap {found.trimap_width}', near)} {len(found.photos):7,}")
    if rare := [name for name, number in scores["photos_with"].items() if number < TRUSTED]:
        rows.append(f"in fewer than {TRUSTED} photos, intervals too narrow: {', '.join(rare)}")
    rows.append(f"inference {median_ms:.0f} ms a photo (median)")
    if compared:
        rows += ["", f"against {compared.name}, on the same photos"]
        rows += [_row(name, one, sign="+") for name, one in _lines(compared.differences)]
        if compared.trimap:
            rows.append(_row(f"trimap {found.trimap_width}", compared.trimap["miou"], sign="+"))
        rows.append(_sentence(_name(found), compared))
    return "\n".join(rows)


def _lines(intervals: ScoreIntervals) -> list[tuple[str, Interval]]:
    """The rows of a table: classes, then accuracy and mIoU."""
    means = [("accuracy", intervals["accuracy"]), ("mIoU", intervals["miou"])]
    return [*intervals["iou"].items(), *means]


def _row(name: str, one: Interval, sign: str = "") -> str:
    value, low, high = (f"{100 * part:{sign}.1f}" for part in one)
    return f"{name:12} {value:>6} {f'{low} to {high}':>14}"


def _sentence(name: str, compared: Comparison) -> str:
    """What the interval of the mIoU difference allows to say."""
    difference = compared.differences["miou"]
    bounds = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    if difference.excludes_zero:
        points = percent(abs(difference.value))
        return (
            f"{name} is {difference.verdict} than {compared.name} by {points} points of mIoU: "
            f"the interval, {bounds}, excludes 0."
        )
    return (
        f"These photos do not tell {name} and {compared.name} apart: the interval of the mIoU "
        f"difference, {bounds}, holds 0."
    )


def _json(found: PhotoMatrices, compared: Comparison | None, median_ms: float) -> str:
    """The table's numbers, all fractions, as JSON."""
    scores: dict[str, Any] = dict(metrics.summary(found.matrices, found.class_names))
    scores["intervals"] = _bounds(metrics.score_intervals(found.matrices, found.class_names))
    if found.trimap is not None:
        near = metrics.score_intervals(found.trimap, found.class_names)["miou"]
        scores["trimap"] = {"width": found.trimap_width, "miou": near._asdict()}
    scores |= {"model": found.model, "size": found.size, "median_ms": median_ms}
    if compared:
        difference = compared.differences["miou"]
        scores["compared"] = {
            "with": compared.name,
            "verdict": difference.verdict,
            "differences": _bounds(compared.differences),
        }
        if compared.trimap:
            scores["compared"]["trimap_miou"] = compared.trimap["miou"]._asdict()
    return json.dumps(without_nan(scores), indent=1)


def _bounds(intervals: ScoreIntervals) -> dict[str, Any]:
    """`intervals` as plain dictionaries."""
    by_class = {name: one._asdict() for name, one in intervals["iou"].items()}
    means = {name: intervals[name]._asdict() for name in ("accuracy", "miou")}
    return {**means, "iou": by_class}


def _name(found: PhotoMatrices) -> str:
    return f"{found.model} at {found.size}"


def _file(model: str, size: int | None) -> Path:
    """The file of a shipped network's name for `size`, or the file itself."""
    return shipped.NETWORKS[model].file_for(size) if model in shipped.NETWORKS else Path(model)
