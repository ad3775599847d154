"""Silence for C++ libraries that greet on standard error; importing this costs nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_inside = 0  # blocks that are open now, in whatever thread
_kept: int | None = None  # a copy of file descriptor 2 while it leads nowhere


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """File descriptor 2 leads nowhere inside the block: TensorFlow's C++ writes there directly.

    The first block that opens silences it, the last that closes brings it back, so threads may be
    inside at once. A process that runs without standard error stays without it.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _kept
    with _lock:
        _inside += 1
        if _inside > 1:
            return
        try:
            _kept = os.dup(2)
        except OSError:  # it is closed: nothing to silence
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def _leave() -> None:
    global _inside, _kept
    with _lock:
        _inside -= 1
        if _inside == 0 and _kept is not None:
            os.dup2(_kept, 2)
            os.close(_kept)
            _kept = None
