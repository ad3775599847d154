"""Taken out of a trained network without training: what is left speaks for what is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segcore.blocks import BN_EPSILON
from segcore.checkpoint import Arrays

RIDGE = 1e-4  # of the mean variance; channels that always agree have no one best answer
HEARD_BY = {"concat": "concat_projection", "decoder2_depthwise_relu": "decoder2_pointwise"}
# the layers of DeepLabV3+ whose channels `plus_as_lean` thins out, and the 1×1 kernels behind them


@dataclass(frozen=True)
class Moments:
    """How the channels of a layer vary together: `mean` (C,), `covariance` (C, C), float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, batches: Iterable[NDArray]) -> Moments:
        """Those of activations (..., C) over all positions of all `batches`; ValueError if none."""
        count, total, squares = 0, np.zeros(()), np.zeros(())
        for batch in batches:
            rows = batch.reshape(-1, batch.shape[-1]).astype(np.float64)
            count, total, squares = count + len(rows), total + rows.sum(0), squares + rows.T @ rows
        if not count:
            raise ValueError("batches is empty; give the activations of a few photos")
        mean = total / count
        return cls(mean, squares / count - np.outer(mean, mean))


def least_missed(kernel: NDArray, moments: Moments, keep: int) -> NDArray[np.intp]:
    """The `keep` of C channels that a 1×1 `kernel` (C, D) can do least without, ascending.

    One channel after the other goes: the one without which the kernel's sums (before batch norm)
    change least, in mean square, after all that are left have made up for it as well as they can.
    ValueError for a `keep` that is not 1..C. Hassibi & Stork 1993, Optimal Brain Surgeon, applied
    to channels. Used by the lean network, see book/results.
    """
    if not 0 < keep <= len(kernel):
        raise ValueError(f"keep must be between 1 and {len(kernel)}, not {keep}")
    weights, gone = kernel.astype(np.float64), np.zeros(len(kernel), bool)
    inverse = np.linalg.inv(_ridged(moments.covariance))
    for _ in range(len(kernel) - keep):
        own = 1 / np.where(gone, 1, np.diag(inverse))  # the variance that others do not explain
        out = int(np.where(gone, np.inf, np.square(weights).sum(1) * own).argmin())
        share = inverse[:, out] / inverse[out, out]
        weights -= np.outer(share, weights[out])
        inverse -= np.outer(share, inverse[out])
        gone[out] = True
    return np.flatnonzero(~gone)


def without(arrays: Arrays, layer: str, moments: Moments, kept: NDArray) -> dict[str, NDArray]:
    """Arrays in which the 1×1 convolution `layer` hears only the input channels `kept`.

    They speak for the others as well as a linear function can, in mean square over what `moments`
    were taken of (but for a slight pull towards the old kernel, `RIDGE`). Shapes stay, with zeros
    for what is unheard; the mean of what is lost goes into the layer's batch norm.
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


def centred(plus: Arrays) -> dict[str, NDArray]:
    """DeepLabV3+'s arrays whose decoder looks at one cell only of the enlarged deep features.

    These hardly change within three cells: each 3×3 kernel becomes the sum of its taps.
    """
    spatial = plus["decoder1_depthwise/kernel"].copy()
    wide = plus["concat_projection/kernel"].shape[-1]
    total = spatial[:, :, :wide].sum((0, 1))
    spatial[:, :, :wide] = 0
    spatial[1, 1, :wide] = total
    return {**plus, "decoder1_depthwise/kernel": spatial}


def plus_as_lean(plus: Arrays, moments: Mapping[str, Moments], filters: int) -> dict[str, NDArray]:
    """DeepLabV3+'s arrays → those of `models.deeplab_lean`, as close as they come untrained.

    ASPP loses its atrous branches, the decoder's first convolution all but `filters` channels and
    its look around in deep features, whose ReLU then comes before the enlargement. `moments`
    belong to the layers that `HEARD_BY` names.
    """
    heard = {name: plus[f"{layer}/kernel"][0, 0] for name, layer in HEARD_BY.items()}
    near = np.arange(2 * heard["concat"].shape[1])  # pooling and the 1×1 branch
    kept = {"concat": near, "decoder2_depthwise_relu": least_missed(
        heard["decoder2_depthwise_relu"], moments["decoder2_depthwise_relu"], filters
    )}  # fmt: skip
    arrays = centred(plus)
    for name, layer in HEARD_BY.items():
        arrays = without(arrays, layer, moments[name], kept[name])
        arrays[f"{layer}/kernel"] = arrays[f"{layer}/kernel"][:, :, kept[name]]
    return _apart(arrays, kept["decoder2_depthwise_relu"])


def _apart(plus: Arrays, kept: NDArray) -> dict[str, NDArray]:
    """The decoder's first convolution in two, for deep and for low-level features.

    It gives only the channels `kept`. Its second batch norm becomes part of kernels and bias.
    """
    wide = plus["concat_projection/kernel"].shape[-1]
    gone = ("aspp1_", "aspp2_", "aspp3_", "decoder1_")
    arrays = {key: array for key, array in plus.items() if not key.startswith(gone)}
    for key in plus:
        if key.startswith("decoder2_depthwise"):
            arrays[key] = plus[key][..., kept, :] if key.endswith("kernel") else plus[key][kept]
        elif key.startswith("decoder1_depthwise_BN"):
            name = key.split("/")[1]
            arrays[f"decoder1_deep_depthwise_BN/{name}"] = plus[key][:wide]
            arrays[f"decoder1_low_depthwise_BN/{name}"] = plus[key][wide:]
    norm = {name: plus[f"decoder1_pointwise_BN/{name}"][kept]
            for name in ("gamma", "beta", "moving_mean", "moving_variance")}  # fmt: skip
    scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + BN_EPSILON)
    spatial = plus["decoder1_depthwise/kernel"]
    mixing = plus["decoder1_pointwise/kernel"][..., kept] * scale
    return arrays | {
        "decoder1_deep_depthwise/kernel": spatial[:, :, :wide],
        "decoder1_low_depthwise/kernel": spatial[:, :, wide:],
        "decoder1_deep_pointwise/kernel": mixing[:, :, :wide],
        "decoder1_low_pointwise/kernel": mixing[:, :, wide:],
        "decoder1_low_pointwise/bias": norm["beta"] - norm["moving_mean"] * scale,
    }


def _ridged(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    mean = np.trace(covariance) / len(covariance)
    if mean <= 0:
        raise ValueError("moments say that no channel varies; take them of several photos")
    return covariance + RIDGE * mean * np.eye(len(covariance))
