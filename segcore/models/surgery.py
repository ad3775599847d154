"""Weights of one network carried into another: DeepLabV3 into the light DeepLabV3+."""

import numpy as np
from numpy.typing import NDArray

from segcore.models.blocks import BN_EPSILON
from segcore.models.checkpoint import Arrays


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
