"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write into that becomes `path` at the end of the block, or never.

    It is written under a name that nobody else has, in the same folder: two runs do not meet.
    Raises OSError naming `path`, for instance when the disk is full.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # the name of /dev/null is not to be taken away
        raise FileExistsError(errno.EEXIST, "This is not a file", str(path))
    temporary = path.with_name(f".segcore-{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        kept = "; what was saved before is still there" if path.exists() else ""
        raise OSError(error.errno, f"{error.strerror or error}{kept}", str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` whole or not at all → the path."""
    with replacing(path) as file:
        file.write(content)
    return Path(path)
