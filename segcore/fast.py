"""The same layers in a form that accelerators compile in seconds and run fast; equal results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segcore.quiet import keras

ops = keras.ops
layers = keras.layers


def shifted_depthwise(inputs: Any, kernel: Any, stride: int, rate: int) -> Any:
    """3×3 depthwise convolution, "same" padding: (B, H, W, C) by (3, 3, C, 1) as nine products.

    A GPU's library is slow at depthwise gradients; a compiler fuses these nine into one program.
    """
    cells = [-(-side // stride) for side in inputs.shape[1:3]]
    pads = [
        max((count - 1) * stride + 2 * rate + 1 - side, 0)
        for count, side in zip(cells, inputs.shape[1:3], strict=True)
    ]
    x = ops.pad(inputs, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    total = 0
    for i in range(3):
        for j in range(3):
            rows = slice(i * rate, i * rate + (cells[0] - 1) * stride + 1, stride)
            columns = slice(j * rate, j * rate + (cells[1] - 1) * stride + 1, stride)
            window = ops.cast(x[:, rows, columns], "float32")
            total = total + window * ops.cast(kernel[i, j, :, 0], "float32")
    return ops.cast(total, inputs.dtype)


class ShiftedDepthwise(keras.layers.DepthwiseConv2D):
    """A depthwise convolution layer that calls `shifted_depthwise`."""

    def call(self, inputs: Any) -> Any:
        return shifted_depthwise(inputs, self.kernel, self.strides[0], self.dilation_rate[0])


class Again(keras.Layer):
    """Another depthwise layer's kernel, spread by another atrous `rate`."""

    def __init__(self, source: keras.layers.DepthwiseConv2D, rate: int) -> None:
        super().__init__(name=f"{source.name}_rate{rate}")
        self.source, self.rate = source, rate

    def call(self, inputs: Any) -> Any:
        return shifted_depthwise(inputs, self.source.kernel, 1, self.rate)


class Pointwise(keras.layers.Conv2D):
    """A 1×1 convolution as the matrix product that it is: nothing for a compiler to try out."""

    def call(self, inputs: Any) -> Any:
        outputs = ops.matmul(inputs, self.kernel[0, 0])
        return outputs + self.bias if self.use_bias else outputs


def fast(model: keras.Model, rates: Sequence[int] | None = None) -> keras.Model:
    """A copy of DeepLabV3+ in these layers, with the same names, shapes and weights.

    `rates` replaces the atrous rates: a training crop is cut from a picture with a larger map.
    """

    def copy(layer: keras.Layer) -> keras.Layer:
        config, kind = layer.get_config(), type(layer)
        if isinstance(layer, layers.DepthwiseConv2D):
            kind = ShiftedDepthwise
            if rates is not None and layer.name.startswith("aspp"):
                config["dilation_rate"] = rates[int(layer.name[4]) - 1]
        elif isinstance(layer, layers.Conv2D) and layer.kernel_size == (1, 1):
            kind = Pointwise
        return kind.from_config(config)

    quick = keras.models.clone_model(model, clone_function=copy)
    quick.set_weights(model.get_weights())
    return quick


def twin(model: keras.Model, other: keras.Model) -> keras.Model:
    """`other`, the same network at another size, over the kernels of a `fast` `model`.

    Convolutions are shared, batch norm is `other`'s own: what a channel means is common to all
    sizes, how often it speaks is not (Wang et al. 2020, Resolution Switchable Networks). Names get
    the size behind them: bn_Conv1_257.
    """
    size = other.input_shape[1]

    def copy(layer: keras.Layer) -> keras.Layer:
        if not isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            return type(layer).from_config(layer.get_config() | {"name": f"{layer.name}_{size}"})
        shared = model.get_layer(layer.name)
        if layer.dilation_rate == shared.dilation_rate:
            return shared
        return Again(shared, layer.dilation_rate[0])

    images = keras.Input(other.input_shape[1:], name=f"{other.input.name}_{size}")
    net = keras.models.clone_model(other, input_tensors=images, clone_function=copy)
    for layer in other.layers:
        if isinstance(layer, layers.BatchNormalization):
            net.get_layer(f"{layer.name}_{size}").set_weights(layer.get_weights())
    return net
