"""Recorded numbers by key: every figure that the course quotes is written and read here.

A record names the commit that made it, so it is only made from a tree without changes. Records of
the first edition (segcore 0.1.0) give per cent and "p50"; newer ones fractions and "p50_ms".
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from segcore._files import write_bytes
from segcore.inference.machine import machine, version
from segcore.metrics import PhotoMatrices, load_matrices

_PACKAGE = Path(__file__).resolve().parent.parent
_VERSIONED = ("segcore", "numpy", "pillow", "keras", "tensorflow", "jax", "ai-edge-litert")
_SOURCES = ("segcore", "experiments", "scripts", "benchmarks")  # what may change a number


class DirtyTreeError(RuntimeError):
    """A record was asked for while the code that makes it is committed nowhere."""


def folder() -> Path:
    """The folder of `NAME.json` records: the repository's, else the copy inside the wheel."""
    checkout = _PACKAGE.parent / "results"
    return checkout if (_PACKAGE.parent / "pyproject.toml").exists() else _PACKAGE / "_results"


def load(name: str) -> dict[str, Any]:
    """The whole record `name`: `{"record": provenance, "values": numbers}`.

    Raises KeyError naming the records that do exist.
    """
    path = folder() / f"{name}.json"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in folder().glob("*.json"))) or "none yet"
        raise KeyError(f"no record {name!r} in {folder().name}/; recorded: {known}")
    return json.loads(path.read_text(encoding="utf-8"))


def get(key: str) -> Any:
    """The value at a dotted `key` such as `"voc.phone.miou"`: file, then keys inside it.

    Raises KeyError naming the part of the key that is missing and what stands there instead.
    """
    name, *parts = key.split(".")
    value = load(name)["values"]
    for part in parts:
        if not isinstance(value, dict) or part not in value:
            known = ", ".join(value) if isinstance(value, dict) else repr(value)
            raise KeyError(f"{key!r}: no {part!r} there; there is: {known}")
        value = value[part]
    return value


def matrices(name: str) -> PhotoMatrices:
    """Each photo's confusion matrix behind the row that names `name` as its `matrices`.

    Raises KeyError naming those that there are.
    """
    path = folder() / "matrices" / f"{name}.npz"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.npz"))) or "none yet"
        raise KeyError(f"no matrices {name!r} in {folder().name}/matrices/; there are: {known}")
    return load_matrices(path)


def parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments of a script that records something: `--trial`, and what the script adds."""
    first = (description or "").partition("\n")[0]
    arguments = argparse.ArgumentParser(description=first)
    arguments.add_argument(
        "--trial", action="store_true", help="from changed code too; results/ stays as it is"
    )
    return arguments


def parse(arguments: argparse.ArgumentParser) -> argparse.Namespace:
    """The options given; a tree that `record` would refuse is refused now, not in three hours."""
    options = arguments.parse_args()
    if not options.trial:
        try:
            _clean_commit()
        except DirtyTreeError as error:
            arguments.error(str(error))
    return options


def record(
    name: str,
    values: dict[str, Any],
    seed: int | None = None,
    device: str | None = None,
    trial: bool = False,
) -> Path:
    """Writes `values` (numbers, lists, dicts) with their provenance to `NAME.json` → its path.

    A `trial` goes to a temporary file instead, and may come from changed code. Raises
    DirtyTreeError without a commit that holds the code, ValueError for NaN, which JSON lacks.
    """
    commit = _commit() if trial else _clean_commit()
    body = {"record": provenance(seed, device) | {"commit": commit}, "values": values}
    text = json.dumps(body, indent=1, allow_nan=False) + "\n"
    place = Path(tempfile.mkdtemp(prefix="segcore_trial_")) if trial else folder()
    return write_bytes(place / f"{name}.json", text.encode())


def provenance(seed: int | None = None, device: str | None = None) -> dict[str, Any]:
    """Where a number comes from: command, commit, versions, seed, machine and date (UTC).

    `device` names an accelerator where one was used; `threads` says how many TensorFlow was told
    to use, where it was told.
    """
    script = Path(sys.argv[0]).resolve()
    return {
        "command": " ".join(["python", *map(relative, [str(script), *sys.argv[1:]])]),
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {n: version(n) for n in _VERSIONED},
        "seed": seed,
        "machine": machine(),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "device": device or "CPU",
        "date": datetime.now(UTC).date().isoformat(),
    }


def relative(argument: str) -> str:
    """`argument` without this machine's paths: from the repository on, or the last name alone."""
    option, equals, path = argument.rpartition("=")
    root = str(_PACKAGE.parent)
    if path == root or path.startswith(root + os.sep):
        path = os.path.relpath(path, root)
    elif os.path.isabs(path):
        path = Path(path).name
    return option + equals + path


def _clean_commit() -> str:
    """The commit that holds all code of this run. Raises DirtyTreeError naming what it lacks."""
    commit, changed = _state()
    if commit.startswith("unknown"):
        raise DirtyTreeError(f"the commit is {commit}; with --trial nothing goes into results/")
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise DirtyTreeError(
            f"{changed[0][3:]}{more}: changed and not committed. Commit first, so that the record "
            "can name what made it; with --trial nothing goes into results/"
        )
    return commit


def _commit() -> str:
    """The checkout's commit, with `+` behind it when code of `_SOURCES` is committed nowhere."""
    commit, changed = _state()
    return commit + "+" * bool(changed)


def _state() -> tuple[str, list[str]]:
    """The checkout's commit, and a line of `git status` for each file of code that it lacks."""
    try:
        head = _git("rev-parse", "--short=10", "HEAD").strip()
        return head, _git("status", "--porcelain", "--", *_SOURCES).splitlines()
    except OSError:
        return "unknown: git is not installed", []
    except subprocess.CalledProcessError:
        return "unknown: not a git checkout", []


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout
