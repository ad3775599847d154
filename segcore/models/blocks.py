"""The four building blocks: separable convolution, inverted residual, ASPP, aligned upsampling.

Every function takes a Keras tensor and returns one; layers are named so that weights load by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from segcore._errors import check
from segcore._keras import keras

layers = keras.layers

BN_EPSILON = 1e-3


@dataclass(frozen=True)
class Bottleneck:
    """One row of MobileNetV2's Table 1: an inverted residual block with a linear bottleneck.

    `filters` channels come out, `expansion` times the channels that come in lie between, and the
    depthwise kernel has `stride` (1 or 2) or a `dilation`.
    """

    filters: int
    expansion: int = 6
    stride: int = 1
    dilation: int = 1


def normalise(
    x: keras.KerasTensor, name: str, activation: str | None = "relu"
) -> keras.KerasTensor:
    """Batch normalisation, then `activation`, "relu", "relu6" or None: (B, H, W, C) → the same.

    The layers are called `name` and, as in `keras.applications.MobileNetV2`, `name` with _relu in
    place of _BN. ValueError for another activation.
    """
    fine = activation in ("relu", "relu6", None)
    check("activation", activation, fine, '"relu", "relu6" or None')
    x = layers.BatchNormalization(epsilon=BN_EPSILON, momentum=0.99, name=name)(x)
    if activation is None:
        return x
    return layers.ReLU(6.0 if activation == "relu6" else None, name=_activation_name(name))(x)


def convolution(
    x: keras.KerasTensor, filters: int, name: str, activation: str | None = "relu"
) -> keras.KerasTensor:
    """1×1 convolution without bias, batch norm, activation: (B, H, W, C) → (B, H, W, filters).

    The layers are called `name` and `name`_BN. Taught in chapter 4.
    """
    x = layers.Conv2D(filters, 1, use_bias=False, name=name)(x)
    return normalise(x, f"{name}_BN", activation)


def separable_convolution(
    x: keras.KerasTensor, filters: int, name: str, dilation: int = 1
) -> keras.KerasTensor:
    """3×3 depthwise with `dilation`, then 1×1 pointwise: (B, H, W, C) → (B, H, W, filters).

    Each half is followed by batch norm and ReLU. Chen et al. 2018, DeepLabV3+, section 3.1.
    Taught in chapter 3.
    """
    return convolution(depthwise(x, name, dilation=dilation), filters, f"{name}_pointwise")


def depthwise(
    x: keras.KerasTensor,
    name: str,
    stride: int = 1,
    dilation: int = 1,
    activation: str | None = "relu",
) -> keras.KerasTensor:
    """3×3 depthwise convolution without bias, batch norm, activation.

    (B, H, W, C) → (B, H/stride, W/stride, C), sides rounded up. The layers are called
    `name`_depthwise and `name`_depthwise_BN. Taught in chapter 3.
    """
    x = layers.DepthwiseConv2D(
        3, stride, "same", dilation_rate=dilation, use_bias=False, name=f"{name}_depthwise"
    )(x)
    return normalise(x, f"{name}_depthwise_BN", activation)


def inverted_residual(x: keras.KerasTensor, block: Bottleneck, name: str) -> keras.KerasTensor:
    """Expand, filter depthwise, project to a linear bottleneck, add the input.

    (B, H, W, C) → (B, H/stride, W/stride, filters), sides rounded up. With expansion 1 nothing is
    expanded; the sum needs stride 1 and C = filters. Sandler et al. 2018, MobileNetV2, section 3.3.
    Taught in chapter 4.
    """
    channels = x.shape[-1]
    inside = x
    if block.expansion > 1:
        inside = convolution(inside, channels * block.expansion, f"{name}_expand", "relu6")
    inside = depthwise(inside, name, block.stride, block.dilation, "relu6")
    inside = convolution(inside, block.filters, f"{name}_project", None)
    if block.stride == 1 and channels == block.filters:
        return layers.Add(name=f"{name}_add")([x, inside])
    return inside


def aspp(x: keras.KerasTensor, filters: int, dilation_rates: Sequence[int]) -> keras.KerasTensor:
    """Atrous spatial pyramid pooling: (B, H, W, C) → (B, H, W, filters).

    Branches side by side: image pooling, a 1×1 convolution and a separable 3×3 convolution for
    each of `dilation_rates`; a 1×1 convolution mixes them. ValueError for a dilation rate at which
    only the centre weight of a kernel lies inside the feature map. Chen et al. 2017, Rethinking
    Atrous Convolution, section 3.3; separable as in Chen et al. 2018, fig. 2. Taught in chapter 5.
    """
    H, W = x.shape[1:3]
    fine = max(dilation_rates, default=0) < min(H, W)
    wanted = f"below {min(H, W)} in a feature map of {H}×{W}, or only centre weights lie inside"
    check("dilation_rates", tuple(dilation_rates), fine, wanted)
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="aspp_mean")(x)
    pooled = convolution(pooled, filters, "aspp_pool")
    pooled = layers.UpSampling2D((H, W), interpolation="bilinear", name="aspp_spread")(pooled)
    branches = [pooled, convolution(x, filters, "aspp0")]
    for number, dilation in enumerate(dilation_rates, start=1):
        branches.append(separable_convolution(x, filters, f"aspp{number}", dilation))
    joined = layers.Concatenate(name="concat")(branches)
    return convolution(joined, filters, "concat_projection")


def upsample_aligned(
    x: keras.KerasTensor, factor: int, name: str, round_up: bool = False
) -> keras.KerasTensor:
    """Bilinear ×`factor` that puts feature i on pixel factor·i: (B, n, n, C) → (B, m, m, C).

    m = factor·(n - 1) + 1, the size that "same" padding had before its strides. Plain upsampling
    puts feature i on pixel factor·i + (factor - 1)/2; cropping that offset puts it back. For an
    even factor the offset ends in a half: it is rounded down, or with `round_up` up, so that two
    upsamplings in a row can undo each other's half pixel. Taught in chapter 6.
    """
    x = layers.UpSampling2D(factor, interpolation="bilinear", name=f"{name}_up")(x)
    before = factor // 2 if round_up else (factor - 1) // 2
    after = factor - 1 - before
    return layers.Cropping2D(((before, after), (before, after)), name=f"{name}_crop")(x)


@keras.saving.register_keras_serializable("segcore")
class BilinearResize(keras.layers.Layer):
    """(B, H, W, C) → (B, size, size, C), bilinear with pixel centres at half coordinates.

    What `keras.layers.Resizing` computes. That layer belongs to preprocessing, where `training` is
    True unless told otherwise, and inside a model it hands this on (Keras 3.15): called as
    `model(x)`, every batch norm behind it would take the statistics of the batch.
    """

    def __init__(self, size: int, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.size = size

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return keras.ops.image.resize(x, (self.size, self.size), interpolation="bilinear")

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (shape[0], self.size, self.size, shape[3])

    def get_config(self) -> dict[str, int | str]:
        return {"name": self.name, "size": self.size}


def _activation_name(name: str) -> str:
    """The name that `keras.applications.MobileNetV2` gives the activation behind batch norm."""
    if name == "bn_Conv1":
        return "Conv1_relu"
    return name.removesuffix("_BN") + "_relu"
