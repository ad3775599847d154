"""Builds the book into _build/html; any warning is an error. `make book` runs this."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
LIVE = ROOT / "_build" / "live"  # made beside Sphinx, then moved into the book
FRONT = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="A course on semantic image segmentation that runs on a phone.">
<meta http-equiv="refresh" content="0; url=book/intro.html">
<title>Segmentation in Your Pocket</title>
<main><h1>Segmentation in Your Pocket</h1>
<p><a href="book/intro.html">Open the course</a></p></main>
</html>
"""


def main() -> int:
    """Runs Jupyter Book, and the live page beside it; prints a log only when something is wrong."""
    print("Building the book (about half a minute) ...", flush=True)
    started = time.perf_counter()
    for folder in (HTML, LIVE):  # else pages of removed files would stay
        shutil.rmtree(folder, ignore_errors=True)
    (ROOT / "_build").mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(ROOT / "scripts" / "build_live.py"), str(LIVE)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as live:
        log = run_sphinx()
        said = live.communicate()[0]
    (ROOT / "_build" / "build.log").write_text(log, encoding="utf-8")
    if not (HTML / "book" / "intro.html").exists():
        print(log[-6000:], file=sys.stderr)
        print("The book was not built; the whole log is in _build/build.log.", file=sys.stderr)
        return 1
    print(said[-6000:], end="", file=sys.stderr if live.returncode else sys.stdout)
    if live.returncode != 0:
        print("The live page was not built; its log stands above.", file=sys.stderr)
        return 1
    LIVE.rename(HTML / "book" / "live")
    (HTML / "index.html").write_text(FRONT, encoding="utf-8")
    (HTML / ".built").touch()
    print(f"Built in {time.perf_counter() - started:.0f} s.")
    return 0


def run_sphinx() -> str:
    """Jupyter Book's log. Where it failed, no page is left."""
    program = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    options = ["build", ".", "--all", "--warningiserror", "--keep-going", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        shutil.rmtree(HTML, ignore_errors=True)
    return done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main())
