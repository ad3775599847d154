"""The `segcore` command: its parser, and one line instead of a traceback for what goes wrong.

The commands are imported when one is run, so that Ctrl-C ends the import, too, with one line.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

STOPPED, READER_GONE = 130, 141  # as a shell reports SIGINT and SIGPIPE
EXIT_CODES = """exit codes:
  0    done
  2    something cannot be read, written or understood; a line on standard error says what
  130  stopped by Ctrl-C
  141  whoever read the output has gone (| head)"""


class Parser(argparse.ArgumentParser):
    """A parser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"segcore: {' '.join(message.split())}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command → its exit code (`segcore --help` lists them)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _mend_streams()
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _give_up_stdout()
        return READER_GONE
    except OSError as error:
        _give_up_stdout()
        print(f"segcore: standard output: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("segcore: stopped", file=sys.stderr)
        return STOPPED


def download(options: argparse.Namespace) -> int:
    """Fetches Pascal VOC 2012 and says where it is."""
    from segcore.data.download import download_voc

    print(f"Pascal VOC 2012 is in {download_voc(Path(options.to))}")
    return 0


def _run(arguments: Sequence[str] | None) -> int:
    """Parses and runs, with a line for each error that a command may end in."""
    from segcore.cli.common import complain

    try:
        options = _parser().parse_args(arguments)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # of oddities that it reads over
            return options.run(options)
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    except (OSError, ValueError, MemoryError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno and error.filename is None:
            raise  # of a stream: files are named
        return complain(error)


def _parser() -> argparse.ArgumentParser:
    from segcore.cli import benchmark, evaluate, export, segment

    parser = Parser(
        "segcore",
        description="Semantic segmentation for your pocket",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    segment.add_predict(commands)
    evaluate.add_evaluate(commands)

    command = commands.add_parser("download", help="fetch a data set")
    command.add_argument("dataset", choices=["voc"])
    command.add_argument("--to", default=".", metavar="DIR", help="default: this folder")
    command.set_defaults(run=download)
    export.add_export(commands)
    benchmark.add_benchmark(commands)
    return parser


def _mend_streams() -> None:
    """Opens the streams that are closed (`2>&-`), and lets no odd character stop the output."""
    for number in (0, 1, 2):  # else the next file to be opened gets the number of a stream
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _give_up_stdout() -> None:
    """What is still to be written goes nowhere: Python would try again at its end, and complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
