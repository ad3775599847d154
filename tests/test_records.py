"""Scores in records are taken anew from stored matrices, by arithmetic of this file's own.

A row that names its `matrices` must give what they give; a row with a `verdict` must have an
interval that allows it. Whatever is wrong is told by `mistakes`, which is tried on records of its
own first.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from segcore import metrics
from segcore.course import results

PLACES = 6e-6  # records keep five digits
RESAMPLES = 500  # of another stream of random numbers than the recorded 10,000


def own_scores(total):
    """Accuracy, mean IoU and IoU by class number, pixel counts added up in Python."""
    rows = [[int(pixels) for pixels in row] for row in total]
    each = {}
    for c, row in enumerate(rows):
        if labelled := sum(row):
            each[c] = row[c] / (labelled + sum(other[c] for other in rows) - row[c])
    right, pixels = sum(row[c] for c, row in enumerate(rows)), sum(map(sum, rows))
    return right / pixels, sum(each.values()) / len(each), each


def own_bounds(*networks):
    """The middle 95 % of the mean IoU of photos drawn anew, or of the last network's less it."""
    photos = len(networks[0])
    times = np.random.default_rng(7).multinomial(photos, [1 / photos] * photos, RESAMPLES) * 1.0
    means = []
    for one in networks:
        totals = np.einsum("dp,pij->dij", times, one, optimize=True)
        right, labelled = totals.diagonal(0, 1, 2), totals.sum(2)
        union = np.maximum(labelled + totals.sum(1) - right, 1)
        means.append((right / union).sum(1) / (labelled > 0).sum(1))
    return np.percentile(means[-1] - (means[0] if len(means) > 1 else 0), [2.5, 97.5])


def differ(row, key, value):
    """The number at `key` of `row` if it is not `value`."""
    stored = row.get(key)
    if stored is None or abs(stored - value) > PLACES:
        yield f"{key} is {stored}, its matrices say {value:.5f}"


def bounds_differ(row, low, high, what):
    """Whether stored bounds lie further off than so few draws would put them."""
    if (row["low"], row["high"]) != pytest.approx((low, high), abs=0.002 + 0.25 * (high - low)):
        yield f"{what} {row['low']} to {row['high']}, its matrices say {low:.4f} to {high:.4f}"


def score_mistakes(row, kept):
    """What `row` says that its matrices do not."""
    accuracy, miou, each = own_scores(kept.matrices.sum(0))
    yield from differ(row, "accuracy", accuracy)
    yield from differ(row, "miou", miou)
    if row["photos"] != len(kept.matrices) or row["classes"] != len(each):
        yield f"{row['photos']} photos and {row['classes']} classes, its matrices know others"
    if set(row["iou"]) != {kept.class_names[c] for c in each}:
        yield "classes without a label, or some left out"
    for c, value in each.items():
        yield from differ(row["iou"], kept.class_names[c], value)
    low, high = own_bounds(kept.matrices)
    yield from bounds_differ(row["interval"]["miou"], low, high, "mIoU lies in")
    if "mean_over_photos" in row:
        photos = [own_scores(matrix)[1] for matrix in kept.matrices]
        yield from differ(row, "mean_over_photos", sum(photos) / len(photos))
    if "trimap" in row:
        yield from differ(row["trimap"], "miou", own_scores(kept.trimap.sum(0))[1])


def verdict_mistakes(row):
    """A verdict that its interval does not allow."""
    low, high = row["miou"]["low"], row["miou"]["high"]
    said = {"better": low > 0, "worse": high < 0, "not told apart": low <= 0 <= high}
    if not said[row["verdict"]]:
        yield f"{row['verdict']!r} with an interval of {low} to {high}"


def difference_mistakes(row, one, other):
    """What `row` says of `one` less `other` that their matrices do not."""
    place = {photo: i for i, photo in enumerate(one.photos)}
    first = one.matrices[[place[photo] for photo in other.photos]]
    scores = [own_scores(matrices.sum(0))[1] for matrices in (first, other.matrices)]
    yield from differ(row["miou"], "difference", scores[0] - scores[1])
    if "trimap_miou" in row:
        near = [own_scores(matrices.sum(0))[1] for matrices in (one.trimap, other.trimap)]
        yield from differ(row["trimap_miou"], "difference", near[0] - near[1])
    low, high = own_bounds(other.matrices, first)
    yield from bounds_differ(row["miou"], low, high, "the difference lies in")


def rows_of(values, place):
    """(place, dictionary) of each dictionary in `values`, at any depth."""
    if isinstance(values, dict):
        yield place, values
        for key, value in values.items():
            yield from rows_of(value, f"{place}.{key}")


def mistakes(folder: Path) -> list[str]:
    """All that the records in `folder` say and their matrices do not."""
    found, claimed = [], set()

    def kept(name):
        claimed.add(name)
        return metrics.load_matrices(folder / "matrices" / f"{name}.npz")

    for file in sorted(folder.glob("*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))["values"]
        for place, row in rows_of(values, file.stem):
            if "matrices" in row and "miou" in row:
                found += [f"{place}: {one}" for one in score_mistakes(row, kept(row["matrices"]))]
            if {"network", "against", "verdict"} <= set(row):
                pair = [kept(row[name]) for name in ("network", "against")]
                said = [*verdict_mistakes(row), *difference_mistakes(row, *pair)]
                found += [f"{place}: {one}" for one in said]
    stored = {path.stem for path in (folder / "matrices").glob("*.npz")}
    return found + [f"matrices/{name}.npz: no record speaks of it" for name in stored - claimed]


def records(folder, seed=0):
    """A folder with a record of two networks, made by the experiments' own rows."""
    import scores

    rng = np.random.default_rng(seed)
    labels = 1000 * rng.integers(0, 2, (30, 21, 1)) * np.ones(21, int)
    good = (labels * (0.7 * np.eye(21) + 0.3 / 21)).astype(int)
    bad = (labels * (0.6 * np.eye(21) + 0.4 / 21)).astype(int)
    bad[..., 0] += good.sum(-1) - bad.sum(-1)  # the same labels
    photos = tuple(f"{i}" for i in range(30))
    one, other = (
        metrics.PhotoMatrices(photos, counts, trimap=counts[..., ::-1], trimap_width=3, model=name)
        for name, counts in (("good", good), ("bad", bad))
    )
    (folder / "matrices").mkdir(parents=True)
    for each in (one, other):
        metrics.save_matrices(folder / "matrices" / f"{each.model}.npz", each)
    row = scores.score_row(one) | {"matrices": "good"}
    row["mean_over_photos"] = metrics.mean_ious(good).mean()
    values = {"good": row, "differences": {"a": scores.difference_row(other, one)}}
    write(folder, values)
    return values


def write(folder, values):
    (folder / "made.json").write_text(json.dumps({"values": values}), encoding="utf-8")


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "experiments")
    return tmp_path, records(tmp_path)


def test_records_of_what_is_stored_hold_no_mistake(made):
    folder, values = made
    assert mistakes(folder) == [] and values["differences"]["a"]["verdict"] == "better"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("good.miou", 0.9, "good: miou is 0.9, its matrices say"),
        ("good.accuracy", None, "good: accuracy is None"),
        ("good.photos", 31, "31 photos and 21 classes"),
        ("good.classes", 20, "30 photos and 20 classes"),
        ("good.iou.cat", 0.1, "good: cat is 0.1, its matrices say"),
        ("good.iou.tree", 0.1, "classes without a label"),
        ("good.interval.miou.low", 0.1, "mIoU lies in 0.1 to"),
        ("good.trimap.miou", 0.1, "good: miou is 0.1"),
        ("good.mean_over_photos", 0.1, "good: mean_over_photos is 0.1"),
        ("differences.a.verdict", "worse", "a: 'worse' with an interval of"),
        ("differences.a.verdict", "not told apart", "a: 'not told apart' with an interval"),
        ("differences.a.miou.low", -0.01, "a: 'better' with an interval of -0.01"),
        ("differences.a.miou.difference", 0.5, "a: difference is 0.5"),
        ("differences.a.miou.high", 0.9, "the difference lies in"),
        ("differences.a.trimap_miou.difference", 0.5, "a: difference is 0.5"),
    ],
)
def test_a_record_that_says_otherwise_is_named(made, place, value, said):
    folder, values = made
    row, (*parts, last) = values, place.split(".")
    for part in parts:
        row = row[part]
    row[last] = value
    write(folder, values)
    assert any(said in one for one in mistakes(folder)), mistakes(folder)


def test_changed_matrices_are_noticed(made):
    folder, _ = made
    shutil.copy(folder / "matrices" / "bad.npz", folder / "matrices" / "good.npz")
    assert any("made.good: miou is" in one for one in mistakes(folder))
    shutil.copy(folder / "matrices" / "bad.npz", folder / "matrices" / "stray.npz")
    assert "matrices/stray.npz: no record speaks of it" in mistakes(folder)


@pytest.mark.slow
def test_every_recorded_score_comes_out_of_its_matrices_again():
    assert mistakes(results.folder()) == []
