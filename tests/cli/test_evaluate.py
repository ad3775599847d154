"""`segcore evaluate`: what it prints, what it keeps, and what it compares."""

import json
from dataclasses import replace

import numpy as np
import pytest
from voc_folder import write_voc

from segcore import metrics
from segcore.cli import common
from segcore.cli import main as cli
from segcore.data import voc
from segcore.inference.segmenter import Segmenter


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with photos, and two networks: one says what it sees in red, one says cat.

    `phone` stands for the first, every other name for the second.
    """
    write_voc(tmp_path / "voc", n_val=4)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats.tflite").touch()
    red = Segmenter(lambda box: np.where(box[..., 0] > 150, 8, 0), 33, "phone")
    cat = Segmenter(lambda box: np.full(box.shape[:2], 8), 65, "cats")
    monkeypatch.setattr(common, "load", lambda name, *_: red if name == "phone" else cat)
    return tmp_path


def run(capsys, *typed):
    """Standard output of `segcore evaluate voc`."""
    assert cli.main(["evaluate", "voc", *typed]) == 0
    return capsys.readouterr().out


def refused(capsys, *typed):
    """The one line of complaint; nothing was printed, and no photo scored."""
    assert cli.main(["evaluate", "voc", *typed]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "photo/s" not in said.err
    return said.err


def test_every_photo_is_counted_in_one_matrix(capsys):
    scores = json.loads(run(capsys, "--json"))
    labelled = sum((voc.read_mask(mask) != voc.VOID).sum() for _, mask in voc.file_pairs("voc"))
    assert sum(scores["pixels"].values()) == labelled and scores["photos"] == 4
    assert scores["classes"] == len(scores["iou"]) and scores["size"] == 33
    bounds = scores["intervals"]
    for name in ("accuracy", "miou"):
        assert 0 < bounds[name]["low"] <= scores[name] <= bounds[name]["high"] < 1
        assert bounds[name]["value"] == scores[name]
    assert set(bounds["iou"]) == set(scores["iou"]) and scores["model"] == "phone"


def test_the_table_gives_value_interval_and_photos(capsys):
    scores = json.loads(run(capsys, "--json"))
    table = run(capsys).splitlines()
    assert f"phone at 33, 4 photos, {scores['classes']} classes labelled" in table[0]
    rows = {line.split()[0]: line.split()[1:] for line in table}
    for name, value in (scores["iou"] | {"mIoU": scores["miou"]}).items():
        bounds = scores["intervals"]["iou"].get(name) or scores["intervals"]["miou"]
        low, high = (f"{100 * bounds[end]:.1f}" for end in ("low", "high"))
        photos = scores["photos_with"].get(name, 4)
        assert rows[name] == [f"{100 * value:.1f}", low, "to", high, str(photos)]
    assert "in fewer than 10 photos, intervals too narrow: background" in "\n".join(table)


def test_a_score_of_nothing_labelled_is_null_in_json(capsys, here):
    for _, mask in voc.file_pairs("voc"):
        voc.write_mask(mask, np.full(voc.read_mask(mask).shape, voc.VOID, np.uint8))
    said = run(capsys, "--json")
    assert json.loads(said, parse_constant=pytest.fail)["miou"] is None
    assert json.loads(said)["intervals"]["accuracy"]["low"] is None
    assert "nan" in run(capsys)


def test_what_is_kept_gives_the_same_scores_again(capsys):
    scores = json.loads(run(capsys, "--json", "--save", "kept.npz", "--trimap", "3"))
    kept = metrics.load_matrices("kept.npz")
    assert kept.photos == tuple(photo.stem for photo, _ in voc.file_pairs("voc"))
    assert (kept.model, kept.size, kept.class_names) == ("phone", 33, voc.CLASSES)
    assert metrics.summary(kept.matrices)["iou"] == scores["iou"] and len(kept.sha256) == 64
    near = metrics.mean_iou(kept.trimap.sum(0))
    assert scores["trimap"]["miou"]["value"] == near != scores["miou"]
    assert f"trimap 3     {100 * near:6.1f}" in run(capsys, "--trimap", "3")


def test_a_kept_file_is_replaced_unasked_and_nothing_else_is(capsys, here):
    run(capsys, "--save", "kept.npz")
    run(capsys, "--save", "kept.npz")
    np.savez(here / "weights.npz", kernel=np.zeros(3))
    before = (here / "weights.npz").read_bytes()
    assert "weights.npz: segcore did not write" in refused(capsys, "--save", "weights.npz")
    said = refused(capsys, "--save", "weights.npz", "--model", "weights.npz", "--force")
    assert "weights.npz: is an input, too" in said
    assert "kept.npz: is an input, too" in refused(
        capsys, "--save", "kept.npz", "--compare", "kept.npz"
    )
    assert (here / "weights.npz").read_bytes() == before
    assert "scores.txt: --save writes a .npz" in refused(capsys, "--save", "scores.txt")


def test_two_networks_are_compared_on_the_same_photos(capsys):
    run(capsys, "--model", "cats.tflite", "--save", "cats.npz", "--trimap", "2")
    cats = metrics.load_matrices("cats.npz")
    run(capsys, "--save", "phone.npz")
    expected = metrics.score_differences(cats, metrics.load_matrices("phone.npz"))
    for other in ("cats.npz", "cats.tflite"):
        found = json.loads(run(capsys, "--json", "--compare", other))["compared"]
        assert found["with"] == "cats at 65" and found["verdict"] == "better"
        assert found["differences"]["miou"] == expected["miou"]._asdict()
        table = run(capsys, "--compare", other, "--trimap", "2")
        assert "against cats at 65, on the same photos" in table and table.count("trimap 2") == 2
        assert "phone at 33 is better than cats at 65 by" in table and "excludes 0." in table
    back = run(capsys, "--model", "cats.tflite", "--compare", "phone.npz")
    assert "cats at 65 is worse than phone at 33" in back


def test_a_network_is_not_told_apart_from_itself(capsys):
    table = run(capsys, "--compare", "phone")
    assert "do not tell phone at 33 and phone at 33 apart" in table
    assert "+0.0 to +0.0, holds 0." in table


def change(path, **changes):
    metrics.save_matrices(path, replace(metrics.load_matrices(path), **changes))


def test_what_is_no_pair_is_refused_before_a_photo_is_scored(capsys, here):
    run(capsys, "--save", "kept.npz")
    capsys.readouterr()
    kept = metrics.load_matrices("kept.npz")
    assert "kept.npz: has no trimap of 3 pixels, but none;" in refused(
        capsys, "--compare", "kept.npz", "--trimap", "3"
    )
    change("kept.npz", photos=("a", *kept.photos[1:]))
    said = refused(capsys, "--compare", "kept.npz")
    assert "kept.npz: phone was scored on other photos (4, here 4;" in said
    change("kept.npz", photos=kept.photos, class_names=("sky", *kept.class_names[1:]))
    said = refused(capsys, "--compare", "kept.npz")
    assert "kept.npz: phone was scored on other classes: 0 is sky, here background" in said
    whole = (here / "kept.npz").read_bytes()
    for content in (whole[:-200], b"", b"no zip"):
        (here / "kept.npz").write_bytes(content)
        assert "kept.npz: no whole file of matrices" in refused(capsys, "--compare", "kept.npz")
    assert "lost.npz: No such file" in refused(capsys, "--compare", "lost.npz")


def test_other_labels_are_no_pair(capsys):
    run(capsys, "--save", "kept.npz")
    photo, mask = voc.file_pairs("voc")[2]
    labels = voc.read_mask(mask)
    labels[:5, :5] = 20
    voc.write_mask(mask, labels)
    assert cli.main(["evaluate", "voc", "--compare", "kept.npz"]) == 2
    said = capsys.readouterr()
    assert f"kept.npz: {photo.stem} was scored with other labels" in said.err and said.out == ""
