"""The same layers in a form that accelerators compile in seconds and run fast; equal results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segcore._keras import keras

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
