"""Recorded numbers by key: every figure that the course quotes is written and read here."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from segcore._files import replacing

_PACKAGE = Path(__file__).resolve().parent.parent
_VERSIONED = ("segcore", "numpy", "pillow", "keras", "tensorflow", "jax", "ai-edge-litert")


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
    """The value at a dotted `key` such as `"voc40.shipped_513.miou"`: file, then keys inside it.

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


def provenance(seed: int | None = None, device: str | None = None) -> dict[str, Any]:
    """Where a number comes from: command, commit, versions, seed, device and date (UTC)."""
    return {
        "command": " ".join(["python", *map(relative, sys.argv)]),
        "commit": _commit(),
        "versions": _versions(),
        "seed": seed,
        "device": device or f"CPU, {os.cpu_count()} cores, {platform.machine()}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def record(
    name: str, values: dict[str, Any], seed: int | None = None, device: str | None = None
) -> Path:
    """Writes `values` (numbers, lists, dicts) with their provenance to `NAME.json` → its path."""
    path = folder() / f"{name}.json"
    body = {"record": provenance(seed, device), "values": values}
    with replacing(path) as file:
        file.write((json.dumps(body, indent=1) + "\n").encode())
    return path


def relative(argument: str) -> str:
    """`argument` without this machine's paths: from the repository on, or the last name alone."""
    root = str(_PACKAGE.parent)
    if argument.startswith(root):
        return os.path.relpath(argument, root)
    return Path(argument).name if argument.startswith("/") else argument


def _commit() -> str:
    """The commit of the checkout, with `+` behind it when segcore has uncommitted changes."""
    git = ["git", "-C", str(_PACKAGE.parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True)
        dirty = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "segcore"]).returncode
    except OSError:
        return "unknown: git is not installed"
    if head.returncode:
        return "unknown: not a git checkout"
    return head.stdout.decode().strip() + ("+" if dirty else "")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
