"""The experiments' own code, on networks small enough for a test."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from segcore._files import write_bytes
from segcore._keras import keras
from segcore.course import results
from segcore.data.images import signed
from segcore.export.convert import to_tflite
from segcore.inference import benchmark
from segcore.models import checkpoint, deeplab, pretrained

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


def test_rows_of_a_record_are_fractions_and_milliseconds(experiment):
    common = experiment("common")
    matrices = np.zeros((2, 21, 21), np.int64)
    matrices[0, 0, :2] = 20_000, 10_000
    matrices[1, 3, 3] = 50
    row = common.score_row(matrices)
    assert row["iou"] == {"background": 0.66667, "bird": 1} and row["photos"] == 2
    assert (row["miou"], row["miou_all"], row["classes"]) == (0.66667, 0.83333, 1)
    assert common.score_row(0 * matrices)["miou"] is None  # JSON has no NaN
    timing = benchmark.Timing("x", 12.34567, 20.0, 0.98765, 30)
    wanted = {"p50_ms": 12.346, "p90_ms": 20.0, "ratio": 0.988, "threads": 1}
    assert common.timing_row(timing) == wanted


def test_an_experiment_without_its_data_ends_at_once(experiment, tmp_path, monkeypatch, capsys):
    common = experiment("common")
    monkeypatch.setattr(sys, "argv", ["x", "--trial", "--shared", str(tmp_path / "lost")])
    with pytest.raises(SystemExit):
        common.options("Measures something.")
    assert "lost: no such folder" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["x", "--trial"])
    assert common.options("Typed in.", data=False).trial


def test_what_a_trial_finds_stays_out_of_results(experiment, monkeypatch, capsys):
    common = experiment("common")
    monkeypatch.setattr(sys, "argv", ["x", "--trial"])
    path = common.record("paper", {"a": 1}, common.options("x", data=False))
    assert json.loads(path.read_text())["values"] == {"a": 1}
    assert str(path) in capsys.readouterr().out and path.parent != results.folder()


def test_fresh_weights_keep_what_fits_and_draw_the_rest(experiment):
    fresh = experiment("common").fresh
    net = deeplab.deeplab_v3_plus(65, config=deeplab.DeepLabConfig(width=0.35))
    given = {"Conv1/kernel": np.full(net.get_layer("Conv1").kernel.shape, 0.5, np.float32)}
    other = {"logits/kernel": np.zeros((1, 1, 3, 3), np.float32)}  # of another network
    weights = fresh(net.variables, given | other, seed=0)
    again = fresh(net.variables, given, seed=0)
    checkpoint.load_weights(net, weights)  # every variable once, in its shape
    assert (weights["Conv1/kernel"] == 0.5).all()
    assert all((weights[key] == again[key]).all() for key in weights)
    dense = weights["decoder1_pointwise/kernel"]
    assert dense.std() == pytest.approx(np.sqrt(2 / dense.shape[2]), rel=0.05)  # He et al. 2015
    assert (weights["aspp0_BN/moving_variance"] == 1).all()
    assert (weights["aspp0_BN/moving_mean"] == 0).all()


SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_experiment_can_be_imported(experiment, script):
    assert experiment(script).__doc__


def test_contract_prepares_photos_in_as_many_ways_as_it_names(experiment):
    contract = experiment("contract")
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    boxes = {name: way(image, 33)[0] for name, way in contract.WAYS.items()}
    assert all(box.shape == (33, 33, 3) and box.dtype == np.uint8 for box in boxes.values())
    assert len({box.tobytes() for box in boxes.values()}) == len(boxes)
    np.testing.assert_array_equal(boxes["bgr"][..., ::-1], boxes["right"])
    assert (boxes["half_range"] >= 128).all()


def test_outlines_corrupts_in_four_ways(experiment):
    outlines = experiment("outlines")
    labels = np.zeros((100, 100), np.uint8)
    labels[20:80, 20:80] = 20
    depth = np.minimum(*np.indices((100, 100)) % 100).astype(float)
    found = {}
    for way, number, wrong in outlines.corrupt(labels, depth, chance=0.65):
        found[way, number] = wrong
    assert len(found) == 20 and all(wrong.dtype == np.uint8 for wrong in found.values())
    assert np.array_equal(found["shifted", 0][32:, 32:], labels[:-32, :-32])
    assert (found["shrunk", 4] != 0).sum() < (labels != 0).sum()
    assert np.array_equal(found["missed", 0], labels) and not found["missed", 4].any()
    assert set(np.unique(found["misnamed", 4])) == {0, 1}  # 20 becomes 1


def test_toy_optimizers_begins_anew_without_deleting_what_is_not_its_own(
    experiment, tmp_path, monkeypatch
):
    toy = experiment("toy_optimizers")
    counts = {"TRAIN": 4, "BATCH": 2, "TRIAL": 3, "FINAL": 4}
    for name, value in {"features": small_head, **counts}.items():
        monkeypatch.setattr(toy, name, value)
    command = ["toy", "--trial", "--out", str(tmp_path), "--only", "adam"]
    monkeypatch.setattr(sys, "argv", command)
    (tmp_path / "thesis.txt").write_text("mine")
    for _ in range(2):
        toy.main()
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert len(list(tmp_path.glob("adam_*/weights.npz"))) == 6  # three learning rates, three seeds


def test_front_upsamples_an_answer_at_stride_4(experiment, tmp_path):
    image = keras.Input((33, 33, 3), batch_size=1)
    small = keras.Model(image, keras.layers.Conv2D(2, 1, 4)(image))
    box = np.random.default_rng(0).integers(0, 256, (33, 33, 3), np.uint8)
    for argmax in (False, True):
        content = to_tflite(small, "float32", argmax=argmax)
        file = write_bytes(tmp_path / "stride_4.tflite", content)
        answer = experiment("front").upsampled(file, 33).infer(box)
        scores = np.asarray(small(signed(box)[None]))[0]
        if argmax:
            np.testing.assert_array_equal(answer[::4, ::4], scores.argmax(-1))
            assert answer.shape == (33, 33)
        else:
            np.testing.assert_allclose(answer[::4, ::4], scores, atol=1e-5)
            np.testing.assert_allclose(
                answer[2::4, 4], (scores[1:, 1] + scores[:-1, 1]) / 2, atol=1e-5
            )


@pytest.mark.slow
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
