"""Which channels are removed, and how the others are refitted."""

import numpy as np
import pytest

from segcore.models import pruning


def moments_of(rows):
    return pruning.Moments.of([rows[: len(rows) // 3], rows[len(rows) // 3 :]])


def varied(channels, rows=4000, seed=0):
    """Activations (rows, channels) that depend on each other."""
    random = np.random.default_rng(seed)
    causes = random.normal(size=(rows, channels // 2 + 1))
    mixed = causes @ random.normal(size=(causes.shape[1], channels))
    own = random.normal(size=(rows, channels)) * random.uniform(0.1, 2, channels)
    return np.maximum(mixed + own + 0.3, 0).astype("f4")


def output_error(rows, kernel, kept):
    """The mean square by which the best linear function of `kept` misses rows @ kernel."""
    inputs = np.c_[rows[:, kept], np.ones(len(rows))]
    target = rows @ kernel
    return np.square(target - inputs @ np.linalg.lstsq(inputs, target, rcond=None)[0]).mean()


def test_moments_are_those_of_all_rows():
    rows = varied(5).reshape(40, 10, 10, 5)
    found = pruning.Moments.of(iter(rows))
    np.testing.assert_allclose(found.mean, rows.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.covariance, np.cov(rows.reshape(-1, 5).T, ddof=0), rtol=1e-4)
    with pytest.raises(ValueError, match="batches is empty; give"):
        pruning.Moments.of([])


def test_one_after_the_other_as_if_each_had_been_tried():
    for seed in range(8):
        rows = varied(9, seed=seed)
        kernel = np.random.default_rng(seed).normal(size=(9, 3))
        left = list(range(9))
        for _ in range(4):
            left = min(
                ([c for c in left if c != out] for out in left),
                key=lambda kept: output_error(rows, kernel, kept),
            )
        assert pruning.optimal_brain_surgeon(kernel, moments_of(rows), 5).tolist() == left


def test_the_dead_go_first_and_all_may_stay():
    rows, kernel = varied(6), np.random.default_rng(0).normal(size=(6, 2))
    rows[:, 4] = 0
    assert pruning.optimal_brain_surgeon(kernel, moments_of(rows), 5).tolist() == [0, 1, 2, 3, 5]
    assert pruning.optimal_brain_surgeon(kernel, moments_of(rows), 6).tolist() == list(range(6))
    still = np.ones((100, 3), "f4")
    with pytest.raises(ValueError, match="no channel varies; take them of several photos"):
        pruning.optimal_brain_surgeon(np.ones((3, 2)), pruning.Moments.of([still]), 2)


def test_better_than_going_by_size():
    ours = sizes = 0.0
    for seed in range(5):
        rows = varied(24, seed=seed)
        kernel = np.random.default_rng(seed).normal(size=(24, 4))
        loudness = rows.std(0) * np.linalg.norm(kernel, axis=1)
        sizes += output_error(rows, kernel, np.sort(np.argsort(-loudness)[:12]))
        ours += output_error(
            rows, kernel, pruning.optimal_brain_surgeon(kernel, moments_of(rows), 12)
        )
    assert ours < 0.95 * sizes


def test_copies_go_and_nothing_is_lost():
    rows, random = varied(6), np.random.default_rng(1)
    rows = np.c_[rows, rows[:, :3] * 2 + 1]  # three channels that say nothing new
    kernel = random.normal(size=(1, 1, 9, 4)).astype("f4")
    arrays = {"mix/kernel": kernel, "mix_BN/moving_mean": np.zeros(4, "f4"), "other": kernel}
    moments = moments_of(rows)
    kept = pruning.optimal_brain_surgeon(kernel[0, 0], moments, 6)
    assert len(kept) == 6
    assert {c % 6 for c in kept.tolist()} == set(range(6))  # one of each pair
    less = pruning.remove_channels(arrays, "mix", moments, kept)
    assert less["mix/kernel"].shape == kernel.shape and less["other"] is kernel
    assert not less["mix/kernel"][:, :, np.setdiff1d(np.arange(9), kept)].any()
    new = rows @ less["mix/kernel"][0, 0] - less["mix_BN/moving_mean"]
    np.testing.assert_allclose(new, rows @ kernel[0, 0], atol=0.02 * np.abs(new).max())
    assert not arrays["mix_BN/moving_mean"].any()  # what went in stays as it was


@pytest.mark.parametrize("keep", [0, 4])
def test_keep_within_reason(keep):
    with pytest.raises(ValueError, match=f"keep must be between 1 and 3, not {keep}"):
        pruning.optimal_brain_surgeon(np.ones((3, 2)), moments_of(varied(3)), keep)
