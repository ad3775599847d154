"""Files that appear whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write into that becomes `path` at the end of the block, or never.

    Raises OSError naming `path`, for instance when the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        kept = f"{error.strerror}; what was saved before is still there"
        raise OSError(error.errno, kept, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` whole or not at all → the path."""
    with replacing(path) as file:
        file.write(content)
    return Path(path)
