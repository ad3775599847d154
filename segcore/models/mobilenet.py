"""MobileNetV2 from the table of its authors."""

from segcore._errors import check
from segcore._keras import keras
from segcore.models import blocks

layers = keras.layers
# Sandler et al. 2018, Table 2 (the course paper's Table 1): expansion t, channels c, repeats n,
# stride s of the first repeat.
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LOW_LEVEL = "block_3_expand_relu"  # the last layer at stride 4: 144 channels at width 1


def mobilenet_v2(
    x: keras.KerasTensor, output_stride: int = 16, width: float = 1.0
) -> keras.KerasTensor:
    """Images (B, S, S, 3) in [-1, 1] → features (B, s, s, 320·width), s = S/`output_stride`.

    `x` is a float tensor, sides are rounded up, `width` scales all channels (`scale_channels`).
    Layer names are those of `keras.applications.MobileNetV2`. Where the table asks for a stride
    beyond `output_stride` (32, 16 or 8), the stride is left out and later kernels are dilated
    instead, so that the same weights span the same distances (Chen et al. 2017, section 3.1).
    ValueError for another `output_stride` or a `width` of 0 or less. Sandler et al. 2018, Table 2.
    Taught in chapters 4 and 5.
    """
    check("output_stride", output_stride, output_stride in (8, 16, 32), "8, 16 or 32")
    filters = scale_channels(32, width)
    x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = blocks.normalise(x, "bn_Conv1", "relu6")
    total_stride, dilation, number = 2, 1, 0
    for expansion, channels, repeats, first_stride in MOBILENET_V2:
        for repeat in range(repeats):
            wanted = first_stride if repeat == 0 else 1
            stride = wanted if total_stride * wanted <= output_stride else 1
            filters = scale_channels(channels, width)
            block = blocks.Bottleneck(filters, expansion, stride, dilation)
            name = f"block_{number}" if number else "expanded_conv"
            x = blocks.inverted_residual(x, block, name)
            total_stride, number = total_stride * stride, number + 1
            dilation *= wanted // stride
    return x


def mobilenet_v2_classifier(
    size: int = 224, width: float = 1.0, num_classes: int = 1000
) -> keras.Model:
    """MobileNetV2 with its top: images (B, size, size, 3) in [-1, 1] → probabilities.

    These are (B, num_classes). The whole of Table 2, as trained on ImageNet; the last convolution
    keeps 1,280 channels at a `width` below 1. Sandler et al. 2018. Taught in chapter 4.
    """
    images = keras.Input((size, size, 3), name="image")
    x = mobilenet_v2(images, 32, width)
    x = layers.Conv2D(scale_channels(1280, max(width, 1.0)), 1, use_bias=False, name="Conv_1")(x)
    x = layers.BatchNormalization(epsilon=blocks.BN_EPSILON, name="Conv_1_bn")(x)
    x = layers.ReLU(6.0, name="out_relu")(x)
    x = layers.GlobalAveragePooling2D(name="global_average_pooling2d")(x)
    x = layers.Dense(num_classes, activation="softmax", name="predictions")(x)
    return keras.Model(images, x, name="mobilenet_v2")


def scale_channels(channels: int, width: float) -> int:
    """`channels`·`width` rounded to a multiple of 8, at least 8, never more than 10 % lower.

    The rounding of the authors' code, which the published parameter counts rest on. ValueError
    for a `width` of 0 or less. Taught in chapter 4.
    """
    check("width", width, width > 0, "positive")
    scaled = max(8, int(channels * width + 4) // 8 * 8)
    return scaled + 8 if scaled < 0.9 * channels * width else scaled
