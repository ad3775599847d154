"""Batch norm folded into the convolution before it, as in every exported network."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segcore._keras import keras
from segcore.models import blocks
from segcore.models.checkpoint import arrays_of, load_weights
from segcore.models.graph import inputs_by_layer
from segcore.quantisation import fake_quant

layers = keras.layers

_COPIED = (
    layers.ReLU, layers.Add, layers.Concatenate, layers.Cropping2D, layers.UpSampling2D,
    layers.GlobalAveragePooling2D, blocks.BilinearResize,
)  # fmt: skip


def fold(model: keras.Model) -> keras.Model:
    """`model` without batch norm: the same logits from `fake_quant.Convolution`s with bias.

    Takes images (B, S, S, 3) to logits as `model` does, in float32. Each kernel is multiplied by
    γ/√(σ² + ε) of the batch norm behind it, each bias is β - μγ/√(σ² + ε), with the statistics as
    trained. `model` is DeepLabV3, DeepLabV3+ or any functional model of their layers, and is left
    as it is; ValueError naming a layer of another kind. Jacob et al. 2018, Quantization and
    Training of Neural Networks, section 3.2. Taught in chapter 10.
    """
    inputs = inputs_by_layer(model)
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    norm_behind = {inputs[norm.name][0]: norm.name for norm in norms}

    def call(
        layer: keras.layers.Layer, x: keras.KerasTensor, mask: None = None
    ) -> keras.KerasTensor:  # Keras passes a mask of None
        return x if isinstance(layer, layers.BatchNormalization) else layer(x)

    plain = keras.Model(model.input, model.output, name=model.name)  # as if never compiled
    folded = keras.models.clone_model(plain, clone_function=_without_norm, call_function=call)
    load_weights(folded, _folded_arrays(model, norm_behind))
    return folded


def ensure_folded(model: keras.Model) -> keras.Model:
    """`model` itself when it is folded already, else `fold(model)`."""
    kinds = (*_COPIED, layers.InputLayer, fake_quant.Convolution)
    return model if all(isinstance(layer, kinds) for layer in model.layers) else fold(model)


def _without_norm(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The folded network's layer in place of `layer`, without weights yet."""
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        kernel, stride, dilation = (
            _side(layer, name) for name in ("kernel_size", "strides", "dilation_rate")
        )
        filters = layer.input.shape[-1] if depthwise else layer.filters
        geometry = fake_quant.Geometry(filters, kernel, stride, dilation, depthwise)
        return fake_quant.Convolution(geometry, name=layer.name)
    if isinstance(layer, (*_COPIED, layers.BatchNormalization)):
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})
    raise ValueError(
        f"{layer.name}: a {type(layer).__name__} cannot be quantised here; "
        "build the network from convolutions, batch norm, ReLU, additions and resizes"
    )


def _side(layer: keras.layers.Layer, attribute: str) -> int:
    """The one number behind a layer's pair of equal ones."""
    first, second = getattr(layer, attribute)
    if first != second:
        raise ValueError(f"{layer.name}: {attribute} is {(first, second)}; two equal ones wanted")
    return int(first)


def _folded_arrays(
    model: keras.Model, norm_behind: Mapping[str, str]
) -> dict[str, NDArray[np.float32]]:
    """Kernels and biases (computed in float64) with each batch norm multiplied in."""
    arrays = {key: value.astype(np.float64) for key, value in arrays_of(model).items()}
    folded: dict[str, NDArray[np.float64]] = {}
    for name in {key.split("/")[0] for key in arrays if key.endswith("/kernel")}:
        kernel = arrays[f"{name}/kernel"]
        depthwise = isinstance(model.get_layer(name), layers.DepthwiseConv2D)
        filters = kernel.shape[2] if depthwise else kernel.shape[3]
        bias = arrays.get(f"{name}/bias", np.zeros(filters))
        if name in norm_behind:
            norm = norm_behind[name]
            keys = ("gamma", "beta", "moving_mean", "moving_variance")
            gamma, beta, mean, variance = (arrays[f"{norm}/{key}"] for key in keys)
            factor = gamma / np.sqrt(variance + model.get_layer(norm).epsilon)
            kernel = kernel * (factor[:, None] if depthwise else factor)
            bias = beta + (bias - mean) * factor
        folded |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
    return {key: value.astype(np.float32) for key, value in folded.items()}
