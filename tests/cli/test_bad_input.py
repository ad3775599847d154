"""The bad input that tests/README.md lists, each through the command as a person would type it."""

import errno
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from voc_folder import write_voc

from segcore import shipped
from segcore.cli import common
from segcore.cli import main as cli
from segcore.data import voc
from segcore.export.labels import with_labels
from segcore.inference import segmenter
from segcore.inference.segmenter import Segmenter
from segcore.models import checkpoint

PHOTO = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)


def png(path, size=(60, 40)):
    Image.fromarray(PHOTO).resize(size).save(path)
    return path


def write(path, content):
    path.write_bytes(content)
    return path


def photo_kinds(here):
    """Makes each bad photo in `here` → what is typed after `segcore predict`."""
    whole = png(here / "whole.jpg").read_bytes()
    pixels = bytearray(png(here / "p.png").read_bytes())
    pixels[pixels.index(b"IDAT") + 40] ^= 0xFF
    huge = bytearray(png(here / "h.png").read_bytes())
    huge[16:24] = (20_000).to_bytes(4, "big") * 2
    floats = here / "floats.tif"
    Image.fromarray(PHOTO[..., 0].astype(np.float32) / 9).save(floats)
    (here / "folder").mkdir()
    return {
        "photo-missing": here / "lost.jpg",
        "photo-is-folder": here / "folder",
        "photo-empty": write(here / "empty.jpg", b""),
        "photo-is-text": write(here / "text.jpg", b"a shopping list, not a photo"),
        "photo-cut-short": write(here / "cut.jpg", whole[: len(whole) // 2]),
        "photo-damaged": write(here / "damaged.png", bytes(pixels)),
        "photo-heic": write(here / "phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        "photo-strip": png(here / "strip.png", (2000, 10)),
        "photo-too-large": write(here / "huge.png", bytes(huge)),
        "photo-of-floats": floats,
    }


def model_kinds(here):
    """Makes each bad model → the pair (file the error must name, options)."""
    whole = shipped.FLOAT.file.read_bytes()
    checkpoint.write_weights({"Conv1/kernel": np.zeros((3, 3, 3, 8))}, here / "other.npz")
    made_for_513 = write(here / "m513.tflite", with_labels(b"\0\0\0\0TFL3", "ab"))
    files = {
        "model-missing": here / "lost.tflite",
        "model-unknown-kind": write(here / "old.h5", b"HDF"),
        "model-npz-cut-short": write(here / "half.npz", whole[: len(whole) // 2]),
        "model-of-other-network": here / "other.npz",
        "model-tflite-broken": write(here / "broken.tflite", b"TFL?" * 64),
    }
    typed = {kind: (path, ["--model", str(path)]) for kind, path in files.items()}
    typed["model-other-size"] = (
        made_for_513,
        ["--model", str(made_for_513), "--size", "257"],
    )
    return typed


def voc_kinds(here):
    """Makes a small VOC folder for each kind, spoils it → the pair (name in the error, typed)."""

    def folder(kind):
        write_voc(here / kind)
        (photo, mask), *_ = voc.file_pairs(here / kind, "val")
        return str(here / kind), photo, mask

    typed = {"voc-missing": (here / "nowhere", [str(here / "nowhere")])}
    (here / "voc-not-voc").mkdir()
    typed["voc-not-voc"] = (here / "voc-not-voc", [str(here / "voc-not-voc")])
    root, photo, mask = folder("voc-unknown-split")
    typed["voc-unknown-split"] = (Path("test.txt"), [root, "--split", "test"])
    root, photo, mask = folder("voc-photo-gone")
    photo.unlink()
    typed["voc-photo-gone"] = (photo, [root])
    spoilt = {
        "voc-sizes-differ": lambda mask: mask.resize((9, 9), 0),
        "mask-unknown-colour": lambda mask: Image.new("RGB", mask.size, (1, 2, 3)),
        "mask-other-palette": lambda mask: mask.convert("L").convert("P", palette=1),
        "mask-16-bit": lambda mask: Image.fromarray(np.full(mask.size[::-1], 300, np.uint16)),
        "mask-unknown-id": lambda mask: Image.new("L", mask.size, 21),
        "mask-half-transparent": lambda mask: Image.new("RGBA", mask.size, (128, 0, 0, 99)),
    }
    for kind, spoil in spoilt.items():
        root, photo, mask = folder(kind)
        with Image.open(mask) as image:
            spoilt_mask = spoil(image)
        spoilt_mask.save(mask)
        typed[kind] = (mask, [root])
    return typed


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    here = tmp_path_factory.mktemp("bad")
    return {"photo": photo_kinds(here), "model": model_kinds(here), "voc": voc_kinds(here)}


@pytest.fixture
def fast(monkeypatch):
    """A segmenter that answers at once: here only the ways in and out are on trial."""
    quick = Segmenter(lambda box: np.zeros(box.shape[:2], np.uint8), 33, "quick")
    monkeypatch.setattr(common, "load", lambda *options: quick)


def run(capsys, *typed):
    """Runs the command → its one line on standard error, after checking exit code and count."""
    assert cli.main([str(word) for word in typed]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "photo/s" not in line]
    lines = [line for line in lines if line.strip()]
    assert len(lines) == 1, lines
    assert lines[0].startswith("segcore: ") and "Traceback" not in lines[0]
    assert re.search(r"[;,(:] ?.*\w+ \w+", lines[0].split(": ", 2)[-1]), "says what to do"
    return lines[0]


def photo_names():
    return [kind for kind in listed() if kind.startswith("photo-")]


def listed():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([\w-]+)` \|", text, re.M)


@pytest.mark.parametrize("kind", photo_names())
def test_photo(bad, fast, capsys, tmp_path, kind):
    photo = bad["photo"][kind]
    said = run(capsys, "predict", photo, "--out", tmp_path / "out")
    assert photo.name in said
    assert not list((tmp_path / "out").iterdir())


def test_a_bad_photo_does_not_stop_the_others(bad, fast, capsys, tmp_path):
    good = png(tmp_path / "good.png")
    run(capsys, "predict", bad["photo"]["photo-empty"], good, "--out", tmp_path / "out")
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["good_mask.png", "good_overlay.png"]


@pytest.mark.parametrize("kind", [kind for kind in listed() if kind.startswith("model-")])
def test_model(bad, capsys, tmp_path, monkeypatch, kind):
    path, options = bad["model"][kind]
    if kind == "model-other-size":
        monkeypatch.setattr(segmenter, "open_interpreter", lambda *_: Made513())
    said = run(capsys, "predict", png(tmp_path / "p.png"), "--out", tmp_path / "out", *options)
    assert path.name in said and not (tmp_path / "out").exists()


class Made513:
    """An interpreter whose file was exported for 513 pixels."""

    def get_input_details(self):
        shape = np.array([1, 513, 513, 3])
        return [{"dtype": np.uint8, "shape": shape, "shape_signature": shape, "index": 0}]

    get_output_details = get_input_details


@pytest.mark.parametrize("kind", [kind for kind in listed() if kind[:4] in ("voc-", "mask")])
def test_voc_folder(bad, fast, capsys, kind):
    path, typed = bad["voc"][kind]
    assert path.name in run(capsys, "evaluate", *typed)


def test_out_is_file(fast, capsys, tmp_path):
    (tmp_path / "out").write_text("mine")
    said = run(capsys, "predict", png(tmp_path / "p.png"), "--out", tmp_path / "out")
    assert "out" in said and (tmp_path / "out").read_text() == "mine"


def test_disk_full(fast, capsys, tmp_path, monkeypatch):
    def save(self, target, *args, **options):
        if not hasattr(target, "write"):
            Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    photo = png(tmp_path / "p.png")
    monkeypatch.setattr(Image.Image, "save", save)
    said = run(capsys, "predict", photo, "--out", tmp_path / "out")
    assert "p" in said and "No space left" in said
    assert not list((tmp_path / "out").iterdir())


def test_the_readme_lists_what_is_tested(bad):
    tested = {*bad["photo"], *bad["model"], *bad["voc"], "out-is-file", "disk-full"}
    assert set(listed()) == tested and len(tested) >= 20
