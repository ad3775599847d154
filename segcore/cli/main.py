"""The `segcore` command: its parser, and one line instead of a traceback for what goes wrong."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from segcore.cli import benchmark, export, segment
from segcore.cli.common import complain


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command → exit code: 0 done, 2 bad input (one line on standard error)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (OSError, ValueError) as error:
        return complain(error)
    except KeyboardInterrupt:
        print("segcore: stopped", file=sys.stderr)
        return 130


def download(options: argparse.Namespace) -> int:
    """Fetches Pascal VOC 2012 and says where it is."""
    from segcore.data.download import download_voc

    print(f"Pascal VOC 2012 is in {download_voc(Path(options.to))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("segcore", description="Semantic segmentation for your pocket")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    segment.add_predict(commands)
    segment.add_evaluate(commands)

    command = commands.add_parser("download", help="fetch a data set")
    command.add_argument("dataset", choices=["voc"])
    command.add_argument("--to", default=".", metavar="DIR", help="default: this folder")
    command.set_defaults(run=download)
    export.add_export(commands)
    benchmark.add_benchmark(commands)
    return parser
