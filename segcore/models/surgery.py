"""Weights of one network carried into another: DeepLabV3 into V3+, V3+ into its lean variant."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segcore.models import pruning
from segcore.models.blocks import BN_EPSILON
from segcore.models.checkpoint import Arrays

# The layers of DeepLabV3+ that `lean_from_plus` prunes, and the 1×1 convolution behind each.
PRUNED = {"concat": "concat_projection", "decoder2_depthwise_relu": "decoder2_pointwise"}


def deeplab_v3_as_plus(v3: Arrays, fresh: Arrays) -> dict[str, np.ndarray]:
    """DeepLabV3's arrays → arrays of a DeepLabV3+ that starts as an exact copy of it.

    `fresh` are the arrays of the new DeepLabV3+; what V3 lacks is set so that it passes V3's scores
    through: the atrous branches get zero rows in `concat_projection`, each decoder convolution
    looks at its centre tap and hands its first channels on. Every ReLU on the way is harmless
    because the scores it sees are already positive. Taught in chapter 6.
    """
    plus = {key: v3.get(key, value).copy() for key, value in fresh.items()}
    filters = v3["concat_projection/kernel"].shape[-1]
    kernel = np.zeros_like(fresh["concat_projection/kernel"])
    kernel[:, :, : 2 * filters] = v3["concat_projection/kernel"]  # pooling and 1×1 come first
    plus["concat_projection/kernel"] = kernel
    for name in ("decoder1", "decoder2"):
        depthwise = np.zeros_like(fresh[f"{name}_depthwise/kernel"])
        depthwise[1, 1] = 1
        pointwise = np.zeros_like(fresh[f"{name}_pointwise/kernel"])
        pointwise[0, 0, :filters] = np.eye(filters)
        plus[f"{name}_depthwise/kernel"] = depthwise
        plus[f"{name}_pointwise/kernel"] = pointwise
        for half in ("depthwise", "pointwise"):
            _make_identity(plus, f"{name}_{half}_BN")
    return plus


def centre_kernels(plus: Arrays) -> dict[str, NDArray]:
    """DeepLabV3+'s arrays whose decoder looks at one cell only of the enlarged deep features.

    These hardly change within three cells: each 3×3 kernel becomes the sum of its taps.
    """
    spatial = plus["decoder1_depthwise/kernel"].copy()
    wide = plus["concat_projection/kernel"].shape[-1]
    total = spatial[:, :, :wide].sum((0, 1))
    spatial[:, :, :wide] = 0
    spatial[1, 1, :wide] = total
    return {**plus, "decoder1_depthwise/kernel": spatial}


def lean_from_plus(plus: Arrays, moments: Mapping[str, pruning.Moments], filters: int) -> Arrays:
    """DeepLabV3+'s arrays → those of `deeplab_lean`, as close as they come untrained.

    ASPP loses its atrous branches, the decoder's first convolution all but `filters` channels and
    its look around in deep features, whose ReLU then comes before the enlargement. `moments`
    belong to the layers that `PRUNED` names.
    """
    heard = {name: plus[f"{layer}/kernel"][0, 0] for name, layer in PRUNED.items()}
    near = np.arange(2 * heard["concat"].shape[1])  # pooling and the 1×1 branch
    kept = {"concat": near, "decoder2_depthwise_relu": pruning.optimal_brain_surgeon(
        heard["decoder2_depthwise_relu"], moments["decoder2_depthwise_relu"], filters
    )}  # fmt: skip
    arrays = centre_kernels(plus)
    for name, layer in PRUNED.items():
        arrays = pruning.remove_channels(arrays, layer, moments[name], kept[name])
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


def _make_identity(arrays: dict[str, np.ndarray], norm: str) -> None:
    """Sets a batch normalisation to pass its input on (its variance makes up for epsilon)."""
    arrays[f"{norm}/gamma"] = np.ones_like(arrays[f"{norm}/gamma"])
    arrays[f"{norm}/beta"] = np.zeros_like(arrays[f"{norm}/beta"])
    arrays[f"{norm}/moving_mean"] = np.zeros_like(arrays[f"{norm}/moving_mean"])
    arrays[f"{norm}/moving_variance"] = np.full_like(
        arrays[f"{norm}/moving_variance"], 1 - BN_EPSILON
    )
