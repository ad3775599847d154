"""What the commands share: the options of a model, progress, names of outputs, complaints."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from segcore import shipped
from segcore.inference.segmenter import Segmenter, load

T = TypeVar("T")

BAD_INPUT = 2
ADVICE = {  # what to do about the errors that the operating system names
    errno.ENOSPC: "free some space and run it again",
    errno.EACCES: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that you may write to",
    errno.EEXIST: "choose another folder with --out",
    errno.ENOTDIR: "choose another folder with --out",
}


def positive(text: str) -> int:
    """The number that an option was given; argparse complains about one below 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few; give 1 or more")
    return number


def add_model_options(command: argparse.ArgumentParser) -> None:
    """--model, --size and --threads."""
    command.add_argument(
        "--model",
        default="phone",
        metavar="NAME",
        help=f"{', '.join(shipped.NETWORKS)}, or a .tflite, .npz or .keras; default: %(default)s",
    )
    command.add_argument("--size", type=int, help="of the input, where the model leaves a choice")
    command.add_argument(
        "--threads", type=positive, help="for .tflite; default: the runtime's choice"
    )


def open_model(options: argparse.Namespace) -> Segmenter:
    """The segmenter that the options name; a person at a terminal is told what takes so long."""
    known = shipped.NETWORKS.get(options.model)
    if sys.stderr.isatty() and (known.file if known else Path(options.model)).suffix != ".tflite":
        print("loading the network, about ten seconds ...", file=sys.stderr)
    return load(options.model, options.size, options.threads)


def progress(items: Iterable[T], unit: str, name: str | None = None) -> Iterable[T]:
    """`items` with a progress bar on standard error."""
    return tqdm(items, name, unit=unit, file=sys.stderr)


def stems(files: Sequence[str]) -> list[str]:
    """A stem for each file, the later of equal ones numbered, so that no two files share one.

    Names that differ in case alone count as equal: on some disks they are.
    """
    names: dict[str, str] = {}
    for stem in (Path(file).stem for file in files):
        tries = chain([stem], (f"{stem}_{number}" for number in count(2)))
        name = next(name for name in tries if name.casefold() not in names)
        names[name.casefold()] = name
    return list(names.values())


def without_nan(scores: dict[str, T]) -> dict[str, T | None]:
    """`scores` with None for NaN, the mean over no class: JSON knows null alone."""
    return {key: None if value != value else value for key, value in scores.items()}


def complain(error: Exception) -> int:
    """One line on standard error → the exit code for bad input."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        advice = ADVICE.get(error.errno or 0, "check the path")
        text = f"{error.filename}: {error.strerror}; {advice}"
    tqdm.write("segcore: " + " ".join(text.split()), file=sys.stderr)
    return BAD_INPUT
