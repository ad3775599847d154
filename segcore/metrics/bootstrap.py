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
RESAMPLES, LEVEL = 10_000, 0.95
_CHUNK = 1000  # draws at a time, so that 21 classes take 4 MB and not 40


class Interval(NamedTuple):
    """A score of all photos, and the bounds between which the middle 95 % of the draws lie."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference may be called one: both bounds lie on the same side of 0."""
        return self.low > 0 or self.high < 0


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
    drawn = _drawn((matrices,), statistic, resamples, seed)[0]
    return _interval(float(statistic(_checked(matrices).sum(0))), drawn)


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
    if np.shape(a) != np.shape(b):
        raise ValueError(f"a {np.shape(a)} and b {np.shape(b)} differ; wanted the same photos")
    first, second = _drawn((a, b), statistic, resamples, seed)
    difference = float(statistic(b.sum(0)) - statistic(a.sum(0)))
    return _interval(difference, second - first)


def _drawn(
    networks: tuple[Counts, ...], statistic: Statistic, resamples: int, seed: int
) -> list[NDArray[np.float64]]:
    """The `statistic` (resamples,) of each network, all of them on the same draws of photos."""
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; wanted 1 or more")
    flat = [_checked(matrices).reshape(len(matrices), -1) for matrices in networks]
    N, C = networks[0].shape[:2]
    rng, found = np.random.default_rng(seed), []
    for start in range(0, resamples, _CHUNK):
        times = _times_drawn(rng, min(_CHUNK, resamples - start), N)  # (R, N)
        # Products of whole numbers below 2^53: exact in float64, whatever library adds them up.
        found.append([statistic((times @ counts).reshape(-1, C, C)) for counts in flat])
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def _times_drawn(rng: np.random.Generator, draws: int, N: int) -> NDArray[np.float64]:
    """How often each of `N` photos is in each of the draws, (draws, N): a multinomial law."""
    picked = rng.integers(0, N, (draws, N)) + N * np.arange(draws)[:, None]
    return np.bincount(picked.ravel(), minlength=draws * N).reshape(draws, N).astype(np.float64)


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    tail = 100 * (1 - LEVEL) / 2
    if np.isnan(drawn).all():
        return Interval(value, float("nan"), float("nan"))
    low, high = np.nanpercentile(drawn, [tail, 100 - tail])
    return Interval(value, float(low), float(high))


def _checked(matrices: Counts) -> NDArray[np.float64]:
    """`matrices` as float64, refused unless they are (N, C, C) with a photo at least."""
    shape = np.shape(matrices)
    if len(shape) != 3 or shape[1] != shape[2] or not shape[0]:
        raise ValueError(f"matrices is {shape}; wanted (N, C, C), one matrix a photo")
    return np.asarray(matrices, np.float64)
