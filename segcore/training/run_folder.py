"""What a training run leaves in its folder, so that it can be killed at any moment and go on.

`run.json` says which run it is, `history.csv` has a row for each epoch, `checkpoints/` the state
after the last two epochs, `weights.npz` the result. Keras' `BackupAndRestore` is not used: it
writes the weights and the number of the epoch to two files, one after the other and in place, so
that a run killed between them goes on one epoch too early, with other weights, and says nothing.
"""

from __future__ import annotations

import csv
import json
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segcore._files import replacing, write_bytes

State = list[NDArray[Any]]
KEPT = 2  # checkpoints
DAMAGE = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)  # of zipfile and NumPy


def begin(folder: Path, identity: Mapping[str, Any], resume: bool) -> None:
    """Makes `folder` the place of the run that `identity` (JSON) describes, or finds it there.

    Raises FileExistsError where a run would be overwritten, ValueError naming what differs when
    the run there is another one.
    """
    path, identity = folder / "run.json", json.loads(json.dumps(identity))
    if path.exists():
        if not resume:
            raise FileExistsError(f"{folder}: holds a run; resume it or choose another folder")
        differing = list(differences(_read_json(path), identity))
        if differing:
            raise ValueError(f"{folder}: holds another run: {'; '.join(differing)}")
        (folder / "checkpoints").mkdir(exist_ok=True)
        return
    for name in ("weights.npz", "history.csv", "checkpoints"):
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name}: of an unknown run, for there is no run.json")
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(identity, indent=1) + "\n").encode())  # first: it names the run
    (folder / "checkpoints").mkdir()


def differences(there: Any, now: Any, key: str = "") -> Iterator[str]:
    """Where two JSON values differ, as "recipe.epochs is 3 there and 4 now"."""
    if isinstance(there, dict) and isinstance(now, dict):
        for name in dict.fromkeys([*there, *now]):
            yield from differences(there.get(name), now.get(name), f"{key}.{name}".strip("."))
    elif there != now:
        yield f"{key} is {there} there and {now} now"


def save_state(folder: Path, epoch: int, state: Sequence[NDArray[Any]]) -> None:
    """Writes the state after `epoch` epochs, whole or not at all; keeps that and the one before."""
    arrays: dict[str, Any] = {f"{index:04d}": array for index, array in enumerate(state)}
    with replacing(folder / "checkpoints" / f"epoch_{epoch:04d}.npz") as file:
        np.savez(file, **arrays)
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
            with path.open("rb") as stream, np.load(stream) as file:
                return int(path.stem.removeprefix("epoch_")), [file[key] for key in file.files]
        except DAMAGE as error:
            warnings.warn(f"{path}: damaged ({error}); the one before is taken", stacklevel=2)
    if paths:
        raise ValueError(f"{folder / 'checkpoints'}: all are damaged; begin in another folder")
    return 0, []


def checkpoints(folder: Path) -> list[Path]:
    """The files of `save_state`, the latest first."""
    return sorted((folder / "checkpoints").glob("epoch_*.npz"), reverse=True)


def history(folder: Path) -> dict[str, list[float]]:
    """The columns of `history.csv`, one value an epoch; NaN where nothing was measured."""
    rows = _rows(folder / "history.csv")
    names = [name for name in (rows[0] if rows else ()) if name != "epoch"]
    columns = {name: [_number(row[name]) for row in rows] for name in names}
    return {name: values for name, values in columns.items() if not np.isnan(values).all()}


def cut_history(folder: Path, epochs: int) -> None:
    """Drops the rows of epochs that were not saved: they will be run again."""
    path = folder / "history.csv"
    rows = [row for row in _rows(path) if None not in row.values()]
    kept = [row for row in rows if row["epoch"].isdigit() and int(row["epoch"]) < epochs]
    lines = [
        ",".join(row)
        for row in ([list(kept[0])] if kept else []) + [list(r.values()) for r in kept]
    ]
    if path.exists():
        write_bytes(path, "".join(f"{line}\r\n" for line in lines).encode())


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float:
    return float("nan") if text == "NA" else float(text)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); begin in another folder") from error
