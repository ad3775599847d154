"""Kills a small run at random moments; resumed, it must end with the weights of one never killed.

    KERAS_BACKEND=jax python tests/training/kill_job.py --kills 20 --seed 0

Every attempt is a process of its own, killed (SIGKILL) somewhere between its first line and the
time that a whole run takes, compilation, validation and saving included; then the next one resumes.
A run that comes to its end is compared with one that was never killed, all its files bit for bit,
and another begins. Prints where the kills fell and how many runs ended.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RESULTS = ("weights.npz", "history.csv", "run.json")


def attempt(folders: list[Path]) -> None:
    """One run, or the rest of one, in each of `folders`; prints how long each of them took."""
    import toy_run

    from segcore.training.fit import fit

    seen = toy_run.validation()
    print("ready", flush=True)
    for folder in folders:
        begin, data = time.monotonic(), toy_run.data(change=toy_run.slowly)
        recipe = toy_run.recipe(epochs=6)
        fit(toy_run.network(), data, recipe, validation=seen, folder=folder, resume=True)
        print(time.monotonic() - begin, flush=True)


def start(folders: list[Path]) -> subprocess.Popen[bytes]:
    """`attempt` in a process of its own, when it is ready."""
    command = [sys.executable, __file__, "--run", *map(str, folders)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    line(process)
    return process


def line(process: subprocess.Popen[bytes]) -> str:
    """What the process prints next."""
    assert process.stdout is not None
    return process.stdout.readline().decode()


def killed(process: subprocess.Popen[bytes], patience: float | None) -> bool:
    """Waits; kills `process` after `patience` seconds → whether that was necessary."""
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode not in (0, -9):
        raise SystemExit(f"a run failed by itself, with {process.returncode}")
    return process.returncode == -9


def same(one: Path, other: Path) -> bool:
    """Whether two runs left the same weights, states and history."""
    names = [*RESULTS, *(path.relative_to(one) for path in one.glob("checkpoints/*"))]
    return all(content(one / name) == content(other / name) for name in names)


def content(path: Path) -> object:
    """What two files must share: bytes, or the arrays in them to the bit."""
    if path.suffix != ".npz":
        return path.read_bytes()
    with np.load(path) as file:
        return {key: (file[key].shape, file[key].tobytes()) for key in file.files}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=3)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--run", type=Path, nargs="+", help="folders: be the process that dies")
    chosen = options.parse_args()
    if chosen.run:
        return attempt(chosen.run)
    root, rng = Path(tempfile.mkdtemp()), np.random.default_rng(chosen.seed)
    whole, folder, ends, reached = root / "whole", root / "killed", 0, []
    process = start([whole, folder])
    duration = float(line(process))  # of the one that is not killed; the other begins
    while True:
        more = len(reached) < chosen.kills
        if killed(process, rng.uniform(0, duration) if more else None):
            reached.append(last_epoch(folder))
        else:
            ends += 1
            if not same(whole, folder):
                raise SystemExit(f"other weights than unkilled; killed after epochs {reached}")
            shutil.rmtree(folder)
            if not more:
                break
        process = start([folder])
    shutil.rmtree(root)
    print(f"{len(reached)} kills, after epochs {reached}")
    print(f"{ends} runs came to their end, each with the weights of one never killed")


def last_epoch(folder: Path) -> int:
    """The number of the last epoch that was saved."""
    return max((int(path.stem[-4:]) for path in folder.glob("checkpoints/*.npz")), default=0)


if __name__ == "__main__":
    main()
