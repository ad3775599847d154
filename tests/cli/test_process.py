"""The command as a process: closed and odd streams, pipes whose reader goes, Ctrl-C."""

import os
import signal
import subprocess
import sys

import pytest
from PIL import Image

from segcore.data import voc

ADVICE = b"free some space and run it again\n"


@pytest.fixture
def photo(tmp_path):
    Image.new("RGB", (60, 40), (90, 120, 200)).save(tmp_path / "cat.jpg")
    return tmp_path / "cat.jpg"


def shell(line, folder, **environment):
    """`line` under sh, where $SEGCORE stands for the command → the finished process."""
    environment = {**os.environ, "SEGCORE": f"{sys.executable} -m segcore", **environment}
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, check=False
    )


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_masks_are_written_whatever_becomes_of_the_messages(photo, closed):
    done = shell(f"$SEGCORE predict cat.jpg cat.jpg cat.jpg {closed}", photo.parent)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    out = photo.parent / "segcore_out"
    assert voc.read_mask(out / "cat_3_mask.png").shape == (40, 60)
    Image.open(out / "cat_3_overlay.png").load()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_without_our_characters_loses_no_mask(photo, encoding):
    odd = photo.rename(photo.parent / "k\u0101\u0137is\n\u2603.jpg")
    done = shell("$SEGCORE predict *.jpg", photo.parent, PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stderr == b""
    assert (photo.parent / f"segcore_out/{odd.stem}_mask.png").exists()
    assert done.stdout.count(b"\n") == 2 and b"60" in done.stdout


def test_a_reader_that_has_seen_enough_ends_the_command_quietly(photo):
    line = "{ $SEGCORE --help; $SEGCORE predict cat.jpg; echo $? >code; } | true"
    assert shell(line, photo.parent).stderr == b""
    assert (photo.parent / "code").read_text() == "141\n"


def test_a_full_disk_behind_the_output_is_one_line(photo):
    done = shell("$SEGCORE predict cat.jpg >/dev/full", photo.parent)
    assert done.returncode == 2
    assert done.stderr == b"segcore: standard output: No space left on device; " + ADVICE


def test_ctrl_c_during_the_import_is_one_line(tmp_path):
    """A module that waits stands for the seconds of an import."""
    (tmp_path / "numpy.py").write_text("import time; print('now', flush=True); time.sleep(60)")
    way = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    process = subprocess.Popen(
        [sys.executable, "-m", "segcore", "predict", "a.jpg"],
        env={**os.environ, "PYTHONPATH": way},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said == b"segcore: stopped\n"
