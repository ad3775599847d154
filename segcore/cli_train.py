"""`segcore train FILE`: runs an experiment, on the backend that is asked for."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BACKENDS = ("tensorflow", "jax")


def add_commands(commands: Any) -> None:
    """Adds the command to the parser's `commands`."""
    command = commands.add_parser(
        "train",
        help="run an experiment, e.g. experiments/toy_voc.py",
        description="Runs FILE as `python FILE OPTIONS` would, on the backend that is asked for. "
        "FILE's own help: segcore train FILE --help.",
        parents=[_own_options()],
    )
    command.add_argument("experiment", metavar="FILE", help="e.g. experiments/toy_voc.py")
    command.add_argument(
        "options", nargs=argparse.REMAINDER, metavar="OPTIONS", help="FILE's own; -- before them"
    )
    command.set_defaults(run=train)


def train(options: argparse.Namespace) -> int:
    """Runs the experiment in this process → 0. ValueError or FileNotFoundError say what to do.

    Behind FILE, the experiment gets what the command does not know, and all that follows `--`.
    """
    given: list[str] = options.options
    place = given.index("--") if "--" in given else len(given)
    _, theirs = _own_options().parse_known_args(given[:place], namespace=options)
    theirs += given[place + 1 :]
    path = Path(options.experiment)
    if not path.is_file():
        others = ", ".join(p.name for p in sorted(path.parent.glob("*.py"))) or "none"
        raise FileNotFoundError(f"{path}: no such experiment; in {path.parent}/ there are {others}")
    if options.backend:
        choose_backend(options.backend)
    theirs += ["--resume"] * options.resume
    theirs += [] if options.seed is None else ["--seed", str(options.seed)]
    sys.argv = [str(path), *theirs]
    sys.path.insert(0, str(path.parent.resolve()))  # as `python FILE` does
    try:
        runpy.run_path(str(path), run_name="__main__")
    except RuntimeError as error:
        if type(error).__name__ != "Diverged":  # naming the class would import Keras too early
            raise
        raise ValueError(str(error)) from None
    return 0


def choose_backend(name: str) -> None:
    """Makes Keras run on `name`; ValueError where that is missing or where it is too late."""
    if find_spec(name) is None:
        what = "segcore[train]" if name == "jax" else name
        raise ValueError(f"backend {name} is not installed; run: pip install '{what}'")
    os.environ["KERAS_BACKEND"] = name
    if "keras" in sys.modules and (running := sys.modules["keras"].backend.backend()) != name:
        raise ValueError(f"Keras already runs on {running} in this process; start a new one")


def _own_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--resume", action="store_true", help="go on where it was stopped")
    options.add_argument("--seed", type=int, help="default: the experiment's")
    options.add_argument("--backend", choices=BACKENDS, help="default: KERAS_BACKEND, or Keras'")
    return options
