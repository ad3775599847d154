"""The command `segcore predict`: masks and overlays of photos."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from segcore.cli.common import (
    add_model_options,
    complain,
    one_line,
    open_model,
    progress,
    stems,
)
from segcore.cli.outputs import add_force, check_outputs, write_png
from segcore.data import voc
from segcore.data.images import read_image, strips
from segcore.display.pictures import blend
from segcore.inference.segmenter import Prediction, Segmenter

FEW = 3  # photos that need no progress bar


def add_predict(commands: Any) -> None:
    """Adds `predict` to the `commands` of an argument parser."""
    command = commands.add_parser("predict", help="segment photos: a mask and an overlay for each")
    command.add_argument("photos", nargs="+", metavar="PHOTO")
    command.add_argument("--out", default="segcore_out", metavar="DIR", help="default: %(default)s")
    add_model_options(command)
    add_force(command)
    command.set_defaults(run=predict)


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
