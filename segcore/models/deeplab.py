"""DeepLabV3, DeepLabV3+ and its lean variant on MobileNetV2."""

from __future__ import annotations

from dataclasses import dataclass

from segcore._keras import keras
from segcore.data.voc import NUM_CLASSES
from segcore.models import blocks
from segcore.models.mobilenet import LOW_LEVEL, check_stride, mobilenet_v2

layers = keras.layers

LEAN_FILTERS = 224  # of the decoder's first convolution


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


def deeplab_lean(
    size: int = 513,
    num_classes: int = NUM_CLASSES,
    filters: int = LEAN_FILTERS,
    batch_size: int | None = None,
) -> keras.Model:
    """DeepLabV3+ without what the shipped one hardly uses: images → logits, both `size`×`size`.

    ASPP has no atrous branches. The decoder's first separable convolution, of `filters` channels,
    treats deep and low-level features apart before it adds them up: the deep ones then need not be
    enlarged first, which spares fifteen of sixteen cells. `surgery.lean_from_plus` makes its first
    weights.
    """
    images = image_input(size, 16, True, batch_size)
    x = mobilenet_v2(images)
    low = keras.Model(images, x).get_layer(LOW_LEVEL).output
    x = blocks.aspp(x, 256, rates=())
    x = blocks.depthwise(x, "decoder1_deep")
    x = layers.Conv2D(filters, 1, use_bias=False, name="decoder1_deep_pointwise")(x)
    x = blocks.upsample_aligned(x, 4, "encoder")
    low = blocks.depthwise(blocks.convolution(low, 48, "low_projection"), "decoder1_low")
    low = layers.Conv2D(filters, 1, name="decoder1_low_pointwise")(low)
    x = layers.ReLU(name="decoder1_relu")(layers.Add(name="decoder1_add")([x, low]))
    x = blocks.separable_convolution(x, 256, "decoder2")
    x = layers.Conv2D(num_classes, 1, name="logits")(x)
    x = blocks.upsample_aligned(x, 4, "logits", late=True)
    return keras.Model(images, x, name="deeplab_lean")


def atrous_rates(size: int, output_stride: int = 16) -> tuple[int, int, int]:
    """Rates of the three atrous branches: 6, 12, 18 at 513 and stride 16; they scale with the map.

    Longer rates than the map has cells would leave kernels with a single live tap.
    """
    unit = max(round(6 * size / 513 * 16 / output_stride), 1)
    longest = max((size - 1) // output_stride, 1)  # cells less one: more would leave the centre
    return unit, min(2 * unit, longest), min(3 * unit, longest)


def split(network: keras.Model) -> tuple[keras.Model, keras.Model]:
    """DeepLabV3+ → (encoder, head): images → [features, low-level features] → logits.

    A frozen encoder's features can be computed once and kept: then only the head is trained, in
    minutes on a CPU, as the course paper did.
    """
    inside = [network.get_layer(name).output for name in ("block_16_project_BN", LOW_LEVEL)]
    return keras.Model(network.input, inside), keras.Model(inside, network.output)


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
    check_stride(output_stride)
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
