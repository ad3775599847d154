"""Pascal VOC 2012 from whichever mirror still serves it: resumed, verified, safely unpacked.

Only the standard library and a progress bar. Taught in chapter 2.
"""

import hashlib
import http.client
import re
import shutil
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from segcore._errors import naming

NAME = "VOCtrainval_11-May-2012.tar"
SIZE = 1_999_639_040  # bytes
MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
MIRRORS = (  # the official host first; it is often unreachable
    f"http://host.robots.ox.ac.uk/pascal/VOC/voc2012/{NAME}",
    f"https://d2l-data.s3-accelerate.amazonaws.com/{NAME}",
    f"https://pjreddie.com/media/files/{NAME}",
    f"https://web.archive.org/web/2020id_/http://host.robots.ox.ac.uk/pascal/VOC/voc2012/{NAME}",
)
_ATTEMPTS = 3  # in a row without a new byte, before the next mirror is asked
_TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 18  # bytes read at a time
_BREAKS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def download_voc(
    to: str | Path,
    mirrors: Iterable[str] = MIRRORS,
    md5: str = MD5,
    size: int = SIZE,
    wait: float = 2,
) -> Path:
    """The VOC2012 folder below `to`, downloaded (`size` bytes) and unpacked if not yet there.

    A broken download stays as NAME.part and is resumed; a tar put there by hand is used. `wait`
    seconds (doubling) pass between attempts. Raises ConnectionError with every mirror's reason,
    OSError when the disk is too small, ValueError for a wrong tar. Taught in chapter 2.
    """
    to = Path(to)
    home = to / "VOCdevkit" / "VOC2012"
    if _is_there(home):
        return home
    tar, part = to / NAME, to / f"{NAME}.part"
    by_hand = tar.exists()
    to.mkdir(parents=True, exist_ok=True)
    _check_disk(to, 2 * size - min(size, max(_length(tar), _length(part))))
    if by_hand and (problem := _problem(tar, md5, size)):
        raise ValueError(f"{tar}: {problem}; delete it, or put the official file there")
    if not by_hand:
        _fetch(list(mirrors), part, md5, size, wait).replace(tar)
    _unpack(tar, home)
    if not by_hand:
        tar.unlink()
    return home


def _is_there(home: Path) -> bool:
    """Whether `home` is a VOC2012 folder (then said); FileExistsError if it is half of one."""
    if (home / "ImageSets" / "Segmentation").is_dir():
        print(f"{home}: already there, nothing to download")
        return True
    if home.exists():
        raise FileExistsError(f"{home}: exists but is no whole VOC2012; move it out of the way")
    return False


def _check_disk(folder: Path, need: int) -> None:
    """OSError unless `folder`'s disk has `need` bytes for the rest of the tar and what is in it."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise OSError(
            f"{folder}: {free / 1e9:.1f} GB free, {need / 1e9:.1f} GB needed (the tar and the "
            "unpacked files); make room or name a folder on another disk"
        )


def _problem(tar: Path, md5: str, size: int) -> str:
    """Why `tar` is not the wanted file, or an empty string."""
    if tar.stat().st_size != size:
        return f"has {tar.stat().st_size:,} bytes, wanted {size:,}"
    with tar.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return "" if found == md5 else f"wrong checksum (md5 {found}, wanted {md5})"


def _fetch(mirrors: list[str], part: Path, md5: str, size: int, wait: float) -> Path:
    """`part`, filled by the first mirror that gives the right bytes; else ConnectionError."""
    reasons = []
    for url in mirrors:
        reason = _fetch_verified(url, part, md5, size, wait)
        if not reason:
            return part
        reasons.append(f"{url}: {reason}")
    raise ConnectionError(
        f"no mirror gave {NAME}. {'; '.join(reasons) or 'The list of mirrors is empty'}. Try again "
        f"later (what came is kept), or get the file elsewhere (md5 {md5}), put it at "
        f"{part.with_suffix('')} and run this again"
    )


def _fetch_verified(url: str, part: Path, md5: str, size: int, wait: float) -> str:
    """Fill `part` from `url` and check it; returns why that failed, or an empty string."""
    kept = _length(part) > 0
    if reason := _fetch_from(url, part, size, wait):
        return reason
    if not (problem := _problem(part, md5, size)):
        return ""
    part.unlink()
    # The bytes kept from an earlier run or another mirror may be the wrong ones: once more.
    return _fetch_verified(url, part, md5, size, wait) if kept else problem


def _fetch_from(url: str, part: Path, size: int, wait: float) -> str:
    """Fill `part` up to `size` from `url`, resuming breaks; returns why not, or ""."""
    most, idle, reason = _length(part), 0, ""
    while _length(part) < size:
        try:
            _receive(url, part, size)
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code < 500:
                return reason
        except ValueError as error:
            return str(error)
        except _BREAKS as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        idle = 0 if _length(part) > most else idle + 1
        most = max(most, _length(part))
        if idle == _ATTEMPTS:
            return f"{reason} ({_ATTEMPTS} attempts)"
        if most < size:
            time.sleep(wait * 2**idle)
    return ""


def _receive(url: str, part: Path, size: int) -> None:
    """One request for the bytes that `part` lacks, appended as they come.

    Raises ValueError when the server has another file, one of _BREAKS when it breaks off.
    """
    have = _length(part)
    headers = {"User-Agent": "segcore"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        start, total = _offered(response, size)
        if total != size or start not in (0, have):
            raise ValueError(f"offers byte {start:,} on of {total:,}, wanted {have:,} of {size:,}")
        bar = tqdm(total=size, initial=start, desc=NAME, unit="B", unit_scale=True)
        mode = "ab" if start else "wb"  # no Range there: start again
        with part.open(mode, buffering=0) as file, bar:
            while chunk := response.read(min(_CHUNK, size - file.tell())):
                with naming(part):
                    file.write(chunk)
                bar.update(len(chunk))
    if _length(part) < size:
        raise ConnectionError(f"broke off after {_length(part):,} of {size:,} bytes")


def _offered(response: http.client.HTTPResponse, size: int) -> tuple[int, int]:
    """First byte and total length that `response` announces (`size` where it is silent)."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return (int(match[1]), int(match[2])) if match else (-1, size)
    return 0, int(response.headers.get("Content-Length", size))


def _length(path: Path) -> int:
    """Bytes in the file at `path`; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _unpack(tar: Path, home: Path) -> None:
    """Unpack the VOC2012 folder in `tar` to `home`, whole or not at all; ValueError if unsafe."""
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=tar.parent) as folder:
        try:
            with tarfile.open(tar, "r:") as archive, naming(home):
                for member in tqdm(archive, "unpacking", unit=" files", delay=2):
                    if not (member.isfile() or member.isdir()):
                        raise ValueError(f"{tar}: {member.name} is no file; delete the tar")
                    archive.extract(member, folder, filter="data")
        except tarfile.TarError as error:
            raise ValueError(f"{tar}: cannot be unpacked ({error}); delete it") from error
        source = Path(folder, "VOCdevkit", "VOC2012")
        if not (source / "ImageSets" / "Segmentation").is_dir():
            raise ValueError(f"{tar}: holds no VOCdevkit/VOC2012 with its lists; delete it")
        home.parent.mkdir(exist_ok=True)
        source.replace(home)
