"""The `segcore` command: its parser, and one line instead of a traceback for what goes wrong.

The commands are imported when one is run, so that Ctrl-C ends the import, too, with one line.
"""

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager as Guard
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

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


class Stream:
    """Like `stream`, but every write happens inside a `guard`."""

    def __init__(self, stream: TextIO, guard: Callable[[], Guard]) -> None:
        self.stream, self.guard = stream, guard

    def write(self, text: str) -> None:
        """Writes `text`."""
        with self.guard():
            self.stream.write(text)

    def flush(self) -> None:
        """Hands on what was written."""
        with self.guard():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command → its exit code (`segcore --help` lists them)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _mend_streams()
    output: Any = Stream(sys.stdout, _output_named)
    messages: Any = Stream(sys.stderr, lambda: suppress(OSError))  # nobody reads them then
    with redirect_stdout(output), redirect_stderr(messages):
        return _run(arguments)


def download(options: argparse.Namespace) -> int:
    """Fetches Pascal VOC 2012 and says where it is."""
    from segcore.data.download import download_voc

    print(f"Pascal VOC 2012 is in {download_voc(Path(options.to))}")
    return 0


def _run(arguments: Sequence[str] | None) -> int:
    """Parses and runs, with a line for each error that a command may end in."""
    try:
        try:
            options = _parser().parse_args(arguments)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="PIL")  # of oddities that it reads over
                return options.run(options)
        finally:
            sys.stdout.flush()
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    except KeyboardInterrupt:
        print("segcore: stopped", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        return READER_GONE
    except (OSError, ValueError, MemoryError, RecursionError) as error:
        from segcore.cli.common import complain

        return complain(error)


def _parser() -> argparse.ArgumentParser:
    from segcore.cli import benchmark, evaluate, export, inspect, segment

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
    inspect.add_inspect(commands)
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


@contextmanager
def _output_named() -> Iterator[None]:
    """An error in the block is one of standard output; what is left to write there goes nowhere.

    Python would try again at its end, and complain.
    """
    try:
        yield
    except OSError as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(error.errno, error.strerror, "standard output") from error
