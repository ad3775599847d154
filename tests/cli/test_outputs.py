"""What a command may write over: nothing that it reads, and nothing that segcore did not write."""

import os

import numpy as np
import pytest
from PIL import Image

from segcore.cli import common, outputs
from segcore.cli import main as cli
from segcore.data import voc
from segcore.inference.segmenter import Segmenter


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """A segmenter that answers at once → a list that shows whether it was loaded."""
    found = []

    def load(*_):
        found.append(True)
        return Segmenter(lambda box: np.zeros(box.shape[:2], np.uint8), 33, "quick")

    monkeypatch.setattr(common, "load", load)
    return found


def picture(path):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (60, 40), (90, 90, 90)).save(path)
    return path


def other_names(folder):
    """Ways to say p/cat_mask.png."""
    os.link(folder / "cat_mask.png", folder / "linked.png")
    (folder / "symbolic.png").symlink_to("cat_mask.png")
    (folder.parent / "elsewhere").symlink_to(folder)
    return {
        "plain": folder / "cat_mask.png",
        "roundabout": folder / ".." / folder.name / "cat_mask.png",
        "hard link": folder / "linked.png",
        "symbolic link": folder / "symbolic.png",
        "linked folder": folder.parent / "elsewhere" / "cat_mask.png",
    }


KINDS = ["plain", "roundabout", "hard link", "symbolic link", "linked folder"]


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("kind", KINDS)
def test_no_output_replaces_an_input(tmp_path, loaded, capsys, monkeypatch, kind, force):
    """The mask of the first photo used to replace the second photo before it was read."""
    photo, second = picture(tmp_path / "p/cat.jpg"), picture(tmp_path / "p/cat_mask.png")
    before = second.read_bytes()
    typed = other_names(tmp_path / "p")[kind]
    monkeypatch.chdir(tmp_path)
    assert cli.main(["predict", str(photo), str(typed), "--out", "p", *force]) == 2
    said = capsys.readouterr().err
    assert "cat_mask.png: is an input, too; choose another" in said and said.count("\n") == 1
    assert second.read_bytes() == before and not loaded
    assert not (tmp_path / "p/cat_overlay.png").exists()


def test_an_input_that_the_first_photo_would_make_is_an_input(tmp_path, capsys):
    photo, second = picture(tmp_path / "cat.jpg"), tmp_path / "Cat_Mask.png"
    assert cli.main(["predict", str(photo), str(second), "--out", str(tmp_path)]) == 2
    assert "is an input, too" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["cat.jpg"]


def test_only_what_segcore_wrote_is_replaced(tmp_path, capsys):
    photo, out = picture(tmp_path / "cat.jpg"), tmp_path / "out"
    typed = ["predict", str(photo), "--out", str(out)]
    mine = picture(out / "cat_overlay.png")
    before = mine.read_bytes()
    assert cli.main(typed) == 2
    assert "cat_overlay.png: segcore did not write this file" in capsys.readouterr().err
    assert mine.read_bytes() == before and os.listdir(out) == ["cat_overlay.png"]
    assert cli.main([*typed, "--force"]) == 0
    assert mine.read_bytes() != before
    assert cli.main(typed) == 0  # its own it replaces unasked
    assert voc.read_mask(out / "cat_mask.png").shape == (40, 60)


def test_a_mask_that_was_corrected_by_hand_is_not_replaced(tmp_path, capsys):
    photo, out = picture(tmp_path / "cat.jpg"), tmp_path / "out"
    typed = ["predict", str(photo), "--out", str(out)]
    assert cli.main(typed) == 0
    mask = voc.read_mask(out / "cat_mask.png")
    mask[:9] = 8
    voc.write_mask(out / "cat_mask.png", mask)
    assert cli.main(typed) == 2
    assert "cat_mask.png: segcore did not write" in capsys.readouterr().err
    assert (voc.read_mask(out / "cat_mask.png")[:9] == 8).all()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_not_replaced(tmp_path, capsys, make):
    photo, out = picture(tmp_path / "cat.jpg"), tmp_path / "out"
    out.mkdir()
    make(out / "cat_mask.png")
    assert cli.main(["predict", str(photo), "--out", str(out)]) == 2
    assert "cat_mask.png: " in capsys.readouterr().err
    assert not (out / "cat_mask.png").is_file()


@pytest.mark.parametrize(
    ("name", "said"), [("m.tflite", "is an input, too"), ("notes.json", "did not write")]
)
def test_the_numbers_of_a_benchmark_replace_no_model(tmp_path, capsys, name, said):
    model, notes = tmp_path / "m.tflite", tmp_path / "notes.json"
    model.write_bytes(b"")
    notes.write_text("{}")
    assert cli.main(["benchmark", str(model), "--json", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err
    assert model.read_bytes() == b"" and notes.read_text() == "{}"


def test_the_contract_vouches_for_its_files_until_they_change(tmp_path):
    contract, file, other = (tmp_path / name for name in ("contract.json", "a.tflite", "b.tflite"))
    file.write_bytes(b"TFL3")
    other.write_bytes(b"TFL3 too")
    assert not outputs.is_own(file)
    outputs.write_json(contract, {"sha256": outputs.checksums(tmp_path, [file])})
    assert outputs.is_own(contract) and outputs.is_own(file) and not outputs.is_own(other)
    outputs.write_json(contract, {"sha256": outputs.checksums(tmp_path, [other])})
    assert outputs.is_own(file) and outputs.is_own(other)  # an earlier export is not forgotten
    file.write_bytes(b"TFL3 retrained")
    assert not outputs.is_own(file)


@pytest.mark.parametrize("name", ["deeplab_float32_65.tflite", "contract.json"])
def test_export_replaces_nothing_of_others(tmp_path, capsys, name):
    (tmp_path / name).write_text("mine")
    typed = ["export", "--precision", "float32", "--size", "65", "--out", str(tmp_path)]
    assert cli.main(typed) == 2
    assert f"{name}: segcore did not write" in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "mine" and os.listdir(tmp_path) == [name]
