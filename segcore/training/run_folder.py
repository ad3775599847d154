"""What a training run leaves in its folder, so that it can be killed at any moment and go on.

`run.json` says which run it is, `history.csv` has a row for each epoch, `checkpoints/` the state
after the last two epochs, `weights.npz` the result. Keras' `BackupAndRestore` is not used: it
writes the weights and the number of the epoch to two files, one after the other and in place, so
that a run killed between them goes on one epoch too early, with other weights, and says nothing.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore._errors import damage_named
from segcore._files import read_arrays, replacing, write_bytes

State = list[NDArray[Any]]
KEPT = 2  # checkpoints


def begin(folder: Path, identity: Mapping[str, Any], resume: bool) -> None:
    """Makes `folder` the place of the run that `identity` (JSON) describes, or finds it there.

    Raises FileExistsError where a run would be overwritten, ValueError naming what differs when
    the run there is another one.
    """
    path, identity = folder / "run.json", json.loads(json.dumps(identity))
    if path.exists():
        if not resume:
            raise FileExistsError(f"{folder}: holds a run; resume it or choose another folder")
        with damage_named(path, "damaged; begin in another folder"):
            there = json.loads(path.read_text())
        if differing := list(differences(there, identity)):
            raise ValueError(f"{folder}: holds another run: {'; '.join(differing)}")
    else:
        for name in ("weights.npz", "history.csv", "checkpoints"):
            if (folder / name).exists():
                raise FileExistsError(f"{folder / name}: of an unknown run, there is no run.json")
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, (json.dumps(identity, indent=1) + "\n").encode())  # it names the run
    (folder / "checkpoints").mkdir(exist_ok=True)


def differences(there: Any, now: Any, key: str = "") -> Iterator[str]:
    """Where two JSON values differ, as "recipe.epochs is 3 there and 4 now"."""
    if isinstance(there, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*there, *now]):
            yield from differences(there.get(name), now.get(name), f"{key}.{name}".strip("."))
    elif there != now:
        yield f"{key} is {there} there and {now} now"


def save_state(folder: Path, epoch: int, state: Sequence[NDArray[Any]]) -> None:
    """Writes the state after `epoch` epochs, whole or not at all; keeps that and the one before."""
    with replacing(folder / "checkpoints" / f"epoch_{epoch:04d}.npz") as file:
        np.savez(file, *state)
    for path in checkpoints(folder)[KEPT:]:
        path.unlink()


def load_state(folder: Path) -> tuple[int, State]:
    """The last good state and its number of epochs; (0, []) when none was written yet.

    A damaged checkpoint is named in a warning and the one before it is taken. Raises ValueError
    when all are damaged.
    """
    paths = checkpoints(folder)
    for path in paths:
        try:
            return int(path.stem.removeprefix("epoch_")), list(read_arrays(path).values())
        except ValueError as error:
            warnings.warn(f"{error}; the one before is taken", stacklevel=2)
    if paths:
        raise ValueError(f"{folder / 'checkpoints'}: all are damaged; begin in another folder")
    return 0, []


def checkpoints(folder: Path) -> list[Path]:
    """The files of `save_state`, the latest first."""
    return sorted((folder / "checkpoints").glob("epoch_*.npz"), reverse=True)


def history(folder: Path) -> dict[str, list[float]]:
    """The columns of `history.csv`, one value an epoch, without those of NaN alone."""
    table = np.atleast_1d(np.genfromtxt(folder / "history.csv", delimiter=",", names=True))
    names = [name for name in table.dtype.names or () if name != "epoch"]
    return {name: table[name].tolist() for name in names if not np.isnan(table[name]).all()}


def cut_history(folder: Path, epochs: int) -> None:
    """Drops the rows of epochs that were not saved: they will be run again."""
    path = folder / "history.csv"
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        write_bytes(path, b"".join(lines[: epochs + 1 if epochs else 0]))
