"""The experiments' own code, on networks small enough for a test."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.data.images import signed
from segcore.export.convert import to_tflite
from segcore.models import pretrained

FOLDER = Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture
def experiment(monkeypatch):
    """A function that imports an experiment by name, as `python experiments/NAME.py` finds it."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # some set switches for TensorFlow
    return __import__


def small_head(size=5):
    """A head of one convolution, and random features for it."""
    deep, low = (keras.Input((size, size, 2), name=name) for name in ("deep", "low"))
    logits = keras.layers.Conv2D(21, 1, name="logits")(keras.layers.Concatenate()([deep, low]))
    random = np.random.default_rng(0)
    maps = {name: random.random((6, size, size, 2), np.float32) for name in ("deep", "low")}
    return keras.Model([deep, low], logits), maps | {"mask": np.ones((6, size, size), np.int32)}


def test_toy_optimizers_begins_anew_without_deleting_what_is_not_its_own(
    experiment, tmp_path, monkeypatch
):
    toy = experiment("toy_optimizers")
    counts = {"TRAIN": 4, "BATCH": 2, "TRIAL": 6, "FINAL": 7}
    for name, value in {"features": small_head, **counts}.items():
        monkeypatch.setattr(toy, name, value)
    monkeypatch.setattr(sys, "argv", ["toy", "--out", str(tmp_path), "--only", "adam"])
    (tmp_path / "thesis.txt").write_text("mine")
    for _ in range(2):
        toy.main()
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert len(list(tmp_path.glob("adam/*/weights.npz"))) == 6  # three rates, three seeds


def test_voc21_keeps_the_teachers_answers_to_each_set_of_photos(experiment, tmp_path, monkeypatch):
    voc21, asked = experiment("voc21"), []

    def teachers(shared):
        def teach(image):
            asked.append(level := int(image[0, 0, 0]))
            return np.full((65, 65, 21), level, np.float16)

        return teach

    monkeypatch.setattr(voc21, "teachers", teachers)
    pairs = [(tmp_path / f"{level}.png", None) for level in (10, 20, 30)]
    for level, (path, _) in zip((10, 20, 30), pairs, strict=True):
        Image.new("RGB", (9, 9), (level, 0, 0)).save(path)
    for weights in (voc21.V0, voc21.V3):
        (tmp_path / weights).parent.mkdir(exist_ok=True)
        (tmp_path / weights).write_bytes(b"some")
    for part in (pairs[:1], pairs, pairs[1:2], pairs, pairs[:1]):
        for photo in voc21.gather(part, tmp_path, tmp_path / "held.npy"):
            assert (photo.wanted == photo.image[0, 0, 0]).all()
    assert asked == [10, 10, 20, 30, 20]  # each set once
    (tmp_path / voc21.V0).write_bytes(b"others")
    voc21.gather(pairs[:1], tmp_path, tmp_path / "held.npy")
    assert asked.pop() == 10 and len(asked) == 5  # and once more by other teachers


def test_front_enlarges_an_answer_at_stride_4(experiment, tmp_path):
    image = keras.Input((33, 33, 3), batch_size=1)
    small = keras.Model(image, keras.layers.Conv2D(2, 1, 4)(image))
    box = np.random.default_rng(0).integers(0, 256, (33, 33, 3), np.uint8)
    for argmax in (False, True):
        content = to_tflite(small, "float32", argmax=argmax)
        file = write_bytes(tmp_path / "stride_4.tflite", content)
        answer = experiment("front").enlarged(file, 33).infer(box)
        scores = np.asarray(small(signed(box)[None]))[0]
        if argmax:
            np.testing.assert_array_equal(answer[::4, ::4], scores.argmax(-1))
            assert answer.shape == (33, 33)
        else:
            np.testing.assert_allclose(answer[::4, ::4], scores, atol=1e-5)
            np.testing.assert_allclose(
                answer[2::4, 4], (scores[1:, 1] + scores[:-1, 1]) / 2, atol=1e-5
            )


def test_averages_gives_batch_norms_the_statistics_it_is_asked_for(experiment):
    averages = experiment("averages")
    images = np.random.default_rng(0).uniform(-1, 1, (10, 65, 65, 3)).astype(np.float32)
    network = pretrained.load(65)
    before, wanted = network(images).numpy(), averages.behind_norms(network, images)
    for name in ("block_1_project", "aspp0", "decoder1_pointwise"):
        kernel = network.get_layer(name).kernel
        kernel.assign(3 * kernel)  # batch norm has to take this back
    assert np.abs(network(images).numpy() - before).max() > 1
    averages.give_statistics(network, images, wanted)
    np.testing.assert_allclose(network(images).numpy(), before, atol=1e-2)
    found = averages.behind_norms(network, images)
    for key, value in wanted.items():
        np.testing.assert_allclose(found[key], value, atol=3e-3, err_msg=key)


def test_averages_mixes_by_key(experiment):
    first, second = ({"a/x": np.full(2, value), "b/x": np.full(2, value)} for value in (1.0, 3.0))
    mixed = experiment("averages").between(first, second, lambda key: {"a/x": 0.25, "b/x": 1}[key])
    assert mixed["a/x"].tolist() == [1.5, 1.5] and mixed["b/x"].tolist() == [3, 3]
