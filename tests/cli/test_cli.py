"""The command on good input."""

import numpy as np
import pytest
from PIL import Image

from segcore.cli import common
from segcore.cli import main as cli
from segcore.data import voc
from segcore.inference.segmenter import Segmenter


@pytest.fixture
def bright_is_cat(monkeypatch):
    """A segmenter that calls bright pixels cat, in place of the network."""
    quick = Segmenter(lambda box: np.where(box[..., 0] > 200, 8, 0), 33, "bright")
    monkeypatch.setattr(common, "load", lambda *options: quick)


@pytest.fixture
def photo(tmp_path):
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 20:] = 255
    Image.fromarray(image).save(tmp_path / "half.png")
    return tmp_path / "half.png"


def test_predict_writes_mask_and_overlay(bright_is_cat, photo, tmp_path, capsys):
    assert cli.main(["predict", str(photo), "--out", str(tmp_path / "out")]) == 0
    mask = voc.read_mask(tmp_path / "out" / "half_mask.png")
    assert mask.shape == (20, 40) and mask[10, 35] == 8 and mask[10, 5] == 0
    overlay = np.asarray(Image.open(tmp_path / "out" / "half_overlay.png"))
    assert overlay[10, 5].tolist() == [0, 0, 0]
    assert overlay[10, 35].tolist() == [140, 102, 102]  # 60 % cat's dark red over white
    said = capsys.readouterr().out
    assert "half.png: 40×20" in said and "cat 47.5 %" in said and " ms)" in said


def test_exif_rotation_is_honoured(bright_is_cat, photo, tmp_path):
    image = Image.open(photo)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    cli.main(["predict", str(tmp_path / "turned.png"), "--out", str(tmp_path / "out")])
    mask = voc.read_mask(tmp_path / "out" / "turned_mask.png")
    assert mask.shape == (40, 20) and mask[35, 10] == 8 and mask[5, 10] == 0


def test_equal_names_do_not_overwrite_each_other(bright_is_cat, photo, tmp_path):
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "half.png"
    other.write_bytes(photo.read_bytes())
    cli.main(["predict", str(photo), str(other), "--out", str(tmp_path / "out")])
    assert len(list((tmp_path / "out").glob("*_mask.png"))) == 2


def test_many_photos_show_progress(bright_is_cat, photo, tmp_path, capsys):
    cli.main(["predict", *[str(photo)] * 3, "--out", str(tmp_path / "out")])
    assert "3/3" in capsys.readouterr().err


def test_unknown_command_ends_with_2(capsys):
    assert cli.main(["fly"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "'fly'" in said and said.endswith("see segcore --help\n")


def test_help_lists_the_exit_codes(capsys):
    assert cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "exit codes" in said and "130" in said and "141" in said


@pytest.mark.parametrize("command", ["predict", "evaluate", "benchmark"])
@pytest.mark.parametrize("threads", ["0", "-1", "257", "100000", "9" * 30, "two"])
def test_numbers_of_threads_that_no_machine_has_are_refused(command, threads, capsys):
    """LiteRT segfaults at 100,000."""
    assert cli.main([command, "a", "--threads", threads]) == 2
    said = capsys.readouterr().err
    assert said.startswith("segcore: argument --threads: ") and threads in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", [["predict", "a"], ["evaluate", "a"], ["export"]])
@pytest.mark.parametrize("size", ["0", "-15", "17", "256", "2065", "1000001"])
def test_sizes_that_fit_no_network_are_refused(command, size, capsys):
    """TensorFlow segfaults at 1,000,001."""
    assert cli.main([*command, "--size", size]) == 2
    said = capsys.readouterr().err
    assert f"--size: size must be 16k+1 from 33 to 2049, e.g. 257 or 513, not {size}" in said


def test_masks_are_only_announced_when_there_are_some(bright_is_cat, tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path / "lost.jpg"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().out == ""


def test_no_mask_is_overwritten_by_another_photos():
    photos = ["a/x.jpg", "b/x.png", "c/x_2.jpg", "d/X.jpg", "e/y.jpg"]
    assert common.stems(photos) == ["x", "x_2", "x_2_2", "X_3", "y"]
