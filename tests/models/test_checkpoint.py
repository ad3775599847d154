"""Weights in files: what they say of themselves, and what becomes of damaged ones."""

import io
import json
import zipfile

import numpy as np
import pytest

from segcore import shipped
from segcore.data import voc
from segcore.models import checkpoint, deeplab, pretrained

FEW = {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "b/bias": np.zeros(400)}


@pytest.fixture
def saved(tmp_path):
    said = checkpoint.Description("deeplab_lean", 65, 3, ("sky", "road", "tree"))
    checkpoint.write_weights(FEW, tmp_path / "w.npz", "float32", said)
    return tmp_path / "w.npz"


def test_a_file_says_what_it_is(saved):
    said = checkpoint.read_description(saved)
    assert said == checkpoint.Description("deeplab_lean", 65, 3, ("sky", "road", "tree"))
    assert list(checkpoint.read_weights(saved)) == list(FEW)
    checkpoint.write_weights(FEW, saved)
    assert checkpoint.read_description(saved) == checkpoint.Description()


def test_numpy_reads_the_shipped_files_without_pickle():
    with np.load(shipped.FLOAT.file) as file:
        said = json.loads(str(file["__meta__"]))
    assert said["class_names"] == list(voc.CLASSES) and said["own_layers"] == {"_257": 359}


@pytest.mark.parametrize(("size", "own"), [(257, True), (353, True), (369, False), (513, False)])
def test_the_shipped_weights_have_layers_for_small_inputs(size, own):
    raw, chosen = (checkpoint.read_weights(shipped.FLOAT.file, s) for s in (None, size))
    key = "bn_Conv1/gamma"
    wanted = raw["bn_Conv1_257/gamma"] if own else raw[key]
    np.testing.assert_array_equal(chosen[key], wanted)
    assert not [name for name in chosen if "_257/" in name]


def test_a_saved_network_of_other_classes_is_built_as_it_was(tmp_path):
    network = deeplab.deeplab_lean(65, 3)
    checkpoint.save_weights(network, tmp_path / "w.npz", class_names=("sky", "road", "tree"))
    again = pretrained.load(weights=tmp_path / "w.npz")
    assert again.name == "deeplab_lean" and again.output_shape == (None, 65, 65, 3)
    assert pretrained.class_names(tmp_path / "w.npz") == ("sky", "road", "tree")


def test_weights_of_no_known_network_are_named(tmp_path):
    said = checkpoint.Description("unet")
    checkpoint.write_weights(FEW, tmp_path / "w.npz", description=said)
    with pytest.raises(
        ValueError, match=r"w\.npz: holds weights of 'unet'; wanted deeplab_v3_plus"
    ):
        pretrained.load(weights=tmp_path / "w.npz")


@pytest.mark.parametrize("text", ["[1]", "{}", '{"class_names": 3}', '{"class_names": [], "x": 1}'])
def test_a_description_that_is_none(saved, text):
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("__meta__.npy", npy(np.array(text)))
    with pytest.raises(ValueError, match=r"w\.npz: its __meta__ is not a description"):
        checkpoint.read_description(saved)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(saved, bad):
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("a/kernel.npy", npy(np.array([1.0, bad], np.float32)))
    with pytest.raises(ValueError, match=r"w\.npz: a/kernel holds values that are not finite"):
        checkpoint.read_weights(saved)


def test_a_huge_member_is_refused_before_it_is_unpacked(saved, monkeypatch):
    """A file of 8 GB that packs to nothing: its header is enough. Nothing may open a member."""
    head = npy(np.zeros(0, np.float32)).replace(b"(0,)", b"(2147483648,)")
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("a/kernel.npy", head)
    whole = saved.read_bytes()
    size = len(head).to_bytes(4, "little")
    assert whole.count(size) == 4  # packed and unpacked size, twice each
    place = whole.rindex(size)  # the unpacked one in the directory
    saved.write_bytes(whole[:place] + (2**32 - 2).to_bytes(4, "little") + whole[place + 4 :])
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(ValueError, match=r"w\.npz: not a readable .*4\.0 GiB; at most 1 GiB"):
        checkpoint.read_weights(saved)


def test_a_header_that_lies_is_refused(saved):
    with zipfile.ZipFile(saved, "w") as archive:
        for name, shape in (("a", b"(2147483648,)"), ("b", b"(2147483648,)")):
            head = npy(np.zeros(0, np.float32)).replace(b"(0,)", shape)
            archive.writestr(f"{name}/kernel.npy", head)
    with pytest.raises(ValueError, match=r"w\.npz: not a readable \.npz of weights"):
        checkpoint.read_weights(saved)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_are_named(saved, seed):
    """Fifty files each: bits flipped anywhere, or cut short. Whole or a ValueError, never more."""
    rng, whole = np.random.default_rng(seed), saved.read_bytes()
    for number in range(50):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] ^= 1 << int(rng.integers(8))
        saved.write_bytes(damaged if number % 5 else whole[: rng.integers(len(whole))])
        for read in (checkpoint.read_weights, checkpoint.read_description):
            try:
                read(saved)
            except ValueError as error:
                assert str(error).startswith(f"{saved}: ") and error.__cause__ is not None


def npy(array: np.ndarray) -> bytes:
    """The bytes of a .npy."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()
