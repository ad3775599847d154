"""Files that appear whole or not at all, arrays in them, and silence on file descriptor 2."""

import errno
import io
import os
import secrets
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from segcore._errors import damage_named

_lock = Lock()
_inside = 0  # blocks of `quiet_stderr` that are open now, in whatever thread
_kept: int | None = None  # a copy of file descriptor 2 while it leads nowhere


def read_arrays(
    path: str | Path, names: Collection[str] = (), most_bytes: float = np.inf
) -> dict[str, NDArray]:
    """The arrays of an .npz, or of these the `names`, with all checksums looked at.

    Raises FileNotFoundError, or ValueError for a damaged file and for more than `most_bytes`.
    """
    with damage_named(path, "not a readable .npz"), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = {key: info for key, info in members.items() if not names or key in names}
        if (total := sum(info.file_size for info in chosen.values())) > most_bytes:
            raise ValueError(f"{total / 2**30:.1f} GiB; at most {most_bytes / 2**30:.0f} GiB")
        return {
            key: np.lib.format.read_array(io.BytesIO(archive.read(info)), allow_pickle=False)
            for key, info in chosen.items()
        }


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


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """File descriptor 2 leads nowhere inside the block: TensorFlow's C++ writes there directly.

    The first block that opens silences it, the last that closes brings it back, so threads may be
    inside at once. A process that runs without standard error stays without it.
    """
    global _inside, _kept
    with _lock:
        if _inside == 0:
            _kept = _silence()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _kept is not None:
                os.dup2(_kept, 2)
                os.close(_kept)
                _kept = None


def _silence() -> int | None:
    """Leads file descriptor 2 nowhere → a copy of it, None where it is closed."""
    with open(os.devnull, "wb") as nowhere, suppress(OSError):
        if nowhere.fileno() != 2:
            kept = os.dup(2)
            os.dup2(nowhere.fileno(), 2)
            return kept
    return None
