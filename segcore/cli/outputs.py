"""What a command may write: never over what it reads, nor over what segcore did not write.

Its PNGs say `Software: segcore` in a text chunk, its JSON begins with `made_by`, its .npz holds
matrices. A .tflite is segcore's own as long as the contract.json beside it lists its checksum.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from segcore._files import replacing, write_bytes
from segcore.metrics import is_matrices

CONTRACT = "contract.json"
_PNG, _PNG_MARK = b"\x89PNG\r\n\x1a\n", b"tEXtSoftware\0segcore"
_JSON_MARK = b'{\n "made_by": "segcore"'


def add_force(command: argparse.ArgumentParser) -> None:
    """--force, and what is meant by a file of one's own."""
    command.add_argument(
        "--force",
        action="store_true",
        help="replace files that segcore did not write; its own (PNGs that say Software: segcore, "
        "JSON with made_by, .npz of --save, .tflite files that contract.json lists) it replaces "
        "unasked, and what it reads it never replaces",
    )


def check_outputs(outputs: Iterable[Path], inputs: Iterable[str | Path], force: bool) -> None:
    """Raises ValueError naming the first output that is an input or not to be replaced.

    An input may go by another name: a link, an absolute path, other capitals.
    """
    read = {_identity(Path(path)) for path in inputs}
    for path in outputs:
        if _identity(path) in read:
            raise ValueError(f"{path}: is an input, too; choose another place for the output")
        if not os.path.lexists(path):
            continue
        if path.exists() and not path.is_file():
            raise ValueError(f"{path}: is there and is not a file; choose another place")
        if not (force or is_own(path)):
            raise ValueError(
                f"{path}: segcore did not write this file; choose another place for the output, "
                "or say --force to replace it"
            )


def is_own(path: Path) -> bool:
    """Whether the file at `path` bears segcore's mark, or its contract.json vouches for it."""
    if not path.exists():
        return False  # a link to nowhere
    if path.suffix == ".tflite":
        return checksums(path.parent).get(path.name) == checksum(path)
    if path.suffix == ".npz":
        return is_matrices(path)
    with path.open("rb") as file:
        start = file.read(4096)
    return start.startswith(_JSON_MARK) or (start.startswith(_PNG) and _PNG_MARK in start)


def checksums(folder: Path, files: Iterable[Path] = ()) -> dict[str, str]:
    """Checksums by name: those in `folder`'s contract.json, and those of `files`."""
    contract, known = folder / CONTRACT, {}
    if contract.is_file() and is_own(contract):
        try:
            known = json.loads(contract.read_text(encoding="utf-8")).get("sha256", {})
        except ValueError:  # edited by hand: it vouches for nothing
            known = {}
    return known | {path.name: checksum(path) for path in files}


def write_png(path: Path, image: Image.Image) -> None:
    """Writes `image` with segcore's mark, whole or not at all."""
    mark = PngInfo()
    mark.add_text("Software", "segcore")
    with replacing(path) as file:
        image.save(file, "PNG", pnginfo=mark)


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Writes `record` with segcore's mark, whole or not at all."""
    marked = {"made_by": "segcore", **record}
    write_bytes(path, (json.dumps(marked, indent=1) + "\n").encode())


def _identity(path: Path) -> object:
    """What two names of one file have in common, be it there or not."""
    try:
        status = path.stat()
    except OSError:
        return os.path.realpath(path).casefold()
    return status.st_dev, status.st_ino


def checksum(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
