"""Batch norm folded into the convolution before it, as in every exported network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from segcore._keras import keras
from segcore.models.checkpoint import arrays_of, load_weights
from segcore.quantisation import fake_quant

layers = keras.layers

_COPIED = (
    layers.ReLU,
    layers.Add,
    layers.Concatenate,
    layers.Cropping2D,
    layers.GlobalAveragePooling2D,
    layers.Resizing,
    layers.UpSampling2D,
)


def fold(model: keras.Model) -> keras.Model:
    """`model` without batch norm: the same logits from `fake_quant.Convolution`s with bias.

    Each kernel is multiplied by γ/√(σ² + ε) of the batch norm behind it, each bias is β - μγ/√(σ²
    + ε), with the statistics as trained. Takes DeepLabV3, DeepLabV3+ or any model of their layers;
    raises ValueError naming a layer of another kind. Jacob et al. 2018, section 3.2.
    Taught in chapter 9.
    """

    source: dict[int, str] = {}  # a tensor → the layer that made it
    norms: dict[str, str] = {}  # a convolution → the batch norm behind it

    def call(layer: Any, x: Any, mask: Any = None) -> Any:  # Keras passes a mask of None
        if isinstance(layer, layers.BatchNormalization):
            norms[source[id(x)]] = layer.name
            return x
        y = layer(x)
        source[id(y)] = layer.name
        return y

    plain = keras.Model(model.input, model.output, name=model.name)  # as if never compiled
    folded = keras.models.clone_model(plain, clone_function=_unrounded, call_function=call)
    load_weights(folded, _folded_arrays(model, norms))
    return folded


def ensure_folded(model: keras.Model) -> keras.Model:
    """`model` itself when it is folded already, else `fold(model)`."""
    mine = (*_COPIED, layers.InputLayer, fake_quant.Convolution)
    return model if all(isinstance(layer, mine) for layer in model.layers) else fold(model)


def _unrounded(layer: Any) -> Any:
    """The folded network's layer in place of `layer`, without weights yet."""
    if isinstance(layer, layers.Conv2D):  # a depthwise one is none of these
        return fake_quant.Convolution(
            layer.filters, _side(layer, "kernel_size"), _side(layer, "strides"),
            _side(layer, "dilation_rate"), name=layer.name,
        )  # fmt: skip
    if isinstance(layer, layers.DepthwiseConv2D):
        return fake_quant.Convolution(
            layer.input.shape[-1], _side(layer, "kernel_size"), _side(layer, "strides"),
            _side(layer, "dilation_rate"), depthwise=True, name=layer.name,
        )  # fmt: skip
    if isinstance(layer, (*_COPIED, layers.BatchNormalization)):
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})
    raise ValueError(
        f"{layer.name}: a {type(layer).__name__} cannot be quantised here; "
        "build the network from convolutions, batch norm, ReLU, additions and resizes"
    )


def _side(layer: Any, attribute: str) -> int:
    """The one number behind a layer's pair of equal ones."""
    first, second = getattr(layer, attribute)
    if first != second:
        raise ValueError(f"{layer.name}: {attribute} is {(first, second)}; two equal ones wanted")
    return int(first)


def _folded_arrays(model: keras.Model, norms: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Kernels and biases (float32, computed in float64) with each batch norm multiplied in."""
    arrays = {key: value.astype(np.float64) for key, value in arrays_of(model).items()}
    folded: dict[str, np.ndarray] = {}
    for name in {key.split("/")[0] for key in arrays if key.endswith("/kernel")}:
        kernel = arrays[f"{name}/kernel"]
        depthwise = isinstance(model.get_layer(name), layers.DepthwiseConv2D)
        filters = kernel.shape[2] if depthwise else kernel.shape[3]
        bias = arrays.get(f"{name}/bias", np.zeros(filters))
        if name in norms:
            gamma, beta, mean, variance = (
                arrays[f"{norms[name]}/{key}"]
                for key in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            factor = gamma / np.sqrt(variance + model.get_layer(norms[name]).epsilon)
            kernel = kernel * (factor[:, None] if depthwise else factor)
            bias = beta + (bias - mean) * factor
        folded |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
    return {key: value.astype(np.float32) for key, value in folded.items()}
