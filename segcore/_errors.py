"""One sentence for each kind of error: wrong arguments, damaged files, files that stay nameless."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DAMAGE = (  # what Pillow, NumPy, zipfile, h5py, Keras and flatbuffers raise for a damaged file
    OSError, SyntaxError, EOFError, ValueError, TypeError, AttributeError, AssertionError,
    LookupError, ArithmeticError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@contextmanager
def naming(path: object) -> Iterator[None]:
    """OSErrors in the block that name no file, as that of a full disk does, name `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def damage_named(name: object, what: str) -> Iterator[None]:
    """Around a foreign reader and nothing else: its errors become ValueErrors "`name`: `what`"."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (*DAMAGE, MemoryError) as error:  # the second for a size that is not true
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{name}: {what} ({reason})") from error


def check(argument: str, value: Any, fine: object, wanted: str) -> None:
    """ValueError "`argument` must be `wanted`, not `value`" unless that is `fine`."""
    if not fine:
        found = f"{value.dtype} {value.shape}" if getattr(value, "ndim", 0) else repr(value)[:80]
        raise ValueError(f"{argument} must be {wanted}, not {found}")
