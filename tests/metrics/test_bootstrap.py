"""Intervals against a Python loop, and against how often they should cover the truth."""

import numpy as np
import pytest

from segcore import metrics


def photos(N, seed, right=0.8, C=3):
    """Matrices (N, C, C) of photos with about 100 pixels, some harder than others."""
    rng = np.random.default_rng(seed)
    found = np.zeros((N, C, C), np.int64)
    for matrix in found:
        share = np.clip(rng.normal(right, 0.1), 0, 1)
        labels = rng.integers(0, C, 100)
        guess = np.where(rng.random(100) < share, labels, rng.integers(0, C, 100))
        np.add.at(matrix, (labels, guess), 1)
    return found


def by_hand(matrices, draws, seed):
    """(draws,) mean IoUs, photo by photo and class by class; another stream of random numbers."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        total = sum(matrices[rng.integers(len(matrices))] for _ in matrices)
        ious = []
        for c in range(len(total)):
            union = total[c].sum() + total[:, c].sum() - total[c, c]
            if total[c].sum():
                ious.append(total[c, c] / union)
        found.append(sum(ious) / len(ious))
    return found


def test_interval_is_that_of_a_loop_over_photos():
    matrices = photos(12, seed=1)
    found = metrics.bootstrap_interval(matrices)
    low, high = np.percentile(by_hand(matrices, 4000, seed=2), [2.5, 97.5])
    assert found.value == metrics.mean_iou(matrices.sum(0))
    width = high - low
    assert found.low == pytest.approx(low, abs=0.06 * width)
    assert found.high == pytest.approx(high, abs=0.06 * width)


def test_a_class_that_a_draw_misses_is_left_out_of_its_mean():
    matrices = np.zeros((2, 2, 2), np.int64)
    matrices[0, 0, 0], matrices[1, 1] = 10, (5, 5)  # class 1 is in the second photo alone
    found = metrics.bootstrap_interval(matrices, resamples=400)
    # Drawn: both (mean of 10/15 and 5/10), the first twice (1), the second twice (1/2).
    assert found == pytest.approx(((10 / 15 + 0.5) / 2, 0.5, 1))


def test_nineteen_of_twenty_intervals_cover_the_truth():
    truth = metrics.pixel_accuracy(photos(20_000, seed=99).sum(0))
    held = 0
    for seed in range(200):
        found = metrics.bootstrap_interval(
            photos(60, seed), metrics.pixel_accuracies, resamples=1000
        )
        held += found.low <= truth <= found.high
    assert 181 <= held <= 199  # 190 wanted; three standard errors to either side


def test_pairing_cancels_what_is_hard_for_both():
    a = photos(100, seed=5, right=0.7)
    b = a.copy()
    b[:, 0, 0] += b[:, 0, 1]  # the second network makes one kind of mistake less, on each photo
    b[:, 0, 1] = 0
    found = metrics.paired_bootstrap(a, b)
    assert found.value == metrics.mean_iou(b.sum(0)) - metrics.mean_iou(a.sum(0))
    assert found.low < found.value < found.high and found.excludes_zero
    alone = metrics.bootstrap_interval(a)
    assert found.high - found.low < (alone.high - alone.low) / 2
    back = metrics.paired_bootstrap(b, a)
    assert back == pytest.approx((-found.value, -found.high, -found.low)) and back.excludes_zero


def test_a_network_does_not_differ_from_itself():
    a = photos(9, seed=0)
    assert metrics.paired_bootstrap(a, a) == (0, 0, 0)
    assert not metrics.paired_bootstrap(a, a).excludes_zero
    assert not metrics.Interval(0.1, -0.1, 0.3).excludes_zero
    cases = {"better": (0.1, 0.01, 0.2), "worse": (-0.1, -0.2, -0.01), "not told apart": (1, 0, 2)}
    assert all(metrics.Interval(*one).verdict == said for said, one in cases.items())


def test_same_seed_same_interval_whatever_the_number_of_draws_at_a_time(monkeypatch):
    from segcore.metrics import bootstrap

    a = photos(9, seed=0)
    first = metrics.bootstrap_interval(a, resamples=2500, seed=4)
    assert metrics.bootstrap_interval(a, resamples=2500, seed=4) == first
    assert metrics.bootstrap_interval(a, resamples=2500, seed=5) != first
    monkeypatch.setattr(bootstrap, "_COUNTS", 7 * 9)  # seven draws
    assert metrics.bootstrap_interval(a, resamples=2500, seed=4) == first


def test_any_statistic_of_the_matrices_has_an_interval():
    a = photos(30, seed=0)
    found = metrics.bootstrap_interval(a, lambda m: metrics.iou(m)[..., 1])
    assert found.low < found.value == metrics.iou(a.sum(0))[1] < found.high


def test_nothing_labelled_has_no_interval():
    assert np.isnan(metrics.bootstrap_interval(np.zeros((3, 2, 2), np.int64))).all()


def test_refuses():
    a = photos(4, seed=0)
    with pytest.raises(ValueError, match=r"matrices is \(3, 3\); wanted \(N, C, C\)"):
        metrics.bootstrap_interval(a[0])
    with pytest.raises(ValueError, match="one matrix a photo"):
        metrics.bootstrap_interval(a[:0])
    with pytest.raises(ValueError, match=r"a \(4, 3, 3\) and b \(3, 3, 3\) differ"):
        metrics.paired_bootstrap(a, a[:3])
    with pytest.raises(ValueError, match="resamples is 0"):
        metrics.bootstrap_interval(a, resamples=0)
