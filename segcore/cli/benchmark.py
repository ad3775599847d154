"""The command `segcore benchmark`: how fast .tflite files are, timed in turn."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from segcore.cli.common import input_size, positive, progress, stems, thread_count
from segcore.cli.outputs import add_force, check_outputs, write_json
from segcore.inference import benchmark
from segcore.inference.machine import machine


def add_benchmark(commands: Any) -> None:
    """Adds `benchmark` to the `commands` of an argument parser."""
    command = commands.add_parser("benchmark", help="time .tflite files against each other")
    command.add_argument("files", nargs="*", metavar="FILE.tflite")
    command.add_argument("--threads", type=thread_count, nargs="+", default=[1], help="e.g. 1 2 4")
    command.add_argument("--rounds", type=positive, default=30, help="default: %(default)s")
    command.add_argument("--keras", action="store_true", help="the shipped network in Keras too")
    command.add_argument("--size", type=input_size, default=257, help="of Keras; default: 257")
    command.add_argument("--profile", action="store_true", help="milliseconds by operator, too")
    command.add_argument("--json", metavar="FILE", help="store the numbers, too")
    add_force(command)
    command.set_defaults(run=time)


def time(options: argparse.Namespace) -> int:
    """Times every file with every number of threads, in turn, and prints a table."""
    if not options.files and not options.keras:
        raise ValueError("nothing to time: name .tflite files, or say --keras")
    if options.json:
        check_outputs([Path(options.json)], options.files, options.force)
    runs = {
        f"{stem}{_known(file).suffix}, {threads} thread{'s' * (threads > 1)}": benchmark.file_run(
            file, threads
        )
        for threads in options.threads
        for file, stem in zip(options.files, stems(options.files), strict=True)
    }
    if options.keras:
        from segcore.models import pretrained

        runs |= benchmark.keras_runs(pretrained.load(options.size))
    timings = benchmark.interleave(runs, options.rounds, progress=partial(progress, unit="round"))
    record: dict[str, Any] = {"timings": [asdict(timing) for timing in timings]}
    record["machine"] = machine()
    print(" · ".join(record["machine"].values()) + f", {options.rounds} rounds")
    print(benchmark.table(timings))
    if options.profile:
        record["operators"] = {file: _profile(file) for file in options.files}
    if options.json:
        write_json(Path(options.json), record)
    return 0


def _profile(file: str) -> list[dict[str, Any]]:
    """Prints where the time of one file goes → the same, ready for JSON."""
    parts = benchmark.profile(file)
    print(f"\n{Path(file).name}, 1 thread, operator by operator")
    print(benchmark.profile_table(parts))
    return [{"kind": o.kind, "layer": o.layer, "ms": ms, "macs": o.macs} for o, ms in parts]


def _known(file: str) -> Path:
    if not Path(file).exists():
        raise FileNotFoundError(f"{file}: no such model file; check the spelling")
    return Path(file)
