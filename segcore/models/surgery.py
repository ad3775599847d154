"""Weights of one network carried into another: DeepLabV3 into V3+, V3+ into its lean variant."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segcore.models import pruning
from segcore.models.blocks import BN_EPSILON
from segcore.models.checkpoint import Arrays

# The layers of DeepLabV3+ that `lean_from_plus` prunes, and the 1×1 convolution behind each.
PRUNED = {"concat": "concat_projection", "decoder2_depthwise_relu": "decoder2_pointwise"}
NORM = ("gamma", "beta", "moving_mean", "moving_variance")  # the variables of a batch norm


def deeplab_v3_as_plus(v3: Arrays, fresh: Arrays) -> dict[str, NDArray[np.float32]]:
    """DeepLabV3's arrays → arrays of a DeepLabV3+ that starts as an exact copy of it.

    `fresh` are the arrays of the new DeepLabV3+ (both by `layer/variable`, both left as they are);
    what V3 lacks is set so that it passes V3's features through: the atrous branches get zero rows
    in `concat_projection`, each decoder convolution has a one in its kernel's centre and passes its
    first channels on. Every ReLU on the way is harmless because the features are positive already.
    Both networks must have the same `filters`. Taught in chapter 7.
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
            plus |= _identity_norm(f"{name}_{half}_BN", fresh[f"{name}_{half}_BN/gamma"])
    return plus


def deeplab_v3_as_light(v3: Arrays, fresh: Arrays) -> dict[str, NDArray[np.float32]]:
    """DeepLabV3's arrays → arrays of a `deeplab_light` that starts as an exact copy of it.

    `fresh` are the arrays of the new network. The decoder's first convolution computes each of the
    C scores s and -s and ignores low-level features; its ReLU keeps one of the two, and `logits`
    takes their difference, relu(s) - relu(-s) = s. What lies between passes everything on. The
    channels beyond 2C keep their fresh kernels, without effect at first. Taught in chapter 7.
    """
    light = {key: v3[key].copy() if key in v3 else value.copy() for key, value in fresh.items()}
    scores, C = v3["logits/kernel"][0, 0], v3["logits/bias"].size
    for name in ("decoder1_deep_depthwise", "decoder2_depthwise"):
        light[f"{name}/kernel"] = np.zeros_like(fresh[f"{name}/kernel"])
        light[f"{name}/kernel"][1, 1] = 1
    for name in ("decoder1_deep_depthwise", "decoder2_depthwise", "decoder2_pointwise"):
        light |= _identity_norm(f"{name}_BN", fresh[f"{name}_BN/gamma"])
    first = light["decoder1_deep_pointwise/kernel"][0, 0]
    first[:, :C], first[:, C : 2 * C] = scores, -scores
    for name in ("kernel", "bias"):
        light[f"decoder1_low_pointwise/{name}"][:] = 0
    light["decoder2_pointwise/kernel"][0, 0] = np.eye(first.shape[1])
    light["logits/kernel"] = np.zeros_like(fresh["logits/kernel"])
    light["logits/kernel"][0, 0, :C], light["logits/kernel"][0, 0, C : 2 * C] = (
        np.eye(C),
        -np.eye(C),
    )
    return light


def centre_kernels(plus: Arrays) -> dict[str, NDArray[np.float32]]:
    """DeepLabV3+'s arrays whose decoder reads one position only of the upsampled encoder features.

    These hardly change within three positions, so each 3×3 kernel becomes the sum of its weights,
    at the centre. Kernels of low-level features stay.
    """
    kernel = plus["decoder1_depthwise/kernel"].copy()
    deep = _deep_channels(plus)
    total = kernel[:, :, :deep].sum((0, 1))
    kernel[:, :, :deep] = 0
    kernel[1, 1, :deep] = total
    return {**plus, "decoder1_depthwise/kernel": kernel}


def lean_from_plus(
    plus: Arrays, moments: Mapping[str, pruning.Moments], filters: int
) -> dict[str, NDArray[np.float32]]:
    """DeepLabV3+'s arrays → those of `deeplab_lean`, as close as they come untrained.

    ASPP loses its atrous branches, the decoder's first convolution all but `filters` channels and
    the neighbours among upsampled encoder features, whose ReLU then comes before the upsampling.
    `moments` belong to the layers that `PRUNED` names. ValueError for `filters` outside 1 to the
    number of channels.
    """
    branch = plus["concat_projection/kernel"].shape[-1]
    mixing = plus["decoder2_pointwise/kernel"][0, 0]
    kept = {
        "concat": np.arange(2 * branch),  # pooling and the 1×1 branch
        "decoder2_depthwise_relu": pruning.optimal_brain_surgeon(
            mixing, moments["decoder2_depthwise_relu"], filters
        ),
    }
    arrays = centre_kernels(plus)
    for name, layer in PRUNED.items():
        arrays = pruning.remove_channels(arrays, layer, moments[name], kept[name])
        arrays[f"{layer}/kernel"] = arrays[f"{layer}/kernel"][:, :, kept[name]]
    return _split_decoder(arrays, kept["decoder2_depthwise_relu"])


def _split_decoder(plus: Arrays, kept: NDArray[np.intp]) -> dict[str, NDArray[np.float32]]:
    """The decoder's first convolution in two, for encoder and for low-level features.

    It gives only the channels `kept`. Its second batch norm becomes part of kernels and bias.
    """
    replaced = ("aspp1_", "aspp2_", "aspp3_", "decoder1_")
    arrays = {key: array for key, array in plus.items() if not key.startswith(replaced)}
    arrays["decoder2_depthwise/kernel"] = plus["decoder2_depthwise/kernel"][:, :, kept]
    for name in NORM:
        arrays[f"decoder2_depthwise_BN/{name}"] = plus[f"decoder2_depthwise_BN/{name}"][kept]
    norm = {name: plus[f"decoder1_pointwise_BN/{name}"][kept] for name in NORM}
    scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + BN_EPSILON)
    pointwise = plus["decoder1_pointwise/kernel"][..., kept] * scale
    deep = _deep_channels(plus)
    for part, channels in (("deep", slice(None, deep)), ("low", slice(deep, None))):
        depthwise = plus["decoder1_depthwise/kernel"]
        arrays[f"decoder1_{part}_depthwise/kernel"] = depthwise[:, :, channels]
        for name in NORM:
            array = plus[f"decoder1_depthwise_BN/{name}"]
            arrays[f"decoder1_{part}_depthwise_BN/{name}"] = array[channels]
        arrays[f"decoder1_{part}_pointwise/kernel"] = pointwise[:, :, channels]
    arrays["decoder1_low_pointwise/bias"] = norm["beta"] - norm["moving_mean"] * scale
    return arrays


def _deep_channels(plus: Arrays) -> int:
    """How many of the decoder's channels are encoder features; low-level ones come behind."""
    return int(plus["concat_projection/kernel"].shape[-1])


def _identity_norm(norm: str, like: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """A batch normalisation that passes its input on (its variance makes up for epsilon)."""
    values = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1 - BN_EPSILON}
    return {f"{norm}/{name}": np.full_like(like, value) for name, value in values.items()}
