"""Networks that are broken or not asked for rightly: no mask, no score, no file comes of them."""

import io

import numpy as np
import pytest
from PIL import Image
from voc_folder import write_voc

from segcore import shipped
from segcore.cli import common
from segcore.cli import main as cli
from segcore.export import tflite
from segcore.inference.segmenter import Segmenter


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a photo and a VOC folder, to work in."""
    Image.new("RGB", (60, 40), (90, 120, 200)).save(tmp_path / "a.png")
    write_voc(tmp_path / "voc")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = [["predict", "a.png"], ["evaluate", "voc"], ["evaluate", "voc", "--json"]]


def refused(typed, capsys):
    """Runs the command → its one complaint, after checking that nothing else came."""
    assert cli.main(typed) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("segcore: ")
    return said.err


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("typed", COMMANDS)
def test_scores_that_are_not_finite_are_no_answer(here, capsys, monkeypatch, typed, value):
    """NaN used to be "background 100.0 %"."""

    def infer(box):
        scores = np.zeros((33, 33, 21), np.float32)
        scores[16, 16, 3] = value
        return scores

    monkeypatch.setattr(common, "load", lambda *_: Segmenter(infer, 33, "broken.tflite"))
    assert "broken.tflite: " in refused(typed, capsys)
    assert not list(here.rglob("*_mask.png"))


@pytest.mark.parametrize("scale", [np.nan, np.inf, 0, -1, 1e30])
@pytest.mark.parametrize("typed", [*COMMANDS[:2], ["benchmark"]])
def test_scales_that_kill_the_runtime_are_refused(here, capsys, typed, scale):
    """LiteRT 2.1 ends the process for some of them, in the file's output above all."""
    file = tflite.File(shipped.PHONE.file)
    for tensor in (file.graph.outputs[0], file.graph.operators[20].outputs[0]):
        file.graph.tensors[tensor].quantization.scale = np.array([scale], np.float32)
    (here / "m.tflite").write_bytes(tflite.write(file.model))
    model = ["m.tflite"] if typed == ["benchmark"] else ["--model", "m.tflite"]
    assert "m.tflite: has a quantisation scale of" in refused([*typed, *model], capsys)


@pytest.mark.parametrize(
    "typed", [*COMMANDS[:2], ["export", "--precision", "float32", "--out", "out"]]
)
def test_weights_that_are_not_finite_are_refused(here, capsys, typed):
    with np.load(io.BytesIO(shipped.FLOAT.file.read_bytes())) as stored:
        arrays = dict(stored)
    arrays["logits/kernel"] = arrays["logits/kernel"] * np.nan
    np.savez(here / "m.npz", **arrays)
    assert "m.npz" in refused([*typed, "--model", "m.npz", "--size", "65"], capsys)
    assert not list(here.rglob("*.tflite"))


def test_threads_where_they_mean_nothing_are_refused(here, capsys):
    said = refused(["predict", "a.png", "--model", "float", "--threads", "2"], capsys)
    assert "float: threads=2 is for a .tflite" in said


def test_classes_without_names_are_said_to_be_assumed(here, capsys, monkeypatch):
    quick = Segmenter(
        lambda box: np.zeros(box.shape[:2], np.uint8), 33, "quick", names_assumed=True
    )
    monkeypatch.setattr(common, "load", lambda *_: quick)
    assert cli.main(["predict", "a.png", "--model", "theirs.tflite"]) == 0
    assert "theirs.tflite does not name its classes" in capsys.readouterr().err
