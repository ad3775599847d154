"""Class names behind a model: what is packed comes out again, and the model stays what it was."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from segcore import shipped
from segcore.export.interpreter import open_interpreter
from segcore.export.labels import labels_beside, read_labels, with_labels
from segcore.export.tflite import File

SHIPPED = shipped.PHONE.file.read_bytes()
NAMES = ("sky", "road", "Bäume")


def test_names_come_out_as_they_went_in_and_replace_each_other():
    named = with_labels(SHIPPED, NAMES)
    assert read_labels(named) == NAMES and File(named).class_names == NAMES
    assert with_labels(named, shipped.PHONE.class_names) == SHIPPED
    assert with_labels(SHIPPED, ()) == SHIPPED


def test_the_model_in_front_is_untouched():
    """The answers of the interpreter are the same with and without the zip."""
    with zipfile.ZipFile(io.BytesIO(SHIPPED)) as archive:
        model = SHIPPED[: archive.infolist()[0].header_offset]
    assert read_labels(model) == () and with_labels(model, shipped.PHONE.class_names) == SHIPPED
    answers = []
    for content in (model, with_labels(model, NAMES)):
        run = open_interpreter(content)
        pixels = np.random.default_rng(0).integers(0, 256, (1, 257, 257, 3), np.uint8)
        run.set_tensor(run.get_input_details()[0]["index"], pixels)
        run.invoke()
        answers.append(run.get_tensor(run.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*answers)


def test_any_unzip_finds_them():
    with zipfile.ZipFile(io.BytesIO(with_labels(SHIPPED, NAMES))) as archive:
        assert archive.testzip() is None and archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt").decode().splitlines() == list(NAMES)


def test_what_other_tools_pack_is_read():
    packed = io.BytesIO(with_labels(SHIPPED, NAMES)[: len(SHIPPED) - 400])
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("labelmap.txt", "a\r\nb\r\n\r\n")
    assert read_labels(packed.getvalue()) == ("a", "b")


@pytest.mark.parametrize("place", [1000, 1_000_000, 2_600_000])
def test_a_flipped_byte_is_seen(place):
    damaged = bytearray(SHIPPED)
    damaged[place] ^= 16
    with pytest.raises(ValueError, match=r"^the content: damaged since its class names were "):
        _ = File(bytes(damaged)).class_names


def test_a_damaged_zip_is_no_names():
    for end in (len(SHIPPED) - 50, len(SHIPPED) - 200, len(SHIPPED) - 300):
        assert read_labels(SHIPPED[:end]) == ()


def test_names_beside_the_file(tmp_path: Path):
    assert labels_beside(tmp_path / "m.keras") == ()
    (tmp_path / "m.keras.labels.txt").write_text("sky\nroad\n\n", encoding="utf-8-sig")
    assert labels_beside(tmp_path / "m.keras") == ("sky", "road")
