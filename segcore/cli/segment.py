"""The commands `segcore predict` and `segcore evaluate`: masks of photos, scores of a network."""

from __future__ import annotations

import argparse
import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from segcore import metrics
from segcore.cli.common import (
    add_model_options,
    complain,
    one_line,
    open_model,
    progress,
    stems,
    without_nan,
)
from segcore.cli.outputs import add_force, check_outputs, write_png
from segcore.data import voc
from segcore.data.images import read_image, strips
from segcore.display.pictures import blend
from segcore.inference import evaluate as scoring
from segcore.inference.segmenter import Prediction, Segmenter
from segcore.metrics import MIN_PIXELS, percent

FEW = 3  # photos that need no progress bar


def add_predict(commands: Any) -> None:
    """Adds `predict` to the `commands` of an argument parser."""
    command = commands.add_parser("predict", help="segment photos: a mask and an overlay for each")
    command.add_argument("photos", nargs="+", metavar="PHOTO")
    command.add_argument("--out", default="segcore_out", metavar="DIR", help="default: %(default)s")
    add_model_options(command)
    add_force(command)
    command.set_defaults(run=predict)


def add_evaluate(commands: Any) -> None:
    """Adds `evaluate` to the `commands` of an argument parser."""
    command = commands.add_parser("evaluate", help="score a model on a VOC folder")
    command.add_argument("folder", metavar="VOC_DIR", help="e.g. VOCdevkit/VOC2012")
    command.add_argument("--split", default="val", help="list of photos; default: %(default)s")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_model_options(command)
    command.set_defaults(run=evaluate)


def predict(options: argparse.Namespace) -> int:
    """Writes NAME_mask.png and NAME_overlay.png for each photo and prints what it shows."""
    out = Path(options.out)
    files = [
        (out / f"{stem}_mask.png", out / f"{stem}_overlay.png") for stem in stems(options.photos)
    ]
    check_outputs(chain(*files), [*options.photos, options.model], options.force)
    segmenter = open_model(options)
    out.mkdir(parents=True, exist_ok=True)
    photos = list(zip(options.photos, files, strict=True))
    failed = written = 0
    for photo, targets in photos if len(photos) < FEW else progress(photos, "photo"):
        try:
            said = _segment(photo, segmenter, *targets)
        except (OSError, ValueError, MemoryError) as error:
            failed = complain(error, photo)
        else:
            tqdm.write(said)
            written += 1
    if written:
        print(f"masks and overlays are in {one_line(str(out))}/")
    return failed


def evaluate(options: argparse.Namespace) -> int:
    """Scores a model on the photos of a VOC folder and prints a table or JSON."""
    pairs = voc.file_pairs(options.folder, options.split)
    segmenter = open_model(options)
    bar = pairs if len(pairs) < FEW else progress(pairs, "photo")
    matrices, milliseconds = scoring.evaluate(segmenter, bar)
    scores = dict(metrics.summary(matrices, segmenter.class_names)) | {
        "model": segmenter.name,
        "size": segmenter.size,
        "median_ms": round(float(np.median(milliseconds)), 1),
    }
    if options.json:
        print(json.dumps(without_nan(scores), indent=1))
    else:
        print(_table(scores))
    return 0


def _segment(photo: str, segmenter: Segmenter, mask_file: Path, overlay_file: Path) -> str:
    """Writes the two files of one photo → the line that says what it shows."""
    image = read_image(photo)
    prediction = segmenter(image)
    said = _describe(photo, image, prediction)
    write_png(mask_file, voc.picture(prediction.mask))
    for rows in strips(image.shape):  # in place: a photo of 100 megapixels is not there twice
        image[rows] = blend(image[rows], voc.palette()[prediction.mask[rows]])
    del prediction
    write_png(overlay_file, Image.fromarray(image))
    return said


def _describe(photo: str, image: NDArray[np.uint8], prediction: Prediction) -> str:
    fractions = prediction.fractions()
    shares = ", ".join(f"{name} {100 * part:.1f} %" for name, part in fractions.items())
    times = (prediction.preprocess_ms, prediction.inference_ms, prediction.mask_ms)
    spent = " + ".join(f"{ms:.0f}" for ms in times)
    guess = "  (names assumed: VOC's)" if prediction.names_assumed else ""
    return f"{one_line(photo)}: {image.shape[1]}×{image.shape[0]}  {shares}{guess}  ({spent} ms)"


def _table(scores: dict[str, Any]) -> str:
    rows = [
        f"{scores['model']} at {scores['size']}, {scores['photos']} photos, native size",
        f"{'class':12} {'IoU %':>7} {'pixels':>12}",
    ]
    for name, value in scores["iou"].items():
        rows.append(f"{name:12} {percent(value):>7} {scores['pixels'][name]:12,}")
    rows += [
        f"accuracy {percent(scores['accuracy'])} %",
        f"mIoU {percent(scores['miou'])} % over {scores['classes']} classes with {MIN_PIXELS:,} "
        f"pixels or more; {percent(scores['miou_all'])} % over all {len(scores['iou'])} "
        "labelled classes",
        f"inference {scores['median_ms']:.0f} ms a photo (median)",
    ]
    return "\n".join(rows)
