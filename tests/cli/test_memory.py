"""Large photos within bounds, and one line where memory does not suffice."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from segcore.cli import common, segment
from segcore.cli import main as cli
from segcore.inference.segmenter import Segmenter

QUICK = """
import resource, sys
from pathlib import Path
from segcore.cli import common
from segcore.cli import main as cli
from segcore.inference.segmenter import Segmenter

def load(*_):
    if room := int(sys.argv[1]):  # bytes, from now on
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room,) * 2)
    return Segmenter(lambda box: (box[..., 0] > 99).astype(int), 257, "quick")

common.load = load
code = cli.main(["predict", *sys.argv[2:]])
# The peak of this program alone: ru_maxrss begins with that of the process which started it.
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A JPEG of 40 megapixels, half of it bright."""
    pixels = np.zeros((5000, 8000, 3), np.uint8)
    pixels[:, 4000:] = 200
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    Image.fromarray(pixels).save(path)
    return path


def predict(folder, room=0):
    """Runs the command in a process with `room` bytes left for the photo (0: as many as wanted)."""
    typed = [sys.executable, "-c", QUICK, str(room), "large.jpg", "--out", "out"]
    return subprocess.run(typed, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_large_photo_is_there_once_or_twice(large):
    """3 bytes a pixel here, 4 in Pillow, 1 for the mask: 320 MB; it took 2.6 GB."""
    done = predict(large.parent)
    assert done.returncode == 0, done.stderr
    assert "large.jpg: 8000×5000  aeroplane 50.2 %, background 49.8 %" in done.stdout
    assert int(done.stdout.split()[-1]) < 520
    with Image.open(large.parent / "out/large_mask.png") as mask:
        assert mask.size == (8000, 5000) and mask.getpixel((7999, 4999)) == 1


@pytest.mark.slow
def test_too_little_memory_is_one_line(large):
    done = predict(large.parent, 100_000_000)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert "large.jpg needs more memory than there is" in done.stderr


def test_the_other_photos_go_on(tmp_path, monkeypatch, capsys):
    read = segment.read_image

    def fill(path):
        if "large" in str(path):
            raise MemoryError("Unable to allocate 9.00 GiB")
        return read(path)

    quick = Segmenter(lambda box: np.zeros(box.shape[:2], np.uint8), 33, "quick")
    monkeypatch.setattr(common, "load", lambda *_: quick)
    monkeypatch.setattr(segment, "read_image", fill)
    for name in ("large.png", "small.png"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    typed = [str(tmp_path / name) for name in ("large.png", "small.png")]
    assert cli.main(["predict", *typed, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "large.png needs more memory" in said.err and said.err.count("\n") == 1
    assert "small.png: 60×40" in said.out
