"""The command `segcore benchmark`: how fast networks are, timed in turn."""

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from segcore import shipped
from segcore.cli.common import input_size, positive, progress, stems, thread_count
from segcore.cli.outputs import add_force, check_outputs, write_json
from segcore.inference import benchmark
from segcore.inference.machine import machine


def add_benchmark(commands: Any) -> None:
    """Adds `benchmark` to the `commands` of an argument parser."""
    command = commands.add_parser("benchmark", help="time networks against each other")
    names = f"{', '.join(shipped.NETWORKS)}, a .tflite or an .npz; default: phone"
    command.add_argument("models", nargs="*", default=["phone"], metavar="NAME", help=names)
    command.add_argument("--threads", type=thread_count, nargs="+", help="for .tflite, e.g. 1 2 4")
    command.add_argument("--profile", action="store_true", help="of .tflite: time by operator, too")
    command.add_argument("--size", type=input_size, help="of networks under Keras")
    command.add_argument("--rounds", type=positive, default=30, help="default: %(default)s")
    command.add_argument("--json", metavar="FILE", help="store the numbers, too")
    add_force(command)
    command.set_defaults(run=time)


def time(options: argparse.Namespace) -> int:
    """Times every model, a .tflite with every number of threads, in turn, and prints a table."""
    models = [(name, shipped.file_of(name)) for name in options.models]
    _check(options, {path.suffix for _, path in models})
    if options.json:
        check_outputs([Path(options.json)], [path for _, path in models], options.force)
    runs: dict[str, benchmark.Run] = {}
    for stem, (name, path) in zip(stems(options.models), models, strict=True):
        runs |= _runs(stem + Path(name).suffix, path, options)
    timings = benchmark.interleave(runs, options.rounds, progress=partial(progress, unit="round"))
    record: dict[str, Any] = {"timings": [asdict(timing) for timing in timings]}
    record["machine"] = machine()
    print(" · ".join(record["machine"].values()) + f", {options.rounds} rounds")
    print(benchmark.table(timings))
    if options.profile:
        files = {name: path for name, path in models if path.suffix == ".tflite"}
        record["operators"] = {name: _profile(name, path) for name, path in files.items()}
    if options.json:
        write_json(Path(options.json), record)
    return 0


def _check(options: argparse.Namespace, kinds: set[str]) -> None:
    """Refuses models that cannot be timed, and options that would do nothing."""
    if odd := kinds - {".tflite", ".npz"}:
        raise ValueError(f"*{odd.pop()}: cannot be timed; name .tflite or .npz files")
    if options.size and ".npz" not in kinds:
        raise ValueError("--size is for networks under Keras, e.g. float; a .tflite has its own")
    if (options.threads or options.profile) and ".tflite" not in kinds:
        raise ValueError("--threads and --profile are for .tflite; Keras takes all threads")


def _runs(label: str, path: Path, options: argparse.Namespace) -> dict[str, benchmark.Run]:
    """The ways to run one model, by name."""
    if path.suffix == ".tflite":
        return {
            f"{label}, {threads} thread{'s' * (threads > 1)}": benchmark.file_run(path, threads)
            for threads in options.threads or [1]
        }
    from segcore.models import pretrained

    runs = benchmark.keras_runs(pretrained.load(options.size, path))
    return {f"{label}, {way}": run for way, run in runs.items()}


def _profile(name: str, path: Path) -> list[dict[str, Any]]:
    """Prints where the time of one file goes → the same, ready for JSON."""
    parts = benchmark.profile(path)
    print(f"\n{name}, 1 thread, operator by operator")
    print(benchmark.profile_table(parts))
    return [{"kind": o.kind, "layer": o.layer, "ms": ms, "macs": o.macs} for o, ms in parts]
