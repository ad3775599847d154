"""The experiments' own code, on networks small enough for a test."""

import hashlib
import io
import json
import os
import sys
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from voc_folder import write_voc

from segcore import metrics
from segcore._keras import keras
from segcore.course import results
from segcore.data import voc
from segcore.data.images import letterbox, read_image, signed
from segcore.inference import benchmark
from segcore.inference.segmenter import Segmenter
from segcore.models import checkpoint, deeplab

FOLDER = Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture
def experiment(monkeypatch):
    """A function that imports an experiment by name, as `python experiments/NAME.py` finds it."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # some set switches for TensorFlow
    return __import__


def photo_matrices(*matrices):
    """Matrices of photos named by number, each one given as {(labelled, predicted): pixels}."""
    counts = np.zeros((len(matrices), 21, 21), np.int64)
    for photo, cells in enumerate(matrices):
        for cell, pixels in cells.items():
            counts[photo][cell] = pixels
    return metrics.PhotoMatrices(tuple(f"{i}" for i in range(len(matrices))), counts)


def test_rows_of_a_record_are_fractions_and_milliseconds(experiment):
    scores = experiment("scores")
    found = photo_matrices({(0, 0): 20_000, (0, 1): 10_000}, {(3, 3): 50})
    row = scores.score_row(found)
    assert row["iou"] == {"background": 0.66667, "bird": 1} and row["photos"] == 2
    assert (row["miou"], row["accuracy"], row["classes"]) == (0.83333, 0.66722, 2)
    assert row["interval"]["miou"] == {"low": 0.66667, "high": 1}  # one photo twice, or the other
    assert row["interval"]["iou"]["bird"] == {"low": 1, "high": 1} and "trimap" not in row
    near = replace(found, trimap=found.matrices // 2, trimap_width=3)
    assert scores.score_row(near)["trimap"]["miou"] == 0.83333
    assert scores.score_row(replace(found, matrices=0 * found.matrices))["miou"] is None  # no NaN
    timing = benchmark.Timing("x", 12.34567, 20.0, 0.98765, 30)
    wanted = {"p50_ms": 12.346, "p90_ms": 20.0, "ratio": 0.988, "threads": 1}
    assert experiment("common").timing_row(timing) == wanted


def test_a_difference_names_the_class_of_many_photos_that_falls_most(experiment):
    scores = experiment("scores")
    before = photo_matrices(*[{(0, 0): 90, (0, 8): 10, (8, 8): 50}] * 20, {(3, 3): 50})
    after = photo_matrices(*[{(0, 0): 100, (8, 8): 45, (8, 0): 5}] * 20, {(3, 0): 50})
    row = scores.difference_row(replace(before, model="old"), after)
    assert row["against"] == "old" and row["verdict"] == "not told apart"
    assert row["iou"]["bird"] == {"difference": -1, "low": -1, "high": -1}
    assert row["miou"]["difference"] < 0 < row["miou"]["high"]  # draws without the bird gain
    assert row["largest_fall"] is None  # bird is in one photo; cat has 50/60 before, 45/50 after
    assert row["iou"]["cat"]["difference"] == 0.06667
    assert scores.difference_row(after, before)["largest_fall"]["class"] == "cat"


def test_kept_matrices_stand_beside_their_row(experiment, tmp_path, monkeypatch):
    scores = experiment("scores")
    monkeypatch.setattr(results, "folder", lambda: tmp_path / "results")
    found = replace(photo_matrices({(0, 0): 5}), model="contract_bgr")
    row = scores.keep(found, Namespace(trial=True), replace(found, model="contract_right"))
    assert row["matrices"] == "contract_bgr" and row["difference"]["verdict"] == "not told apart"
    assert "difference" not in scores.keep(found, Namespace(trial=True), found)
    kept = metrics.load_matrices(tmp_path / "runs" / "matrices" / "contract_bgr.npz")
    assert np.array_equal(kept.matrices, found.matrices) and kept.model == "contract_bgr"
    scores.keep(found, Namespace(trial=False))
    assert (tmp_path / "results" / "matrices" / "contract_bgr.npz").exists()


def test_an_experiment_without_its_data_ends_at_once(experiment, tmp_path, monkeypatch, capsys):
    common = experiment("common")
    monkeypatch.setattr(sys, "argv", ["x", "--trial", "--shared", str(tmp_path / "lost")])
    with pytest.raises(SystemExit):
        common.options("Measures something.")
    assert "lost: no such folder" in capsys.readouterr().err
    monkeypatch.setattr(results, "parse", lambda arguments: arguments.parse_args())
    monkeypatch.setattr(sys, "argv", ["x", "--photos", "6", "--shared", str(tmp_path)])
    with pytest.raises(SystemExit):
        common.options("Measures something.")
    assert "--photos is for a --trial" in capsys.readouterr().err
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


def test_outlines_takes_the_strength_nearest_to_an_accuracy(experiment):
    counts = np.zeros((3, 4, 21, 21), np.int32)
    counts[:, :, 0, 0], counts[:, :, 0, 1] = 10, np.array([[0], [2], [9]])
    assert experiment("outlines").closest(counts, 0.82) == 1


def test_voc_scores_scores_no_network_twice(experiment, tmp_path, monkeypatch, capsys):
    voc_scores = experiment("voc_scores")
    write_voc(tmp_path / "voc", n_val=2, size=64)
    pairs, model, opened = voc.file_pairs(tmp_path / "voc"), tmp_path / "m.tflite", []

    def network(name, source):
        opened.append(name)
        return Segmenter(lambda box: np.zeros(box.shape[:2], np.uint8), 33, "machine/path")

    monkeypatch.setattr(voc_scores, "open_network", network)
    model.write_bytes(b"first")

    def score(pairs=pairs, anew=False):
        source = voc_scores.Source(model)
        return voc_scores.network_matrices("mine", source, pairs, tmp_path / "mine.npz", anew)

    first, again = score(), score()
    assert opened == ["mine"] and "mine: as kept" in capsys.readouterr().out
    assert first.sha256 == again.sha256 == hashlib.sha256(b"first").hexdigest()
    assert (again.model, again.trimap_width) == ("mine", 3)
    score(anew=True)
    score(pairs[:1])
    model.write_bytes(b"second")
    score(pairs[:1])
    assert opened == ["mine"] * 4


def test_voc_scores_knows_every_network_that_it_compares(experiment, tmp_path):
    voc_scores = experiment("voc_scores")
    known = voc_scores.sources(tmp_path)
    assert {name for pair in voc_scores.PAIRS for name in pair} <= set(known)
    assert ("phone", "float_257") in voc_scores.pairs_of(list(known), [])
    assert voc_scores.pairs_of(["mine", "phone"], ["mine"]) == [("mine", "phone")]
    (tmp_path / "m.npz").touch()
    name, source = voc_scores.added(f"mine={tmp_path / 'm.npz'}@257")
    assert (name, source.path, source.size) == ("mine", tmp_path / "m.npz", 257)
    for wrong in ("mine", "=x", "mine=lost.npz"):
        with pytest.raises(ArgumentTypeError, match="is no NAME=FILE"):
            voc_scores.added(wrong)
    with np.load(io.BytesIO(known["first_float_513"].content())) as first:
        assert "logits/kernel" in first  # from the history


def test_interval_width_finds_a_difference_more_often_in_more_photos(experiment, monkeypatch):
    width = experiment("interval_width")
    monkeypatch.setattr(width, "SUBSETS", 20)
    rng = np.random.default_rng(0)
    right = rng.integers(50, 100, (200, 2))
    worse = right - rng.integers(0, 12, right.shape) + rng.integers(0, 8, right.shape)

    def answers(counts):
        return photo_matrices(
            *[{(0, 0): a, (0, 8): 120 - a, (8, 8): b, (8, 0): 120 - b} for a, b in counts]
        )

    few, many, all_of_them = (width.width(answers(right), answers(worse), n) for n in (5, 80, 200))
    assert few["better"] < many["better"] <= all_of_them["better"] == 1
    assert few["difference_width"] > 2 * many["difference_width"] > 0
    assert few["interval_width"] > many["interval_width"] and few["subsets"] == 20
    assert few["classes"] == 2 and all_of_them["subsets"] == 1


def test_interval_width_tells_the_story_of_the_forty(experiment):
    width = experiment("interval_width")
    assert len(set(width.FORTY)) == 40
    cells = [{(0, 0): 9_000, (8, 8): 900, (8, 0): 100}] * 40
    others = [{(3, 3): 10, (0, 0): 50}] * 10
    ours, theirs = photo_matrices(*cells, *others), photo_matrices(*cells, *[{(3, 0): 10}] * 10)
    names = (*width.FORTY, *(f"{i}" for i in range(10)))
    theirs.matrices[40:, 0, 0] = 50
    found = width.forty(replace(ours, photos=names), replace(theirs, photos=names))
    assert (found["forty_12_classes"]["photos"], found["all"]["photos"]) == (40, 50)
    assert found["forty_12_classes"]["classes"] == 2  # cat has 40,000 pixels there
    assert found["forty_12_classes"]["verdict"] == "not told apart"
    assert found["all"]["verdict"] == "better" and found["all"]["theirs"] < found["all"]["ours"]


@pytest.mark.parametrize(
    ("best", "rates", "chosen"),
    [
        (2e-3, 6, (3e-3, 1e-3)),  # inside
        (0.9, 8, (0.1, 1e-3)),  # above all: twice beyond, no more
        (2e-5, 8, (3e-5, 1e-3)),
    ],
)
def test_a_search_goes_beyond_an_end_twice_and_then_tries_the_other_number(
    experiment, best, rates, chosen
):
    protocol, asked = experiment("protocol"), []

    def score(rate, value):
        asked.append((rate, value))
        return -abs(np.log(rate / best)) - abs(np.log10(value / 1e-3)) / 100

    tried = protocol.search(protocol.SEARCHES["adam"], score)
    assert asked == list(tried) and len(tried) == rates
    assert protocol.best_of(tried) == chosen
    assert [value for _, value in asked[-3:]] == [1e-7, 1e-5, 1e-3]


def seed(right, photos=40, wrong=0):
    """A network that has a part `right` of each photo's cat, the photos alike but for `wrong`."""
    rows = [
        {(8, 8): right + i % 2 * wrong, (8, 0): 100 - right - i % 2 * wrong} for i in range(photos)
    ]
    return replace(photo_matrices(*rows), model=f"{right}")


def test_a_verdict_needs_seeds_apart_and_an_interval_without_0(experiment):
    verdict = experiment("protocol").verdict
    low, high = [seed(50), seed(54), seed(52)], [seed(60), seed(56), seed(58)]
    found = verdict(high, low)
    assert found["said"] == "better" and verdict(low, high)["said"] == "worse"
    assert found["middle_seeds"]["network"] == "58" and found["middle_seeds"]["against"] == "52"
    assert verdict([*high[:2], seed(53)], low)["said"] == "not told apart"  # seeds overlap
    shaky = [seed(30, wrong=50), seed(31, wrong=50), seed(32, wrong=50)]
    assert verdict(shaky, low)["said"] == "not told apart"  # photos disagree


def test_photos_are_mirrored_where_they_stand(experiment):
    rng = np.random.default_rng(0)
    images, contents = rng.integers(0, 256, (2, 6, 6, 3), np.uint8), np.float32([[6, 4], [3, 6]])
    turned = experiment("voc_features").mirrored(images, contents)
    np.testing.assert_array_equal(turned[0, :, :4], images[0, :, 3::-1])
    np.testing.assert_array_equal(turned[0, :, 4:], images[0, :, 4:])
    np.testing.assert_array_equal(turned[1], images[1, :, ::-1])


def test_features_are_kept_and_refused_to_other_weights(experiment, tmp_path, monkeypatch):
    own = experiment("voc_features")
    monkeypatch.setattr(own, "CACHE", tmp_path / "cache")
    write_voc(tmp_path / "voc", 3, 1)
    pairs = voc.file_pairs(tmp_path / "voc", "train")
    image = keras.Input((257, 257, 3))
    layers = [keras.layers.Conv2D(2, 1, stride) for stride in (16, 4)]
    encoder = keras.Model(image, [layer(image) for layer in layers])
    found = own.features("ours", pairs, encoder, mirror=True)
    boxes = np.stack([letterbox(read_image(photo), 257)[0] for photo, _ in pairs])
    for way, first in ((boxes, 0), (boxes[:, :, ::-1], 3)):
        deep, low = encoder.predict_on_batch(signed(way))
        np.testing.assert_allclose(found.deep[first : first + 3], deep, atol=2e-3)
        np.testing.assert_allclose(found.low[first : first + 3], low, atol=2e-3)
    np.testing.assert_array_equal(found.labels[3:], found.labels[:3, :, ::-1])
    inputs, labels = own.Views(0, True, found)(np.random.default_rng(0), np.arange(3))
    assert inputs[1].dtype == np.float32 and labels.shape == (3, 65, 65)
    monkeypatch.setattr(own, "compute", None)  # what is kept is not computed again
    again = own.features("ours", pairs, encoder, mirror=True)
    assert again.source == found.source
    layers[0].bias.assign([1.0, 2.0])
    with pytest.raises(SystemExit, match="train_3: made from other photos or weights; delete it"):
        own.features("ours", pairs, encoder, mirror=True)


def test_a_film_has_the_masks_of_some_epochs_and_the_seconds_of_all(experiment, tmp_path):
    film, boxes = experiment("film"), np.zeros((6, 9, 9, 3), np.uint8)
    answers = Segmenter(lambda box: np.eye(21, dtype=np.float32)[np.full((9, 9), 8)], 9, "cat")
    watch = film.Watch(tmp_path, answers, boxes)
    watch.set_params({"epochs": 6})
    for epoch in (*range(4), 3, 4, 5):  # the fourth again, for it had not been saved
        watch.on_epoch_begin(epoch)
        watch.on_epoch_end(epoch)
    masks = film.masks(tmp_path)
    assert list(masks) == [1, 2, 4, 6] and (masks[6] == 8).all() and masks[1].shape == (6, 9, 9)
    assert len(json.loads((tmp_path / "seconds.json").read_text())) == 6
    assert film.pictures(33).shape == (6, 33, 33, 3)
