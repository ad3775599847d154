"""What the commands share: the options of a model, progress, names of outputs, complaints."""

import argparse
import errno
import sys
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from segcore import shipped
from segcore.export.interpreter import MOST_THREADS
from segcore.inference.segmenter import Segmenter, load

T = TypeVar("T")

BAD_INPUT = 2
SMALLEST, LARGEST = 33, 2049  # sides of an input
ADVICE = {  # what to do about the errors that the operating system names
    errno.ENOSPC: "free some space and run it again",
    errno.EACCES: "check its permissions, or choose another place",
    errno.EROFS: "choose a folder that you may write to",
    errno.EEXIST: "choose another folder with --out",
    errno.ENOTDIR: "choose another folder with --out",
}


def positive(text: str) -> int:
    """The number that an option was given; argparse complains about one below 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few; give 1 or more")
    return number


def thread_count(text: str) -> int:
    """The number that --threads was given; argparse complains about one below 1 or above 256."""
    if not 1 <= (number := int(text)) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{number} is not 1 to {MOST_THREADS}")
    return number


def input_size(text: str) -> int:
    """The number that --size was given; argparse complains about one that is not 16k+1."""
    if not SMALLEST <= (number := int(text)) <= LARGEST or number % 16 != 1:
        wanted = f"16k+1 from {SMALLEST} to {LARGEST}, e.g. 257 or 513"
        raise argparse.ArgumentTypeError(f"size must be {wanted}, not {number}")
    return number


def add_model_options(
    command: argparse.ArgumentParser, files: str = "a .tflite, .npz or .keras", threads: bool = True
) -> None:
    """--model, whose `files` may be other than shipped ones, --size and --threads."""
    names = f"{', '.join(shipped.NETWORKS)}, or {files}; default: %(default)s"
    command.add_argument("--model", default="phone", metavar="NAME", help=names)
    command.add_argument("--size", type=input_size, help="of its input, where there is a choice")
    if threads:
        command.add_argument(
            "--threads", type=thread_count, help="for .tflite; default: the runtime's choice"
        )


def open_model(options: argparse.Namespace) -> Segmenter:
    """The segmenter that the options name; a person at a terminal is told what takes so long."""
    if sys.stderr.isatty() and shipped.file_of(options.model).suffix != ".tflite":
        print("loading the network, about ten seconds ...", file=sys.stderr)
    segmenter = load(options.model, options.size, options.threads)
    if segmenter.names_assumed:
        note(f"{options.model} does not name its classes; taken for VOC's")
    return segmenter


def progress(items: Iterable[T], unit: str, name: str | None = None) -> Iterable[T]:
    """`items` with a progress bar on standard error."""
    return tqdm(items, name, unit=unit)


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


def without_nan(value: Any) -> Any:
    """`value` with None for every NaN in it, the mean over no class: JSON knows null alone."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    return None if value != value else value


def complain(error: Exception, name: str = "") -> int:
    """One line on standard error, about the file `name` where memory ran out → the exit code."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        advice = ADVICE.get(error.errno or 0, "check the path")
        text = f"{error.filename}: {error.strerror}; {advice}"
    if isinstance(error, MemoryError | RecursionError):
        found = f"{type(error).__name__} {error}".strip()
        text = f"{name or 'this'} needs more memory than there is ({found}); choose a smaller one"
    note(text)
    return BAD_INPUT


def note(text: str) -> None:
    """Writes `text` in one line to standard error, apart from a progress bar."""
    tqdm.write(f"segcore: {one_line(text)}", file=sys.stderr)


def one_line(text: str) -> str:
    r"""`text` without line breaks, and with what cannot be printed as an escape such as \x1b."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
