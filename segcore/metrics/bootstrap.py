"""How far a score would move with other photos: percentile bootstrap over photos.

The unit is the photo: its pixels are no independent witnesses. N photos are drawn from the N at
hand with replacement, their matrices are added up, and the score is taken anew, many times over;
the middle 95 % of these scores is the interval (Efron and Tibshirani 1993, An Introduction to the
Bootstrap, chapter 13). Two networks are compared on the same draws, so that photos which are hard
for both cancel out. A class that is in none of the photos drawn is left out of that draw's mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segcore.metrics.confusion import Counts, mean_ious

Statistic = Callable[[NDArray], NDArray[np.float64]]  # (..., C, C) → (...), as `mean_ious`
Statistics = Callable[[NDArray], NDArray[np.float64]]  # (..., C, C) → (..., K), as `iou`
RESAMPLES, LEVEL = 10_000, 0.95
_COUNTS = 441_000  # of matrices drawn at a time: 1,000 draws of 21 classes, 4 MB and not 40


class Interval(NamedTuple):
    """A score of all photos, and the bounds between which the middle 95 % of the draws lie."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference may be called one: both bounds lie on the same side of 0."""
        return self.low > 0 or self.high < 0

    @property
    def verdict(self) -> str:
        """What may be said of a difference: "better", "worse" or "not told apart"."""
        if not self.excludes_zero:
            return "not told apart"
        return "better" if self.low > 0 else "worse"


def bootstrap_interval(
    matrices: Counts,
    statistic: Statistic = mean_ious,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The `statistic` of all photos' matrices (N, C, C) added up, and its 95 % interval.

    Same `seed`, same bounds. Raises ValueError for matrices of another shape, or none. Taught in
    chapter 1.
    """
    return bootstrap_intervals(matrices, _only(statistic), resamples, seed)[0]


def bootstrap_intervals(
    matrices: Counts, statistics: Statistics, resamples: int = RESAMPLES, seed: int = 0
) -> list[Interval]:
    """`bootstrap_interval` of each of K `statistics`, all of them on the same draws."""
    drawn = _drawn((matrices,), statistics, resamples, seed)[0]
    return _intervals(statistics(_checked(matrices).sum(0)), drawn)


def paired_bootstrap(
    a: Counts,
    b: Counts,
    statistic: Statistic = mean_ious,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """How much more `b` scores than `a` on the same photos, in the same order, and its interval.

    Both are (N, C, C). Raises ValueError where they differ in shape. Taught in chapter 1.
    """
    return paired_bootstraps(a, b, _only(statistic), resamples, seed)[0]


def paired_bootstraps(
    a: Counts, b: Counts, statistics: Statistics, resamples: int = RESAMPLES, seed: int = 0
) -> list[Interval]:
    """`paired_bootstrap` of each of K `statistics`, all of them on the same draws."""
    if np.shape(a) != np.shape(b):
        raise ValueError(f"a {np.shape(a)} and b {np.shape(b)} differ; wanted the same photos")
    first, second = _drawn((a, b), statistics, resamples, seed)
    return _intervals(statistics(b.sum(0)) - statistics(a.sum(0)), second - first)


def _only(statistic: Statistic) -> Statistics:
    """One number as a row of one."""
    return lambda matrices: np.asarray(statistic(matrices))[..., None]


def _drawn(
    networks: tuple[Counts, ...], statistics: Statistics, resamples: int, seed: int
) -> list[NDArray[np.float64]]:
    """The `statistics` (resamples, K) of each network, all of them on the same draws of photos."""
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; wanted 1 or more")
    flat = [_checked(matrices).reshape(len(matrices), -1) for matrices in networks]
    N, C = networks[0].shape[:2]
    rng, found, step = np.random.default_rng(seed), [], max(_COUNTS // C**2, 1)
    for start in range(0, resamples, step):
        times = _times_drawn(rng, min(step, resamples - start), N)  # (R, N)
        # Products of whole numbers below 2^53: exact in float64, whatever library adds them up.
        found.append([statistics((times @ counts).reshape(-1, C, C)) for counts in flat])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def _times_drawn(rng: np.random.Generator, draws: int, N: int) -> NDArray[np.float64]:
    """How often each of `N` photos is in each of the draws, (draws, N): a multinomial law."""
    picked = rng.integers(0, N, (draws, N)) + N * np.arange(draws)[:, None]
    return np.bincount(picked.ravel(), minlength=draws * N).reshape(draws, N).astype(np.float64)


def _intervals(values: NDArray[np.float64], drawn: NDArray[np.float64]) -> list[Interval]:
    """An interval for each of `values` (K,) from its column of `drawn` (R, K)."""
    tail = 100 * (1 - LEVEL) / 2
    bounds = np.full((2, len(values)), np.nan)
    there = ~np.isnan(drawn).all(0)
    bounds[:, there] = np.nanpercentile(drawn[:, there], [tail, 100 - tail], axis=0)
    rows = zip(values.tolist(), *bounds.tolist(), strict=True)
    return [Interval(value, low, high) for value, low, high in rows]


def _checked(matrices: Counts) -> NDArray[np.float64]:
    """`matrices` as float64, refused unless they are (N, C, C) with a photo at least."""
    shape = np.shape(matrices)
    if len(shape) != 3 or shape[1] != shape[2] or not shape[0]:
        raise ValueError(f"matrices is {shape}; wanted (N, C, C), one matrix a photo")
    return np.asarray(matrices, np.float64)
