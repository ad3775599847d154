"""The summary against numbers worked out by hand, intervals against those of one score alone."""

import numpy as np
import pytest

from segcore import metrics

NAMES = ("sky", "tree", "dog")
MATRICES = np.array([[[50, 0, 0], [10, 40, 0], [0, 0, 0]], [[30, 0, 20], [0, 0, 0], [0, 0, 50]]])


def test_summary_of_two_photos():
    assert metrics.summary(MATRICES, NAMES) == {
        "photos": 2,
        "accuracy": 170 / 200,
        "miou": pytest.approx((80 / 110 + 40 / 50 + 50 / 70) / 3),
        "classes": 3,
        "iou": {"sky": 80 / 110, "tree": 40 / 50, "dog": 50 / 70},
        "pixels": {"sky": 100, "tree": 50, "dog": 50},
        "photos_with": {"sky": 2, "tree": 1, "dog": 1},
    }


def test_a_class_that_nobody_labelled_is_in_no_mean():
    scores = metrics.summary(MATRICES[:1], NAMES)
    assert scores["classes"] == 2 and set(scores["iou"]) == {"sky", "tree"}
    assert scores["miou"] == pytest.approx((50 / 60 + 40 / 50) / 2)
    nothing = metrics.summary(0 * MATRICES, NAMES)
    assert np.isnan([nothing["miou"], nothing["accuracy"]]).all() and nothing["classes"] == 0


def test_summary_wants_a_matrix_for_each_photo():
    with pytest.raises(ValueError, match=r"\(3, 3\); wanted \(photos, 3, 3\)"):
        metrics.summary(MATRICES[0], NAMES)
    with pytest.raises(ValueError, match=r"wanted \(photos, 21, 21\)"):
        metrics.summary(MATRICES)


def test_percent_is_how_fractions_are_printed():
    assert metrics.percent(0.73249) == "73.2" and metrics.percent(0.73249, 2) == "73.25"
    assert metrics.percent(float("nan")) == "nan"


def drawn(seed, photos=40):
    """Matrices of photos, each with two of three classes, and their names."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 50, (photos, 3, 3)) + 100 * np.eye(3, dtype=np.int64)
    found[np.arange(photos), rng.integers(0, 3, photos)] = 0
    return found, tuple(f"{i}" for i in range(photos))


def test_every_score_has_the_interval_that_it_has_alone():
    matrices, _ = drawn(0)
    found = metrics.score_intervals(matrices, NAMES)
    assert found["miou"] == metrics.bootstrap_interval(matrices)
    assert found["accuracy"] == metrics.bootstrap_interval(matrices, metrics.pixel_accuracies)
    for i, name in enumerate(NAMES):
        alone = metrics.bootstrap_interval(matrices, lambda m, i=i: metrics.iou(m)[..., i])
        assert found["iou"][name] == alone
    matrices[:, 1] = 0
    assert set(metrics.score_intervals(matrices, NAMES)["iou"]) == {"sky", "dog"}
    with pytest.raises(ValueError, match=r"wanted \(photos, 21, 21\)"):
        metrics.score_intervals(matrices)


def test_differences_are_of_the_second_less_the_first_in_any_order_of_photos():
    matrices, photos = drawn(0)
    better = matrices.copy()
    better[:, 0, 0] += better[:, 0, 1]
    better[:, 0, 1] = 0
    a = metrics.PhotoMatrices(photos, matrices, NAMES)
    b = metrics.PhotoMatrices(photos[::-1], better[::-1], NAMES)
    found = metrics.score_differences(a, b)
    assert found["miou"] == metrics.paired_bootstrap(matrices, better)
    before, after = metrics.summary(matrices, NAMES), metrics.summary(better, NAMES)
    for name in NAMES:
        value = after["iou"][name] - before["iou"][name]
        assert found["iou"][name].value == pytest.approx(value)
    assert found["accuracy"].verdict == found["iou"]["sky"].verdict == "better"
    assert found["iou"]["dog"].verdict == "not told apart"  # nothing changed there
    assert metrics.score_differences(b, a)["accuracy"].verdict == "worse"
