"""DeepLabV3, DeepLabV3+ and its light variant on MobileNetV2."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from segcore._errors import check
from segcore._keras import keras
from segcore.data.voc import NUM_CLASSES
from segcore.models import blocks
from segcore.models.mobilenet import LOW_LEVEL, mobilenet_v2

layers = keras.layers

LIGHT_FILTERS = 128  # of both convolutions of the light decoder


@dataclass(frozen=True)
class DeepLabConfig:
    """Choices inside DeepLabV3+; the defaults are the course's, `PAPER` is the course paper's.

    `output_stride` is pixels per encoder feature (8, 16 or 32), `width` scales MobileNetV2's
    channels, `dilation_rates` are those of the atrous branches (None: scaled with the feature
    map), `aligned` keeps feature i on pixel stride·i and needs sizes of 16k+1 to mean anything.
    """

    output_stride: int = 16
    width: float = 1.0
    dilation_rates: tuple[int, ...] | None = None
    aligned: bool = True


PAPER = DeepLabConfig(output_stride=32, aligned=False)  # at size 224: 7×7×320 joins 56×56×144


def deeplab_v3(
    size: int = 513,
    num_classes: int = NUM_CLASSES,
    filters: int = 256,
    aligned: bool = True,
    upsampling: Sequence[int] = (16,),
) -> keras.Model:
    """DeepLabV3 on MobileNetV2 without atrous branches: images → logits, both `size`×`size`.

    (B, size, size, 3) in [-1, 1] → (B, size, size, num_classes), float32. The network of Google's
    mobile files: image pooling beside a 1×1 convolution, then bilinear upsampling by the factors
    of `upsampling`, (16,) at once or (4, 4) as DeepLabV3+ does it. ValueError for other factors
    and for a `size` that is not 16k+1 (`aligned`), 16k or 16k+1 (not `aligned`).
    Chen et al. 2017, Rethinking Atrous Convolution, section 3.3. Taught in chapter 7.
    """
    check("upsampling", upsampling, prod(upsampling) == 16, "factors of the output stride 16")
    images = image_input(size, 16, aligned, None)
    x = blocks.aspp(mobilenet_v2(images), filters, dilation_rates=())
    x = layers.Conv2D(num_classes, 1, name="logits")(x)
    left = 16
    for number, factor in enumerate(upsampling):
        left //= factor
        name, target = f"upsampled_{number}", -(-size // left)
        x = _upsample(x, factor, target, name, aligned, round_up=number % 2 == 1)
    return keras.Model(images, x, name="deeplab_v3")


def deeplab_v3_plus(
    size: int = 513,
    num_classes: int = NUM_CLASSES,
    filters: int = 256,
    batch_size: int | None = None,
    config: DeepLabConfig | None = None,
) -> keras.Model:
    """DeepLabV3+ on MobileNetV2: images (B, size, size, 3) in [-1, 1] → logits of the same size.

    Logits are (B, size, size, num_classes), float32. `size` is 16k+1, so that every stride keeps
    feature 0 on pixel 0 and the last feature on the last pixel. Dilation rates are 6, 12, 18 at
    513 and shrink with the feature map. Set `batch_size` to export; `config` changes the inside,
    for instance to `PAPER`. ValueError for sizes, widths, strides and dilation rates that do not
    fit. Chen et al. 2018, Encoder-Decoder with Atrous Separable Convolution. Taught in chapter 7.
    """
    config = config or DeepLabConfig()
    images = image_input(size, config.output_stride, config.aligned, batch_size)
    x = mobilenet_v2(images, config.output_stride, config.width)
    low = keras.Model(images, x).get_layer(LOW_LEVEL).output
    dilations = config.dilation_rates or dilation_rates(size, config.output_stride)
    x = blocks.aspp(x, filters, dilations)
    x = _upsample(x, config.output_stride // 4, low.shape[1], "encoder", config.aligned)
    low = blocks.convolution(low, 48, "low_projection")
    x = layers.Concatenate(name="decoder_concat")([x, low])
    x = blocks.separable_convolution(x, filters, "decoder1")
    x = blocks.separable_convolution(x, filters, "decoder2")
    x = layers.Conv2D(num_classes, 1, name="logits")(x)
    x = _upsample(x, 4, size, "logits", config.aligned, round_up=True)
    return keras.Model(images, x, name="deeplab_v3_plus")


def deeplab_light(
    size: int = 513, num_classes: int = NUM_CLASSES, batch_size: int | None = None
) -> keras.Model:
    """DeepLabV3+ with a decoder of 128 channels: images → logits, both `size`×`size`.

    (B, size, size, 3) in [-1, 1] → (B, size, size, num_classes), float32; ValueError for a `size`
    that is not 16k+1. ASPP has no atrous branches. The decoder's first separable convolution treats
    encoder and low-level features apart before it adds them up: encoder features then need not be
    upsampled first, which spares fifteen of sixteen positions.
    `surgery.deeplab_v3_as_light` makes its first weights.
    """
    images = image_input(size, 16, True, batch_size)
    x = mobilenet_v2(images)
    low = keras.Model(images, x).get_layer(LOW_LEVEL).output
    x = blocks.aspp(x, 256, dilation_rates=())
    x = blocks.depthwise(x, "decoder1_deep")
    x = layers.Conv2D(LIGHT_FILTERS, 1, use_bias=False, name="decoder1_deep_pointwise")(x)
    x = blocks.upsample_aligned(x, 4, "encoder")
    low = blocks.depthwise(blocks.convolution(low, 48, "low_projection"), "decoder1_low")
    low = layers.Conv2D(LIGHT_FILTERS, 1, name="decoder1_low_pointwise")(low)
    x = layers.ReLU(name="decoder1_relu")(layers.Add(name="decoder1_add")([x, low]))
    x = blocks.separable_convolution(x, LIGHT_FILTERS, "decoder2")
    x = layers.Conv2D(num_classes, 1, name="logits")(x)
    x = blocks.upsample_aligned(x, 4, "logits", round_up=True)
    return keras.Model(images, x, name="deeplab_light")


def dilation_rates(size: int, output_stride: int = 16) -> tuple[int, int, int]:
    """Those of the three atrous branches: 6, 12, 18 at 513 and stride 16; smaller for less.

    At larger ones a small feature map would leave only the kernels' centre weights inside. Taught
    in chapter 5.
    """
    unit = max(round(6 * size / 513 * 16 / output_stride), 1)
    longest = max((size - 1) // output_stride, 1)  # from the first feature to the last
    return unit, min(2 * unit, longest), min(3 * unit, longest)


def split(network: keras.Model) -> tuple[keras.Model, keras.Model]:
    """DeepLabV3+ → (encoder, head): images → [features, low-level features] → logits.

    A frozen encoder's features can be computed once and kept: then only the head is trained, in
    minutes on a CPU, as the course paper did. Both share the layers of `network`. ValueError for a
    network without these features. Taught in chapter 8.
    """
    inside = [network.get_layer(name).output for name in ("block_16_project_BN", LOW_LEVEL)]
    return keras.Model(network.input, inside), keras.Model(inside, network.output)


def _upsample(
    x: keras.KerasTensor, factor: int, size: int, name: str, aligned: bool, round_up: bool = False
) -> keras.KerasTensor:
    """To `size`: aligned with the strides in front, or plainly, half a feature off."""
    if aligned:
        return blocks.upsample_aligned(x, factor, name, round_up)
    return blocks.BilinearResize(size, name=f"{name}_up")(x)


def image_input(
    size: int, output_stride: int, aligned: bool, batch_size: int | None
) -> keras.KerasTensor:
    """Images (`batch_size`, size, size, 3), float32, as the input of a square network.

    ValueError for a `size` that its strides do not divide: 16k+1 when `aligned`, else 16k or 16k+1.
    """
    check("output_stride", output_stride, output_stride in (8, 16, 32), "8, 16 or 32")
    form, least = f"{output_stride}k or {output_stride}k+1", 2 * output_stride
    if aligned:
        form, least = f"{output_stride}k+1 to stay aligned", least + 1
    fits = size >= least and size % output_stride in ((1,) if aligned else (0, 1))
    near = max(size - 1, 2 * output_stride) // output_stride * output_stride + 1
    check("size", size, fits, f"{form}, at least {least}, such as {near}")
    return keras.Input((size, size, 3), batch_size=batch_size, name="image")
