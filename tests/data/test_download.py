"""`segcore.data.download` against a local server that breaks off, lies, answers 404 and worse."""

import hashlib
import io
import os
import resource
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from segcore.data import download, voc

LIST = "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt"
PHOTO = "VOCdevkit/VOC2012/JPEGImages/a.jpg"
FILES = {
    LIST: b"a\n",
    PHOTO: os.urandom(300_000),
    "VOCdevkit/VOC2012/SegmentationClass/a.png": b"p",
}


def make_tar(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return buffer.getvalue()


TAR = make_tar(FILES)
HALF = len(TAR) // 2


class Handler(BaseHTTPRequestHandler):
    """Serves TAR in the manner that the path names; notes each request and the bytes sent."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        manner = unquote(self.path.strip("/"))
        asked = self.headers.get("Range")
        start = int(asked[6:-1]) if asked else 0
        note = {"manner": manner, "range": asked, "sent": 0}
        self.server.notes.append(note)
        if manner == "404" or (manner == "503 once" and len(self.server.notes) == 1):
            return self.send_error(int(manner[:3]))
        body = self.server.bodies.get(manner, TAR)
        end = len(body)
        if manner == "breaks" and len(self.server.notes) == 1:
            end = HALF
        if manner == "cut":  # right headers, too few bytes, always
            end = HALF
        ignores = manner in ("ignores", "ignores and cut")
        if manner == "ignores and cut" and len(self.server.notes) < 3:
            end = HALF
        self.send_response(206 if asked and not ignores else 200)
        start = 0 if ignores else start
        if asked and not ignores:
            first = start + 1 if manner == "another range" else start
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        while start < end:
            self.wfile.write(body[start : min(start + 20_000, end)])
            note["sent"] += min(20_000, end - start)
            start += 20_000
            if manner == "slow":
                time.sleep(0.1)
        self.close_connection = end < len(body)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # a killed client breaks its pipe
        server.notes, server.bodies = [], {"lies": bytes(len(TAR)), "other": b"<html>"}
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def url(server, manner: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{quote(manner)}"


def get(server, to: Path, *manners: str, tar: bytes = TAR, **changes) -> Path:
    md5 = hashlib.md5(tar, usedforsecurity=False).hexdigest()
    arguments = {"md5": md5, "size": len(tar), "wait": 0} | changes
    return download.download_voc(to, [url(server, m) for m in manners], **arguments)


def unpacked(to: Path) -> bool:
    """Whether exactly the files of TAR lie below `to`, nothing beside them."""
    return {str(p.relative_to(to)): p.read_bytes() for p in to.rglob("*") if p.is_file()} == FILES


def test_it_downloads_unpacks_and_the_second_time_says_so(server, tmp_path, capsys):
    home = get(server, tmp_path / "new" / "folder", "good")
    assert home == tmp_path / "new" / "folder" / "VOCdevkit" / "VOC2012"
    assert unpacked(tmp_path / "new" / "folder") and len(voc.file_pairs(home)) == 1
    shown = capsys.readouterr().err
    assert download.NAME in shown and "100%" in shown and "B/s" in shown
    assert get(server, tmp_path / "new" / "folder", "good") == home
    assert "already there" in capsys.readouterr().out
    assert len(server.notes) == 1


def test_a_break_is_resumed_without_sending_anything_twice(server, tmp_path):
    get(server, tmp_path, "breaks")
    assert [note["range"] for note in server.notes] == [None, f"bytes={HALF}-"]
    assert sum(note["sent"] for note in server.notes) == len(TAR)
    assert unpacked(tmp_path)


def test_a_break_is_resumed_from_the_next_mirror(server, tmp_path):
    get(server, tmp_path, "cut", "good")
    assert [n["manner"] for n in server.notes[-2:]] == ["cut", "good"]
    assert server.notes[-1]["range"] == f"bytes={HALF}-" and unpacked(tmp_path)


def test_a_server_without_ranges_is_read_from_the_start_again(server, tmp_path):
    get(server, tmp_path, "ignores and cut")
    assert [note["sent"] for note in server.notes] == [HALF, HALF, len(TAR)]
    assert unpacked(tmp_path)


def test_a_lying_checksum_is_thrown_away_and_the_next_mirror_asked(server, tmp_path):
    get(server, tmp_path, "lies", "good")
    assert [(n["manner"], n["range"]) for n in server.notes] == [("lies", None), ("good", None)]
    assert unpacked(tmp_path)


def test_bad_bytes_kept_from_before_do_not_blame_the_mirror(server, tmp_path):
    (tmp_path / f"{download.NAME}.part").write_bytes(bytes(1000))
    get(server, tmp_path, "good")
    assert [note["range"] for note in server.notes] == ["bytes=1000-", None]
    assert unpacked(tmp_path)


@pytest.mark.parametrize("length", [len(TAR), len(TAR) + 5])
def test_a_full_or_overlong_part_needs_no_guessing(server, tmp_path, length):
    (tmp_path / f"{download.NAME}.part").write_bytes((TAR + b"extra")[:length])
    get(server, tmp_path, "good")
    assert len(server.notes) == (0 if length == len(TAR) else 1) and unpacked(tmp_path)


def test_404_asks_the_next_mirror_at_once_and_503_the_same_again(server, tmp_path):
    get(server, tmp_path / "a", "404", "good")
    assert [note["manner"] for note in server.notes] == ["404", "good"]
    server.notes.clear()
    get(server, tmp_path / "b", "503 once")
    assert [note["manner"] for note in server.notes] == ["503 once"] * 2


def test_another_range_than_asked_is_refused(server, tmp_path):
    (tmp_path / f"{download.NAME}.part").write_bytes(TAR[:1000])
    with pytest.raises(ConnectionError, match=r"offers byte 1,001 on .* wanted 1,000"):
        get(server, tmp_path, "another range")
    assert (tmp_path / f"{download.NAME}.part").read_bytes() == TAR[:1000]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_when_all_fail_one_error_lists_each_mirror_and_what_to_do(server, tmp_path):
    dead = f"http://127.0.0.1:{closed_port()}/"
    mirrors = [url(server, m) for m in ("404", "lies", "other", "cut")] + [dead]
    md5 = hashlib.md5(TAR, usedforsecurity=False).hexdigest()
    with pytest.raises(ConnectionError) as caught:
        download.download_voc(tmp_path, mirrors, md5, len(TAR), wait=0)
    message = str(caught.value)
    for mirror, reason in zip(
        mirrors,
        ["HTTP 404", "wrong checksum", "of 6, wanted", "broke off after", "refused"],
        strict=True,
    ):
        assert f"{mirror}: " in message
        assert reason in message.split(f"{mirror}: ")[1].split("; http")[0]
    assert "\n" not in message and md5 in message
    assert f"put it at {tmp_path / download.NAME} and run this again" in message
    assert [p.name for p in tmp_path.iterdir()] == [f"{download.NAME}.part"]
    assert (tmp_path / f"{download.NAME}.part").read_bytes() == TAR[:HALF]
    with pytest.raises(ConnectionError, match="list of mirrors is empty"):
        download.download_voc(tmp_path, [], md5, len(TAR))


def test_a_tar_put_there_by_hand_is_checked_used_and_kept(server, tmp_path):
    tar = tmp_path / download.NAME
    tar.write_bytes(bytes(len(TAR)))
    with pytest.raises(ValueError, match=r"11-May-2012\.tar: wrong checksum .*delete it"):
        get(server, tmp_path, "good")
    tar.write_bytes(TAR)
    get(server, tmp_path, "good")
    assert server.notes == [] and tar.read_bytes() == TAR


def test_the_disk_is_measured_before_anything_is_fetched(server, tmp_path, monkeypatch):
    free = {"bytes": 2 * len(TAR) - 1}
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage(0, 0, free["bytes"]))
    with pytest.raises(OSError, match=r"0\.0 GB free, 0\.0 GB needed.*make room"):
        get(server, tmp_path, "good")
    with pytest.raises(OSError, match=r"0\.0 GB free, 4\.0 GB needed"):
        get(server, tmp_path, "good", size=download.SIZE)
    assert server.notes == [] and list(tmp_path.iterdir()) == []
    (tmp_path / f"{download.NAME}.part").write_bytes(TAR[:1000])  # a part counts
    free["bytes"] -= 999
    assert get(server, tmp_path, "good")


@pytest.mark.parametrize(
    ("name", "files", "links", "words"),
    [
        ("climbs", {**FILES, "../escaped.txt": b"x"}, {}, "cannot be unpacked"),
        ("climbs below", {**FILES, "VOCdevkit/../../escaped.txt": b"x"}, {}, "cannot be unpacked"),
        ("links out", FILES, {"VOCdevkit/VOC2012/out": "/etc"}, "out is no file"),
        ("empty", {"readme.txt": b"x"}, {}, "holds no VOCdevkit/VOC2012"),
        ("no lists", {PHOTO: b"x"}, {}, "holds no VOCdevkit/VOC2012"),
    ],
)
def test_an_unsafe_or_foreign_tar_leaves_nothing_unpacked(
    server, tmp_path, name, files, links, words
):
    tar = server.bodies[name] = make_tar(files, links)
    to = tmp_path / "to"
    with pytest.raises(ValueError, match=rf"11-May-2012\.tar: .*{words}"):
        get(server, to, name, tar=tar)
    assert [p.name for p in to.iterdir()] == [download.NAME]
    assert [p.name for p in tmp_path.iterdir()] == ["to"]


def test_no_tar_at_all_is_said(server, tmp_path):
    server.bodies["noise"] = b"noise" * 1000
    with pytest.raises(ValueError, match=r"cannot be unpacked .*delete it"):
        get(server, tmp_path, "noise", tar=server.bodies["noise"])


def test_a_disk_that_fills_while_unpacking_keeps_the_tar_alone(server, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")  # as `write` raises it

    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "extract", full)
        with pytest.raises(OSError, match=r"No space left on device: .*VOC2012"):
            get(server, tmp_path, "good")
    assert [p.name for p in tmp_path.iterdir()] == [download.NAME]
    assert get(server, tmp_path, "good") and len(server.notes) == 1


def test_a_disk_that_fills_while_downloading_is_named_and_what_came_is_kept(server, tmp_path):
    """It used to be called standard output."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))  # no file may grow beyond
    try:
        with pytest.raises(OSError, match=r"11-May-2012\.tar\.part"):
            get(server, tmp_path, "good")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / f"{download.NAME}.part").read_bytes() == TAR[:HALF]
    assert get(server, tmp_path, "good") and server.notes[-1]["range"] == f"bytes={HALF}-"


def test_a_half_voc_folder_is_not_touched(server, tmp_path):
    home = tmp_path / "VOCdevkit" / "VOC2012"
    home.mkdir(parents=True)
    with pytest.raises(FileExistsError, match="move it out of the way"):
        get(server, tmp_path, "good")
    (home / "ImageSets" / "Segmentation").mkdir(parents=True)
    assert get(server, tmp_path, "good") == home and server.notes == []


def test_other_years_in_the_same_folder_stay(server, tmp_path):
    (tmp_path / "VOCdevkit" / "VOC2007").mkdir(parents=True)
    get(server, tmp_path, "good")
    assert (tmp_path / "VOCdevkit" / "VOC2007").is_dir()


def test_a_killed_download_goes_on_where_it_was(server, tmp_path):
    """The process dies by SIGKILL midway; the next call asks for the rest only."""
    md5 = hashlib.md5(TAR, usedforsecurity=False).hexdigest()
    code = (
        "import sys; from segcore.data import download; download._CHUNK = 20_000;"
        f"download.download_voc(sys.argv[1], [sys.argv[2]], {md5!r}, {len(TAR)}, wait=0)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), url(server, "slow")]
    part = tmp_path / f"{download.NAME}.part"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    kept = part.stat().st_size
    assert 0 < kept < len(TAR)
    get(server, tmp_path, "good")
    assert server.notes[-1]["range"] == f"bytes={kept}-" and unpacked(tmp_path)


def test_the_built_in_facts_are_the_official_ones():
    assert download.SIZE == 1_999_639_040
    assert download.MD5 == "6cd6e144f989b92b3379bac3b3de84fd"
    assert download.MIRRORS[0].startswith("http://host.robots.ox.ac.uk/pascal/VOC/voc2012/")
    assert all(mirror.endswith(download.NAME) for mirror in download.MIRRORS)
