"""Finds a Chromium for the browser tests, or fetches one; prints its path.

`python scripts/find_chromium.py` looks for $CHROMIUM, then for a browser on the PATH, then for
Playwright's own. With --fetch it also tries `playwright install chromium`, and as root
`apt-get install chromium`. It ends with status 1 and one helpful sentence when all of it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
PLAYWRIGHT_SECONDS = 120  # without its server, an install would retry for many minutes
APT_SECONDS = 400
HELP = (
    "The browser tests need a Chromium and none could be found or fetched. Install Chromium or "
    "Google Chrome, or name one: CHROMIUM=/path/to/chrome make test"
)


def main(arguments: list[str]) -> int:
    """Prints the path of a Chromium; 1 and a sentence when there is none."""
    try:
        path = find()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    if path is None and "--fetch" in arguments:
        fetch()
        path = find()
    print(path or HELP, file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


def find() -> str | None:
    """The path of a Chromium on this machine, or None. Raises if $CHROMIUM names no program."""
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"CHROMIUM={named} is no program that can be started.")
        return found
    for name in (*NAMES, MAC):
        found = shutil.which(name)
        if found:
            return found
    return playwrights_own()


def playwrights_own() -> str | None:
    """The browser that `playwright install chromium` puts down, if it is there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def fetch() -> None:
    """Tries Playwright's download, then apt where that is possible. Says what it does."""
    print("No Chromium here; asking Playwright for one ...", file=sys.stderr)
    environment = {**os.environ, "PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT": "15000"}
    install = [sys.executable, "-m", "playwright", "install", "chromium"]
    if attempt(install, PLAYWRIGHT_SECONDS, environment):
        return
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("Playwright could not fetch one; asking apt for chromium ...", file=sys.stderr)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        attempt(["apt-get", "update", "-q"], APT_SECONDS, quiet)
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]
        attempt(install, APT_SECONDS, quiet)


def attempt(command: list[str], seconds: int, environment: dict[str, str]) -> bool:
    """Whether `command` succeeded within `seconds`; its output is kept from the reader."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
