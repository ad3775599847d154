"""DeepLabV3+ without what the shipped one hardly uses; book/results tells how that was found."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segcore import blocks, models, prune
from segcore._keras import keras
from segcore.checkpoint import Arrays, for_size, load_weights, read_weights, variables_of
from segcore.data.voc import NUM_CLASSES

layers = keras.layers

HEAD = models.SHIPPED.with_name("deeplab_lean_head_voc.npz")  # models.SHIPPED has the encoder
FILTERS = 224  # of the decoder's first convolution
HEARD_BY = {"concat": "concat_projection", "decoder2_depthwise_relu": "decoder2_pointwise"}
# the layers of DeepLabV3+ whose channels `from_plus` thins out, and the 1×1 kernels behind them


def deeplab_lean(
    size: int = 513,
    num_classes: int = NUM_CLASSES,
    filters: int = FILTERS,
    batch_size: int | None = None,
) -> keras.Model:
    """DeepLabV3+ without what the shipped one hardly uses: images → logits, both `size`×`size`.

    ASPP has no atrous branches. The decoder's first separable convolution, of `filters` channels,
    treats deep and low-level features apart before it adds them up: the deep ones then need not be
    enlarged first, which spares fifteen of sixteen cells. `from_plus` makes its first weights.
    """
    images = models.image_input(size, 16, True, batch_size)
    x = models.mobilenet_v2(images)
    low = keras.Model(images, x).get_layer(models.LOW_LEVEL).output
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


def pretrained(batch_size: int | None = None) -> keras.Model:
    """`deeplab_lean(513)` with its trained weights, ready to predict; set `batch_size` to export.

    The encoder is that of `models.pretrained(513)`.
    """
    model, head = deeplab_lean(513, batch_size=batch_size), read_weights(HEAD)
    shipped, wanted = for_size(read_weights(models.SHIPPED), 513), variables_of(model)
    encoder = {key: shipped[key] for key in shipped if key in wanted and key not in head}
    load_weights(model, encoder | head, HEAD.name)
    return model


def centred(plus: Arrays) -> dict[str, NDArray]:
    """DeepLabV3+'s arrays whose decoder looks at one cell only of the enlarged deep features.

    These hardly change within three cells: each 3×3 kernel becomes the sum of its taps.
    """
    spatial = plus["decoder1_depthwise/kernel"].copy()
    wide = plus["concat_projection/kernel"].shape[-1]
    total = spatial[:, :, :wide].sum((0, 1))
    spatial[:, :, :wide] = 0
    spatial[1, 1, :wide] = total
    return {**plus, "decoder1_depthwise/kernel": spatial}


def from_plus(plus: Arrays, moments: Mapping[str, prune.Moments], filters: int) -> Arrays:
    """DeepLabV3+'s arrays → those of `deeplab_lean`, as close as they come untrained.

    ASPP loses its atrous branches, the decoder's first convolution all but `filters` channels and
    its look around in deep features, whose ReLU then comes before the enlargement. `moments`
    belong to the layers that `HEARD_BY` names.
    """
    heard = {name: plus[f"{layer}/kernel"][0, 0] for name, layer in HEARD_BY.items()}
    near = np.arange(2 * heard["concat"].shape[1])  # pooling and the 1×1 branch
    kept = {"concat": near, "decoder2_depthwise_relu": prune.least_missed(
        heard["decoder2_depthwise_relu"], moments["decoder2_depthwise_relu"], filters
    )}  # fmt: skip
    arrays = centred(plus)
    for name, layer in HEARD_BY.items():
        arrays = prune.without(arrays, layer, moments[name], kept[name])
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
    scale = norm["gamma"] / np.sqrt(norm["moving_variance"] + blocks.BN_EPSILON)
    spatial = plus["decoder1_depthwise/kernel"]
    mixing = plus["decoder1_pointwise/kernel"][..., kept] * scale
    return arrays | {
        "decoder1_deep_depthwise/kernel": spatial[:, :, :wide],
        "decoder1_low_depthwise/kernel": spatial[:, :, wide:],
        "decoder1_deep_pointwise/kernel": mixing[:, :, :wide],
        "decoder1_low_pointwise/kernel": mixing[:, :, wide:],
        "decoder1_low_pointwise/bias": norm["beta"] - norm["moving_mean"] * scale,
    }
