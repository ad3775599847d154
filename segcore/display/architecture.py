"""DeepLabV3+ as a diagram whose shapes and operators are read off a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segcore.display.svg import Box, Diagram, Drawing

if TYPE_CHECKING:
    from segcore._keras import keras

_LEGEND = {"data": "feature map", "space": "with 3×3 kernels", "mix": "1×1 kernels",
           "resample": "resampling"}  # fmt: skip


def deeplab_v3_plus(network: keras.Model) -> Diagram:
    """A network of `models.deeplab.deeplab_v3_plus`, with the shapes and operators that it has.

    ValueError naming the first layer that `network` lacks. Taught in chapter 7.
    """
    n = _Layers(network)
    low, deep, mixed = map(n.shape, ("block_3_expand_relu", "block_16_project_BN",
                                     "concat_projection_relu"))  # fmt: skip
    rates, out = n.dilation_rates(), _shape(network.output)
    skip, decoded = n.channels("low_projection"), n.channels("decoder2_pointwise")
    d = Drawing()
    for row, (kind, words) in enumerate(_LEGEND.items()):
        d.rectangle(Box(14, 16 + 22 * row, 14, 14), kind)
        d.text((36, 23 + 22 * row), words, "start")
    d.text((14, 124), "ASPP and decoder: BN and", "start muted")
    d.text((14, 140), "ReLU after all but the last", "start muted")
    d.text((73, 246), "Encoder", "bold")
    encoder = d.stack(73, 260, [
        ("data", 118, _shape(network.input)), ("space", 118, "MobileNetV2", "to block 3"),
        ("data", 118, low), ("space", 118, *n.later_blocks()),
        ("data", 118, deep), ("space", 118, "ASPP, dilation", f"rates {rates}"),
        ("data", 118, mixed),
    ])  # fmt: skip
    lower = d.stack(287, encoder[-1].y + 36, [
        ("resample", 118, *n.upsampling("encoder")), ("data", 118, n.upsampled("encoder")),
    ], up=True)  # fmt: skip
    upper = d.stack(287, encoder[2].y + 29.5, [
        ("data", 118, "concatenate", n.shape("decoder_concat")),
        ("space", 118, "2 separable 3×3", f"to {decoded} channels"),
        ("data", 118, n.shape("decoder2_pointwise_relu")),
        ("mix", 118, f"1×1 to {n.channels('logits')}"), ("data", 118, n.shape("logits")),
        ("resample", 118, *n.upsampling("logits")), ("data", 118, out),
    ], up=True)  # fmt: skip
    d.text((287, upper[-1].y - 14), "Decoder", "bold")
    between = d.box(180, encoder[2].y - 7.5, ("mix", 58, "1×1", f"to {skip}"))
    d.arrow(encoder[2].right, between.left)
    d.arrow(between.right, (upper[0].x, between.right[1]))
    d.arrow(encoder[-1].right, (lower[0].x, encoder[-1].right[1]))
    d.arrow(lower[-1].top, upper[0].bottom)
    enlarged, scored = (", ".join(n.upsampling(name)) for name in ("encoder", "logits"))
    return d.finish(
        "DeepLabV3+ on MobileNetV2, with shapes",
        f"Encoder, downwards: {_shape(network.input)}, MobileNetV2 to the expansion in block 3, "
        f"{low}, on to block 16, {deep}, ASPP with dilation rates {rates}, {mixed}. Decoder, "
        f"upwards: {enlarged}, {n.upsampled('encoder')}; concatenated with the low-level feature "
        f"map, which a 1×1 convolution brings to {skip} channels; two separable 3×3 convolutions, "
        f"{n.shape('decoder2_pointwise_relu')}; a 1×1 convolution, {n.shape('logits')}; {scored}, "
        f"{out}.",
    )


class _Layers:
    """The layers of a network by name, and what a diagram says of them."""

    def __init__(self, network: keras.Model) -> None:
        self._layers = {layer.name: layer for layer in network.layers}

    def __getitem__(self, name: str) -> keras.layers.Layer:
        if name not in self._layers:
            raise ValueError(f"network has no layer {name!r}; wanted deeplab.deeplab_v3_plus")
        return self._layers[name]

    def shape(self, name: str) -> str:
        return _shape(self[name].output)

    def channels(self, name: str) -> int:
        return int(self[name].output.shape[-1])

    def dilation_rates(self) -> str:
        """Those of the atrous branches: "6, 12, 18"."""
        names = [f"aspp{number}_depthwise" for number in range(1, 10)]
        return ", ".join(str(self[n].dilation_rate[0]) for n in names if n in self._layers)

    def later_blocks(self) -> tuple[str, ...]:
        """MobileNetV2 behind the low-level features, with its first dilated block if it has one."""
        lines = "MobileNetV2", "to block 16"
        for number in range(4, 17):
            if self[f"block_{number}_depthwise"].dilation_rate[0] > 1:
                return (*lines, f"dilated from {number}")
        return lines

    def upsampled(self, name: str) -> str:
        return self.shape(f"{name}_crop" if f"{name}_crop" in self._layers else f"{name}_up")

    def upsampling(self, name: str) -> tuple[str, ...]:
        """The operator `name`_up and the crop behind it, as lines of text."""
        if f"{name}_crop" not in self._layers:
            return "bilinear resize", f"to {self.shape(f'{name}_up').rpartition('×')[0]}"
        before, after = self[f"{name}_crop"].cropping[0]
        return f"bilinear ×{self[f'{name}_up'].size[0]}", f"crop {before} and {after}"


def _shape(tensor: keras.KerasTensor) -> str:
    return "×".join(map(str, tensor.shape[1:]))
