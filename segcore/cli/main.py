"""The `segcore` command: predict, evaluate, download; `models` adds export and benchmark."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from segcore import metrics, shipped
from segcore._files import replacing
from segcore.cli import models as cli_models
from segcore.data import voc
from segcore.data.images import blend, read_image
from segcore.inference import evaluate as scoring
from segcore.inference.segmenter import SIZES, Prediction, Segmenter, load
from segcore.metrics import MIN_PIXELS

BAD_INPUT = 2
ADVICE = {  # what to do about the errors that the operating system names
    errno.ENOSPC: "free some space and run it again",
    errno.EACCES: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.EEXIST: "choose another folder with --out",
    errno.ENOTDIR: "choose another folder with --out",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command → exit code: 0 done, 2 bad input (one line on standard error)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (OSError, ValueError) as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("segcore: stopped", file=sys.stderr)
        return 130


def predict(options: argparse.Namespace) -> int:
    """Writes NAME_mask.png and NAME_overlay.png for each photo and prints what it shows."""
    out = Path(options.out)
    names = cli_models.stems(options.photos)
    if options.model is None:  # int8: an answer within a second, and no TensorFlow for it
        options.model = shipped.SHARP if options.size == max(SIZES) else shipped.PHONE
    segmenter = _load(options)
    out.mkdir(parents=True, exist_ok=True)
    failed = written = 0
    for photo, name in _progress(list(zip(options.photos, names, strict=True)), "photo"):
        try:
            image = read_image(photo)
            prediction = segmenter(image)
            voc.write_mask(out / f"{name}_mask.png", prediction.mask)
            _write_png(out / f"{name}_overlay.png", blend(image, voc.encode(prediction.mask)))
        except (OSError, ValueError) as error:
            failed = _complain(error)
        else:
            tqdm.write(_describe(photo, image, prediction))
            written += 1
    if written:
        print(f"masks and overlays are in {out}/")
    return failed


def evaluate(options: argparse.Namespace) -> int:
    """Scores a model on the photos of a VOC folder and prints a table or JSON."""
    pairs = voc.file_pairs(options.folder, options.split)
    segmenter = _load(options)
    confusion, milliseconds = scoring.evaluate(segmenter, _progress(pairs, "photo"))
    scores = metrics.summary(confusion) | {
        "model": segmenter.name,
        "size": segmenter.size,
        "photos": len(pairs),
        "median_ms": round(milliseconds, 1),
    }
    if options.json:
        print(json.dumps(cli_models.without_nan(scores), indent=1))
    else:
        print(_table(scores))
    return 0


def download(options: argparse.Namespace) -> int:
    """Fetches Pascal VOC 2012 and says where it is."""
    from segcore.data.download import download_voc

    print(f"Pascal VOC 2012 is in {download_voc(Path(options.to))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("segcore", description="Semantic segmentation for your pocket")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("predict", help="segment photos: a mask and an overlay for each")
    command.add_argument("photos", nargs="+", metavar="PHOTO")
    command.add_argument("--out", default="segcore_out", metavar="DIR", help="default: %(default)s")
    _add_model_options(command, "the int8 file for --size, 257 where it is free")
    command.set_defaults(run=predict)

    command = commands.add_parser("evaluate", help="score a model on a VOC folder")
    command.add_argument("folder", metavar="VOC_DIR", help="e.g. VOCdevkit/VOC2012")
    command.add_argument("--split", default="val", help="list of photos; default: %(default)s")
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _add_model_options(command, "the float network, at 513")
    command.set_defaults(run=evaluate)

    command = commands.add_parser("download", help="fetch a data set")
    command.add_argument("dataset", choices=["voc"])
    command.add_argument("--to", default=".", metavar="DIR", help="default: this folder")
    command.set_defaults(run=download)
    cli_models.add_commands(commands)
    return parser


def _add_model_options(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--model", metavar="FILE", help=f".tflite, .npz or .keras; default: {default}"
    )
    command.add_argument("--size", type=int, choices=SIZES, help="of the network's input")
    command.add_argument(
        "--threads", type=cli_models.positive, help="for .tflite; default: the runtime's choice"
    )


def _load(options: argparse.Namespace) -> Segmenter:
    """The segmenter that the options name; a person at a terminal is told what takes so long."""
    if sys.stderr.isatty() and Path(options.model or "").suffix != ".tflite":
        print("loading the network, about ten seconds ...", file=sys.stderr)
    return load(options.model, options.size, options.threads)


def _progress(items: Sequence[Any], unit: str) -> Iterable[Any]:
    """A progress bar on standard error when there is something to wait for."""
    return tqdm(items, unit=unit, disable=len(items) < 3, file=sys.stderr)


def _describe(photo: str, image: NDArray[np.uint8], prediction: Prediction) -> str:
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in prediction.shares().items())
    times = (prediction.preprocess_ms, prediction.inference_ms, prediction.mask_ms)
    spent = " + ".join(f"{ms:.0f}" for ms in times)
    return f"{photo}: {image.shape[1]}×{image.shape[0]}  {shares}  ({spent} ms)"


def _table(scores: dict[str, Any]) -> str:
    rows = [
        f"{scores['model']} at {scores['size']}, {scores['photos']} photos, native size",
        f"{'class':12} {'IoU %':>7} {'pixels':>12}",
    ]
    for name, value in scores["iou"].items():
        rows.append(f"{name:12} {value:7.1f} {scores['pixels'][name]:12,}")
    rows += [
        f"accuracy {scores['accuracy']:.1f} %",
        f"mIoU {scores['miou']:.1f} % over {scores['classes']} classes with {MIN_PIXELS:,} pixels"
        f" or more; {scores['miou_all']:.1f} % over all {len(scores['iou'])} labelled classes",
        f"inference {scores['median_ms']:.0f} ms a photo (median)",
    ]
    return "\n".join(rows)


def _write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Writes `image` whole or not at all."""
    with replacing(path) as file:
        Image.fromarray(image).save(file, format="PNG")


def _complain(error: Exception) -> int:
    """One line on standard error → the exit code for bad input."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        advice = ADVICE.get(error.errno or 0, "check the path")
        text = f"{error.filename}: {error.strerror}; {advice}"
    tqdm.write("segcore: " + " ".join(text.split()), file=sys.stderr)
    return BAD_INPUT
