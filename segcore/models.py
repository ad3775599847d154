"""MobileNetV2 from its table, and DeepLabV3 and V3+ on top of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segcore import blocks
from segcore._keras import keras
from segcore.checkpoint import load_weights
from segcore.data.voc import NUM_CLASSES

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
SHIPPED = Path(__file__).parent / "weights" / "deeplabv3plus_mnv2_voc.npz"


@dataclass(frozen=True)
class Wiring:
    """Choices inside DeepLabV3+; the defaults are the course's, `PAPER` is the student paper's.

    `output_stride` is pixels per encoder cell (8, 16 or 32), `width` thins MobileNetV2's channels,
    `rates` are the atrous branches (None: scaled with the map), `decoder` joins the low-level
    features, `aligned` keeps cell i on pixel stride·i and needs sizes of 16k+1 to mean anything.
    """

    output_stride: int = 16
    width: float = 1.0
    rates: tuple[int, ...] | None = None
    decoder: bool = True
    aligned: bool = True


PAPER = Wiring(output_stride=32, aligned=False)  # at size 224: 7×7×320 joins 56×56×144


def mobilenet_v2(
    x: keras.KerasTensor, output_stride: int = 16, width: float = 1.0
) -> keras.KerasTensor:
    """Images (B, S, S, 3) in [-1, 1] → features (B, s, s, 320·width), a cell per `output_stride`.

    Layer names are those of `keras.applications.MobileNetV2`. Where the table asks for a stride
    beyond `output_stride` (32, 16 or 8), the stride is dropped and later kernels are spread by an
    atrous rate instead, so the same weights see the same distances. Taught in chapter 4.
    """
    _check_stride(output_stride)
    filters = scale_channels(32, width)
    x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = blocks.normalise(x, "bn_Conv1", "relu6")
    reached, rate, number = 2, 1, 0
    for expansion, channels, repeats, first_stride in MOBILENET_V2:
        for repeat in range(repeats):
            wanted = first_stride if repeat == 0 else 1
            stride = wanted if reached * wanted <= output_stride else 1
            name = f"block_{number}" if number else "expanded_conv"
            filters = scale_channels(channels, width)
            x = blocks.inverted_residual(x, filters, expansion, stride, rate, name)
            reached, rate, number = reached * stride, rate * wanted // stride, number + 1
    return x


def mobilenet_v2_classifier(
    size: int = 224, width: float = 1.0, num_classes: int = 1000
) -> keras.Model:
    """MobileNetV2 with its top: images (B, size, size, 3) in [-1, 1] → probabilities (B, classes).

    The whole of Table 2, as trained on ImageNet. Taught in chapter 4.
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

    The rounding of the authors' code, which the published parameter counts rest on.
    """
    if width <= 0:
        raise ValueError(f"width must be positive, not {width}")
    scaled = max(8, int(channels * width + 4) // 8 * 8)
    return scaled + 8 if scaled < 0.9 * channels * width else scaled


def deeplab_v3(
    size: int = 513,
    num_classes: int = NUM_CLASSES,
    filters: int = 256,
    aligned: bool = True,
    two_steps: bool = False,
) -> keras.Model:
    """DeepLabV3 on MobileNetV2 without atrous branches: images → logits, both `size`×`size`.

    The network of Google's mobile files: image pooling beside a 1×1 convolution, then sixteenfold
    upsampling at once, or 4·4 in `two_steps` as DeepLabV3+ does it. Chen et al. 2017, Rethinking
    Atrous Convolution. Taught in chapter 5.
    """
    images = image_input(size, 16, aligned, None)
    x = blocks.aspp(mobilenet_v2(images), filters, rates=())
    x = layers.Conv2D(num_classes, 1, name="logits")(x)
    if two_steps:
        x = _upsample(x, 4, (size + 3) // 4, "encoder", aligned)
    x = _upsample(x, 4 if two_steps else 16, size, "upsampled", aligned, late=two_steps)
    return keras.Model(images, x, name="deeplab_v3")


def deeplab_v3_plus(
    size: int = 513,
    num_classes: int = NUM_CLASSES,
    filters: int = 256,
    batch_size: int | None = None,
    wiring: Wiring | None = None,
) -> keras.Model:
    """DeepLabV3+ on MobileNetV2: images (B, size, size, 3) in [-1, 1] → logits of the same size.

    `size` is 16k+1, so that every stride keeps cell 0 on pixel 0 and the last cell on the last
    pixel. Atrous rates are 6, 12, 18 at 513 and shrink with the map. Set `batch_size` to export.
    `wiring` changes the inside, for instance to `PAPER`.
    Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution. Taught in chapter 6.
    """
    wiring = wiring or Wiring()
    images = image_input(size, wiring.output_stride, wiring.aligned, batch_size)
    x = mobilenet_v2(images, wiring.output_stride, wiring.width)
    low = keras.Model(images, x).get_layer(LOW_LEVEL).output
    x = blocks.aspp(x, filters, wiring.rates or atrous_rates(size, wiring.output_stride))
    step = wiring.output_stride
    if wiring.decoder:
        x = _upsample(x, step // 4, low.shape[1], "encoder", wiring.aligned)
        x = _decode(x, low, filters)
        step = 4
    x = layers.Conv2D(num_classes, 1, name="logits")(x)
    x = _upsample(x, step, size, "logits", wiring.aligned, late=True)
    return keras.Model(images, x, name="deeplab_v3_plus")


def atrous_rates(size: int, output_stride: int = 16) -> tuple[int, int, int]:
    """Rates of the three atrous branches: 6, 12, 18 at 513 and stride 16; they scale with the map.

    Longer rates than the map has cells would leave kernels with a single live tap.
    """
    unit = max(round(6 * size / 513 * 16 / output_stride), 1)
    longest = max((size - 1) // output_stride, 1)  # cells less one: more would leave the centre
    return unit, min(2 * unit, longest), min(3 * unit, longest)


def pretrained(
    size: int = 513, weights: str | Path = SHIPPED, batch_size: int | None = None
) -> keras.Model:
    """`deeplab_v3_plus(size)` with the shipped weights: 21 VOC classes, ready to predict.

    Phone and quality sizes share nearly all weights; batch norm and depthwise kernels
    are each size's own where the file has them (`checkpoint.for_size`). Set `batch_size` to export.
    """
    model = deeplab_v3_plus(size, batch_size=batch_size)
    load_weights(model, weights)
    return model


def _decode(x: keras.KerasTensor, low: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """The decoder: 48 channels of low-level features join, two separable convolutions mix."""
    low = blocks.convolution(low, 48, "low_projection")
    x = layers.Concatenate(name="decoder_concat")([x, low])
    x = blocks.separable_convolution(x, filters, "decoder1")
    return blocks.separable_convolution(x, filters, "decoder2")


def _upsample(
    x: keras.KerasTensor, factor: int, size: int, name: str, aligned: bool, late: bool = False
) -> keras.KerasTensor:
    """To `size`: aligned with the strides in front, or plainly, half a cell off."""
    if aligned:
        return blocks.upsample_aligned(x, factor, name, late)
    return layers.Resizing(size, size, interpolation="bilinear", name=f"{name}_up")(x)


def image_input(
    size: int, output_stride: int, aligned: bool, batch_size: int | None
) -> keras.KerasTensor:
    """The input of a square network; ValueError for a size that its strides do not divide."""
    _check_stride(output_stride)
    least = 2 * output_stride + 1
    if aligned and (size % output_stride != 1 or size < least):
        fits = max(size - 1, 2 * output_stride) // output_stride * output_stride + 1
        raise ValueError(
            f"size must be {output_stride}k+1 to stay aligned, at least {least}, not {size}; "
            f"try {fits}"
        )
    if not aligned and (size < least - 1 or size % output_stride > 1):
        raise ValueError(
            f"size must be {output_stride}k or {output_stride}k+1, at least {least - 1}, not {size}"
        )
    return keras.Input((size, size, 3), batch_size=batch_size, name="image")


def _check_stride(output_stride: int) -> None:
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride must be 8, 16 or 32, not {output_stride}")
