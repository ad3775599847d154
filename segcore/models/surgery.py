"""Weights of one network carried into another: DeepLabV3 into V3+ and its light variant."""

import numpy as np
from numpy.typing import NDArray

from segcore.models.blocks import BN_EPSILON
from segcore.models.checkpoint import Arrays


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


def _identity_norm(norm: str, like: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """A batch normalisation that passes its input on (its variance makes up for epsilon)."""
    values = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1 - BN_EPSILON}
    return {f"{norm}/{name}": np.full_like(like, value) for name, value in values.items()}
