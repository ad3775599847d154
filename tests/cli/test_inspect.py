"""What `segcore inspect` prints, for people and for machines, and what it says to bad files."""

import json

import numpy as np
import pytest
import voc_folder

from segcore import shipped
from segcore.cli import inspect
from segcore.cli import main as cli
from segcore.export import tflite

PHONE = str(shipped.PHONE.file)
PHOTO = (1, shipped.PHONE.size, shipped.PHONE.size, 3)
KINDS = [operator.kind for operator in tflite.File(PHONE).operators]


@pytest.fixture(scope="module")
def few():
    """A third of the pictures, found once."""
    return inspect.shipped_pictures(inspect.load("sharp"))[:8]


@pytest.fixture
def quick(few, monkeypatch):
    monkeypatch.setattr(inspect, "shipped_pictures", lambda reference: few)
    monkeypatch.setattr(inspect, "load", lambda *options, **more: None)


def said(capsys, *typed, code=0):
    assert cli.main(["inspect", *map(str, typed)]) == code
    return capsys.readouterr()


def a_part(kind):
    """A file that holds nothing but one operator of the file for phones."""
    return tflite.File(PHONE).single(KINDS.index(kind))


def test_a_table_names_ends_operators_and_contract(quick, capsys):
    out = said(capsys, PHONE).out
    assert f"{PHOTO} uint8, scale 0.0078" in out and "convolutions in int8" in out
    assert f"{KINDS.count('CONV_2D')} CONV_2D" in out
    assert "tried on 8 pictures, by agreement with sharp: mIoU, %" in out
    assert "=>             RGB, bytes as they are (-1 to 1), letterboxed" in out
    order = [line for line in out.splitlines() if line.startswith("order ")]
    assert len(order) == 1 and "RGB" in order[0] and "ahead by" in order[0]
    assert max(map(len, out.splitlines())) <= len(PHONE) + 80


def test_json_holds_the_same(quick, capsys):
    found = json.loads(said(capsys, PHONE, "--json").out, parse_constant=pytest.fail)
    assert found["why_not"] is None and sum(found["operators"].values()) == len(KINDS)
    assert found["inputs"][0]["shape"] == [*PHOTO] and found["inputs"][0]["zero"] >= 126
    assert found["contract"]["way"] == {
        "values": "bytes as they are (-1 to 1)",
        "order": "RGB",
        "geometry": "letterbox",
    }
    order = found["contract"]["choices"][1]
    lead = order["scores"]["RGB"] - order["scores"]["BGR"]
    assert order["question"] == "order" and order["lead"]["value"] == pytest.approx(lead)
    assert order["lead"]["low"] <= lead <= order["lead"]["high"]


def test_labelled_photos_may_judge(tmp_path, capsys):
    voc_folder.write_voc(tmp_path / "voc", n_train=1, n_val=3)
    options = ["--voc", tmp_path / "voc", "--photos", "2", "--json"]
    assert json.loads(said(capsys, PHONE, *options).out)["contract"]["pictures"] == 2
    complaint = said(capsys, PHONE, "--voc", tmp_path, code=2).err
    assert complaint.count("\n") == 1 and str(tmp_path) in complaint


def test_what_cannot_be_tried_is_described_all_the_same(tmp_path, capsys):
    part = tmp_path / "part.tflite"
    part.write_bytes(a_part("DEPTHWISE_CONV_2D"))
    out = said(capsys, part).out
    assert "1 operators" in out and "1 DEPTHWISE_CONV_2D" in out
    assert "not tried" in out and "one photo with three channels" in " ".join(out.split())
    found = json.loads(said(capsys, part, "--json").out)
    assert found["contract"] is None and "part.tflite: takes (1, " in found["why_not"]


def test_bad_files_are_a_line(tmp_path, capsys):
    whole = shipped.PHONE.file.read_bytes()
    for name, content in {"text": b"a shopping list", "empty": b"", "cut": whole[:5000]}.items():
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(content)
        complaint = said(capsys, path, code=2)
        assert complaint.out == "" and complaint.err.count("\n") == 1
        assert f"{name}.tflite" in complaint.err
    for path in (tmp_path, tmp_path / "lost.tflite"):
        assert str(path) in said(capsys, path, code=2).err


def test_nothing_is_claimed_where_no_way_fits(few, capsys, monkeypatch):
    """Labels that have nothing to do with the pictures."""
    random = np.random.default_rng(0)
    noise = [p._replace(labels=random.choice([0, 8], p.labels.shape).astype(np.uint8)) for p in few]
    monkeypatch.setattr(inspect, "shipped_pictures", lambda reference: noise)
    out = " ".join(said(capsys, PHONE).out.split())
    assert "nothing can be said" in out and "letterboxed" not in out
