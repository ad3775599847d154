"""Weights in files: what they say of themselves, and what becomes of damaged ones."""

import io
import json
import zipfile

import numpy as np
import pytest

from segcore import shipped
from segcore._keras import keras
from segcore.data import voc
from segcore.models import checkpoint, deeplab, pretrained

SMALL = 65  # pixels
FEW = {"a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "b/bias": np.zeros(400)}


@pytest.fixture
def saved(tmp_path):
    said = checkpoint.Description("deeplab_light", 65, 3, ("sky", "road", "tree"))
    checkpoint.write_weights(FEW, tmp_path / "w.npz", "float32", said)
    return tmp_path / "w.npz"


def test_a_file_says_what_it_is(saved):
    said = checkpoint.read_description(saved)
    assert said == checkpoint.Description("deeplab_light", 65, 3, ("sky", "road", "tree"))
    assert list(checkpoint.read_weights(saved)) == list(FEW)
    checkpoint.write_weights(FEW, saved)
    assert checkpoint.read_description(saved) == checkpoint.Description()


def test_numpy_reads_the_shipped_files_without_pickle():
    with np.load(shipped.FLOAT.file) as file:
        said = json.loads(str(file["__meta__"]))
    assert said["class_names"] == list(voc.CLASSES)


def test_a_saved_network_of_other_classes_is_built_as_it_was(tmp_path):
    network = deeplab.deeplab_light(65, 3)
    checkpoint.save_weights(network, tmp_path / "w.npz", class_names=("sky", "road", "tree"))
    again = pretrained.load(weights=tmp_path / "w.npz")
    assert again.name == "deeplab_light" and again.output_shape == (None, 65, 65, 3)
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
    with pytest.raises(ValueError, match=r"w\.npz: not a readable \.npz"):
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


@pytest.mark.slow
def test_weights_survive_a_round_trip(tmp_path):
    network = pretrained.load(65)
    checkpoint.save_weights(network, tmp_path / "w.npz")
    again = deeplab.deeplab_light(65)
    checkpoint.load_weights(again, tmp_path / "w.npz")
    x = np.ones((1, 65, 65, 3), "float32")
    np.testing.assert_array_equal(network.predict_on_batch(x), again.predict_on_batch(x))


def test_misfit_weights_name_the_layer_and_change_nothing(tmp_path):
    arrays = dict(checkpoint.read_weights(shipped.FLOAT.file))
    arrays["logits/bias"] = np.zeros(11)
    checkpoint.write_weights(arrays, tmp_path / "eleven.npz")
    model = deeplab.deeplab_light(33)
    before = model.get_layer("Conv1").get_weights()[0]
    with pytest.raises(ValueError, match=r"logits/bias .*\(11,\) in the file, \(21,\)"):
        checkpoint.load_weights(model, tmp_path / "eleven.npz")
    np.testing.assert_array_equal(before, model.get_layer("Conv1").get_weights()[0])
    del arrays["logits/bias"]
    checkpoint.write_weights(arrays, tmp_path / "less.npz")
    with pytest.raises(ValueError, match="logits/bias is missing"):
        checkpoint.load_weights(model, tmp_path / "less.npz")


def test_float16_refuses_to_overflow(tmp_path):
    with pytest.raises(ValueError, match="too large for float16"):
        checkpoint.write_weights({"a/kernel": np.array([1e6])}, tmp_path / "w.npz")
    assert not list(tmp_path.iterdir())


def test_weights_that_are_no_numbers_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="b/bias holds values that are not numbers"):
        checkpoint.write_weights({"b/bias": np.array([1.0, np.nan])}, tmp_path / "w.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w | {"odd/kernel": np.ones(3)}, "odd/kernel has no place in this model"),
        (
            lambda w: w | {"Conv1/kernel": w["Conv1/kernel"][..., :16]},
            r"Conv1/kernel differs in shape: \(3, 3, 3, 16\) in the file, \(3, 3, 3, 32\) in the",
        ),
    ],
)
def test_weights_that_do_not_fit_name_the_layer(change, words):
    arrays = change(checkpoint.read_weights(shipped.FLOAT.file))
    with pytest.raises(ValueError, match=words):
        checkpoint.load_weights(deeplab.deeplab_light(SMALL), arrays)


def test_weights_of_a_deeplab_v3_lack_the_decoder(random_arrays):
    arrays = random_arrays(deeplab.deeplab_v3(SMALL))
    with pytest.raises(ValueError, match="aspp1_depthwise/kernel is missing"):
        checkpoint.load_weights(deeplab.deeplab_v3_plus(SMALL), arrays)


def npy(array: np.ndarray) -> bytes:
    """The bytes of a .npy."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    "field", [{"class_names": "abc"}, {"size": "513"}, {"num_classes": 2.5}, {"architecture": []}]
)
def test_a_description_of_other_kinds_is_refused(tmp_path, field):
    said = {"architecture": "deeplab_v3_plus", "size": 513, "class_names": ["a"]} | field
    np.savez(tmp_path / "w.npz", **{checkpoint.META: np.array(json.dumps(said))})
    with pytest.raises(ValueError, match=r"w\.npz: its __meta__ is not a description"):
        checkpoint.read_description(tmp_path / "w.npz")


def test_variables_of_one_name_are_refused():
    inner = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(2)])
    image = keras.Input((2,))
    with pytest.raises(ValueError, match=r"two variables are called .*/kernel"):
        checkpoint.arrays_of(keras.Model(image, inner(image)))
