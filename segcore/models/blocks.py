"""The four building blocks: separable convolution, inverted residual, ASPP, aligned upsampling.

Every function takes a Keras tensor and returns one; layers are named so that weights load by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from segcore._keras import keras

layers = keras.layers

BN_EPSILON = 1e-3


def normalise(
    x: keras.KerasTensor, name: str, activation: str | None = "relu"
) -> keras.KerasTensor:
    """Batch normalisation, then the activation "relu", "relu6" or None; same shape."""
    x = layers.BatchNormalization(epsilon=BN_EPSILON, momentum=0.99, name=name)(x)
    if activation is None:
        return x
    return layers.ReLU(6.0 if activation == "relu6" else None, name=_activation_name(name))(x)


def convolution(
    x: keras.KerasTensor, filters: int, name: str, activation: str | None = "relu"
) -> keras.KerasTensor:
    """1×1 convolution without bias, batch norm, activation: (B, H, W, C) → (B, H, W, filters)."""
    x = layers.Conv2D(filters, 1, use_bias=False, name=name)(x)
    return normalise(x, f"{name}_BN", activation)


def separable_convolution(
    x: keras.KerasTensor, filters: int, name: str, rate: int = 1
) -> keras.KerasTensor:
    """3×3 depthwise at atrous `rate`, then 1×1 pointwise: (B, H, W, C) → (B, H, W, filters).

    Each half is followed by batch norm and ReLU. Chen et al. 2018, DeepLabV3+, section 3.1.
    Taught in chapter 3.
    """
    return convolution(depthwise(x, name, rate), filters, f"{name}_pointwise")


def depthwise(x: keras.KerasTensor, name: str, rate: int = 1) -> keras.KerasTensor:
    """3×3 depthwise convolution at atrous `rate`, batch norm, ReLU; same shape."""
    x = layers.DepthwiseConv2D(
        3, padding="same", dilation_rate=rate, use_bias=False, name=f"{name}_depthwise"
    )(x)
    return normalise(x, f"{name}_depthwise_BN")


def inverted_residual(
    x: keras.KerasTensor, filters: int, expansion: int, stride: int, rate: int, name: str
) -> keras.KerasTensor:
    """Widen ×`expansion`, filter depthwise, project down without activation, add the input back.

    (B, H, W, C) → (B, H/stride, W/stride, filters). The sum needs stride 1 and C = filters.
    Sandler et al. 2018, MobileNetV2, section 3.3. Taught in chapter 4.
    """
    channels = x.shape[-1]
    inside = x
    if expansion > 1:
        inside = convolution(inside, channels * expansion, f"{name}_expand", "relu6")
    inside = layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        dilation_rate=rate,
        use_bias=False,
        name=f"{name}_depthwise",
    )(inside)
    inside = normalise(inside, f"{name}_depthwise_BN", "relu6")
    inside = convolution(inside, filters, f"{name}_project", None)
    if stride == 1 and channels == filters:
        return layers.Add(name=f"{name}_add")([x, inside])
    return inside


def aspp(x: keras.KerasTensor, filters: int, rates: Sequence[int]) -> keras.KerasTensor:
    """Atrous spatial pyramid pooling: (B, H, W, C) → (B, H, W, filters).

    Image pooling, a 1×1 convolution and one separable 3×3 convolution for each of `rates` look at
    the same cells over different reaches; a 1×1 convolution mixes them. Chen et al. 2018, fig. 2.
    Taught in chapter 5.
    """
    H, W = x.shape[1:3]
    if max(rates, default=0) >= H:
        raise ValueError(
            f"rates {tuple(rates)} reach beyond a map of {H}×{W} cells: a rate of {H} or more "
            "leaves only the centre tap; use shorter rates or a larger input"
        )
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    pooled = convolution(pooled, filters, "aspp_pool")
    pooled = layers.UpSampling2D((H, W), interpolation="bilinear", name="aspp_spread")(pooled)
    branches = [pooled, convolution(x, filters, "aspp0")]
    for number, rate in enumerate(rates, start=1):
        branches.append(separable_convolution(x, filters, f"aspp{number}", rate))
    joined = layers.Concatenate(name="concat")(branches)
    return convolution(joined, filters, "concat_projection")


def upsample_aligned(
    x: keras.KerasTensor, factor: int, name: str, late: bool = False
) -> keras.KerasTensor:
    """Bilinear ×`factor` whose cell i lands on pixel factor·i: (B, n, n, C) → (B, m, m, C).

    m = factor·(n - 1) + 1, the size that "same" padding had before its strides. Plain upsampling
    puts cell i on pixel factor·i + (factor - 1)/2; cropping that offset puts it back. For an even
    factor the offset ends in a half: it is rounded down, or up when `late`, so that two steps in
    a row can undo each other's half pixel. Taught in chapter 5.
    """
    x = layers.UpSampling2D(factor, interpolation="bilinear", name=f"{name}_up")(x)
    before = (factor - 1) // 2 + (1 if late and factor % 2 == 0 else 0)
    after = factor - 1 - before
    return layers.Cropping2D(((before, after), (before, after)), name=f"{name}_crop")(x)


def _activation_name(name: str) -> str:
    """The name that `keras.applications.MobileNetV2` gives the activation behind batch norm."""
    if name == "bn_Conv1":
        return "Conv1_relu"
    return name.removesuffix("_BN") + "_relu"
