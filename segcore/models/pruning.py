"""Channel pruning without training: the channels that stay are refitted to replace the others."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segcore._errors import check
from segcore.models.checkpoint import Arrays

RIDGE = 1e-4  # of the mean variance; channels that always agree have no one best answer


@dataclass(frozen=True)
class Moments:
    """How the channels of a layer vary together: `mean` (C,), `covariance` (C, C), float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, batches: Iterable[NDArray]) -> "Moments":
        """Those of activations (..., C) over all positions of all `batches`; ValueError if none."""
        count, total, squares = 0, np.zeros(()), np.zeros(())
        for batch in batches:
            rows = batch.reshape(-1, batch.shape[-1]).astype(np.float64)
            count, total, squares = count + len(rows), total + rows.sum(0), squares + rows.T @ rows
        if not count:
            raise ValueError("batches is empty; give the activations of a few photos")
        mean = total / count
        return cls(mean, squares / count - np.outer(mean, mean))


def optimal_brain_surgeon(
    kernel: NDArray[np.floating], moments: Moments, keep: int
) -> NDArray[np.intp]:
    """The `keep` of C input channels that a 1×1 `kernel` (C, D) needs most, ascending, (keep,).

    One channel after the other is removed: the one whose removal changes the kernel's sums (before
    batch norm) least, in mean square, after all remaining weights have been refitted. ValueError
    for a `keep` that is not 1..C, and for moments in which no channel varies. Hassibi & Stork 1993,
    Optimal Brain Surgeon, applied to channels. `segcore.models.surgery` uses it.
    """
    check("keep", keep, 0 < keep <= len(kernel), f"between 1 and {len(kernel)}")
    weights, removed = kernel.astype(np.float64), np.zeros(len(kernel), bool)
    inverse = np.linalg.inv(_ridged(moments.covariance))
    for _ in range(len(kernel) - keep):
        unexplained = 1 / np.where(removed, 1, np.diag(inverse))  # variance given the others
        error = np.square(weights).sum(1) * unexplained
        out = int(np.where(removed, np.inf, error).argmin())
        update = inverse[:, out] / inverse[out, out]
        weights -= np.outer(update, weights[out])
        inverse -= np.outer(update, inverse[out])
        removed[out] = True
    return np.flatnonzero(~removed)


def remove_channels(
    arrays: Arrays, layer: str, moments: Moments, kept: NDArray[np.intp]
) -> dict[str, NDArray[np.float32]]:
    """Arrays in which the 1×1 convolution `layer` uses only the input channels `kept`.

    Their weights are refitted by least squares over what `moments` were taken of (but for a slight
    pull towards the old kernel, `RIDGE`). Shapes stay, with zeros for the unused channels; the
    mean of what is lost goes into the layer's batch norm. `arrays` stay as they are.
    """
    kernel, covariance = arrays[f"{layer}/kernel"][0, 0], _ridged(moments.covariance)
    refitted = np.zeros(kernel.shape)
    refitted[kept] = np.linalg.solve(covariance[np.ix_(kept, kept)], covariance[kept] @ kernel)
    mean = f"{layer}_BN/moving_mean"
    return {
        **arrays,
        f"{layer}/kernel": refitted[None, None].astype(np.float32),
        mean: (arrays[mean] - moments.mean @ (kernel - refitted)).astype(np.float32),
    }


def _ridged(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = np.trace(covariance) / len(covariance)
    if mean <= 0:
        raise ValueError("moments say that no channel varies; take them of several photos")
    return covariance + RIDGE * mean * np.eye(len(covariance))
