"""Quantisation-aware training: a trained network, rebuilt so that it computes its own rounding.

`calibrate` observes the ranges of activations; `quantise` folds batch norm into the kernels (see
`fold`) and inserts the rounding (see `fake_quant`). What comes out trains like any Keras model
and becomes an int8 file without calibration photos. Weights carry over between sizes by name.
No maintained library makes a LiteRT int8 file from a Keras 3 model in this way, hence this one.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segcore._errors import check
from segcore._keras import keras
from segcore.models import blocks
from segcore.models.checkpoint import arrays_of, load_weights
from segcore.models.graph import inputs_by_layer
from segcore.quantisation import fake_quant, fold

ops, layers = keras.ops, keras.layers

Ranges: TypeAlias = Mapping[str, tuple[float, float]]  # name → least and largest value

IMAGE = "image_range"
# A photo's byte b enters an int8 file as b - 128 steps of 1/127.5, the levels nearest to [-1, 1].
IMAGE_RANGE = (-128 / 127.5, 127 / 127.5)
# TFLite moves, picks or mixes values here: what comes out has the scale of what went in.
_SAME_SCALE = (layers.UpSampling2D, layers.Cropping2D, layers.Concatenate, blocks.BilinearResize)


class QuantisationPoint(NamedTuple):
    """Where activations are rounded: behind `layer`, into the range called `range`.

    Of the points that share a range, the one that `observes` moves it in training.
    """

    layer: str
    range: str
    observes: bool


def calibrate(
    model: keras.Model, batches: Iterable[NDArray[np.float32]], quantile: float = 0.9
) -> dict[str, tuple[float, float]]:
    """The ranges of `model`'s activations on `batches` of images (B, S, S, 3) in [-1, 1], by name.

    Each photo's least and largest value are taken; the range covers those of a fraction `quantile`
    of the photos (above 0, at most 1), so that one odd photo does not coarsen the levels for all.
    `model` is a trained float network, folded or not. ValueError without batches and for another
    `quantile`. Jacob et al. 2018, section 3.1, average instead. Taught in chapter 10.
    """
    check("quantile", quantile, 0 < quantile <= 1, "above 0 and at most 1")
    folded = fold.ensure_folded(model)
    points = quantisation_points(folded)
    outputs = [folded.get_layer(point.layer).output for point in points]
    ends = [ops.stack(fake_quant.extremes(output), axis=-1) for output in outputs]
    watching = keras.Model(folded.input, ops.stack(ends, axis=1))  # (B, P, 2) for P points
    watching.compile(jit_compile=keras.backend.backend() == "jax")  # else a graph suffices
    found = [np.asarray(watching.predict_on_batch(np.asarray(batch))) for batch in batches]
    check("batches", found, found, "one batch of photos or more")
    lows, highs = np.moveaxis(np.concatenate(found), -1, 0)
    ranges: dict[str, tuple[float, float]] = {}
    for point, least, most in zip(points, lows.T, highs.T, strict=True):
        low, high = ranges.get(point.range, (0.0, 1e-3))
        low = min(low, float(np.quantile(least, 1 - quantile)))
        ranges[point.range] = low, max(high, float(np.quantile(most, quantile)))
    return ranges


def quantise(model: keras.Model, ranges: Ranges | None = None, bits: int = 8) -> keras.Model:
    """A trained float `model` → the network of the same logits, up to rounding.

    Images (B, S, S, 3) in [-1, 1] → logits as `model` gives them, float32 on 2**bits levels.
    Kernels and activations are rounded to `bits` bits as TFLite's int8 does it (only 8 can be
    exported). Batch norm is folded; kernels and biases are what trains, in float32 whatever the
    precision policy. `ranges` come from `calibrate`; without them every range is -6 to 6, to be
    filled by `load_weights`. One range serves both ends of every resize, crop and concatenation.
    ValueError for ranges of another network and for `bits` outside 2 to 16. Jacob et al. 2018.
    Taught in chapter 10.
    """
    check("bits", bits, 2 <= bits <= 16, "between 2 and 16")
    folded = fold.ensure_folded(model)
    points = {point.layer: point for point in quantisation_points(folded)}
    rounding = {p.range: fake_quant.FakeQuantise(bits, name=p.range) for p in points.values()}
    image, inputs = fake_quant.FakeQuantise(8, name=IMAGE), inputs_by_layer(folded)
    start = folded.layers[0].name
    range_of = {start: IMAGE} | {name: point.range for name, point in points.items()}

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, fake_quant.Convolution):
            config |= {"bits": bits, "source": range_of[inputs[layer.name][0]]}
        return type(layer).from_config(config)

    def call(
        layer: keras.layers.Layer, x: keras.KerasTensor, mask: None = None
    ) -> keras.KerasTensor:  # Keras passes a mask of None
        y = layer(image(x) if inputs[layer.name] == [start] else x)
        point = points.get(layer.name)
        return rounding[point.range](y, observe=point.observes) if point else y

    plain = keras.Model(folded.input, folded.output, name=folded.name)  # as if never compiled
    network = keras.models.clone_model(plain, clone_function=clone, call_function=call)
    _fill(network, folded, ranges)
    return network


def set_moving(network: keras.Model, moving: bool, momentum: float = 0.99) -> None:
    """Whether training calls move the ranges of a quantised `network` (never the image's).

    A compiled training step keeps what it was compiled with: set this before. ValueError for a
    `momentum` outside [0, 1). Taught in chapter 10.
    """
    check("momentum", momentum, 0 <= momentum < 1, "at least 0 and below 1")
    for layer in _rounding_layers(network):
        if layer.name != IMAGE:
            layer.moving, layer.momentum = moving, momentum


def get_ranges(network: keras.Model) -> dict[str, tuple[float, float]]:
    """The ranges inside a quantised `network` by name, the image's too."""
    ends = {x.name: (x.low, x.high) for x in _rounding_layers(network)}
    return {n: (float(np.asarray(low)), float(np.asarray(high))) for n, (low, high) in ends.items()}


def round_biases(network: keras.Model) -> None:
    """Rounds each bias to what the int8 file stores: whole multiples of its
    quantisation step, that of the kernel times that of the input.

    Only what is left between network and file shrinks; nothing is gained or lost otherwise.
    Taught in chapter 10.
    """
    input_steps = {name: (high - low) / 255 for name, (low, high) in get_ranges(network).items()}
    for layer in network.layers:
        if isinstance(layer, fake_quant.Convolution):
            kernel_step = np.asarray(layer.kernel_range(), np.float64) / 127
            unit = kernel_step * input_steps[layer.source]
            layer.bias.assign(np.round(np.asarray(layer.bias, np.float64) / unit) * unit)


def steps_apart(
    network: keras.Model, box: NDArray[np.uint8], logits: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How far a quantised `network` and its int8 file differ, logit by logit, (S, S, C).

    In quantisation steps of the output. `box` is a letterboxed photo (S, S, 3), `logits` (S, S, C)
    what the file gives for it; `network` has a batch of 1. Taught in chapter 10.
    """
    low, high = get_ranges(network)[_rounding_layers(network)[-1].name]
    pixels = (box[None] - np.float32(128)) / np.float32(127.5)  # what the file takes the bytes for
    mine = np.asarray(network(pixels))[0]
    return np.abs(mine - logits) * 255 / (high - low)


def quantisation_points(folded: keras.Model) -> list[QuantisationPoint]:
    """Where the activations of a folded network are rounded, in the order of its layers.

    Behind every layer, but not between a convolution and its ReLU (TFLite does both at once), nor
    before what only picks or joins the values. What TFLite gives one scale shares a range, called
    after the last concatenation in it, else after the first layer. Taught in chapter 10.
    """
    inputs, owners = inputs_by_layer(folded), _range_owners(folded)
    points = []
    for layer in folded.layers[1:]:
        if not _rounded_later(folded, layer.name, inputs):
            owner = owners[layer.name]
            points.append(QuantisationPoint(layer.name, f"{owner}_range", layer.name == owner))
    return points


def _range_owners(folded: keras.Model) -> dict[str, str]:
    """For each layer, the layer after which the range of its output is called."""
    group = {layer.name: [layer.name] for layer in folded.layers}  # layers of one scale, in order
    inputs = inputs_by_layer(folded)
    for layer in folded.layers:
        if isinstance(layer, _SAME_SCALE):
            joined = {*group[layer.name]}.union(*(group[name] for name in inputs[layer.name]))
            members = [other.name for other in folded.layers if other.name in joined]
            group |= dict.fromkeys(members, members)
    joins = {x.name for x in folded.layers if isinstance(x, layers.Concatenate)}
    return {
        name: next((m for m in reversed(members) if m in joins), members[0])
        for name, members in group.items()
    }


def _rounded_later(folded: keras.Model, name: str, inputs: Mapping[str, list[str]]) -> bool:
    """Whether every layer behind `name` takes its values up before they are rounded."""
    layer = folded.get_layer(name)
    takers: tuple[type, ...] = (layers.Concatenate,)
    if isinstance(layer, fake_quant.Convolution):
        takers += (layers.ReLU,)
    if isinstance(layer, layers.UpSampling2D):
        takers += (layers.Cropping2D,)
    behind = [taker for taker in folded.layers if name in inputs[taker.name]]
    return bool(behind) and all(isinstance(taker, takers) for taker in behind)


def _rounding_layers(network: keras.Model) -> list[fake_quant.FakeQuantise]:
    return [layer for layer in network.layers if isinstance(layer, fake_quant.FakeQuantise)]


def _fill(network: keras.Model, folded: keras.Model, ranges: Ranges | None) -> None:
    """Kernels and biases of `folded` and the `ranges` into a fresh quantised `network`."""
    arrays = arrays_of(network) | arrays_of(folded)
    given = dict(ranges or {}) | {IMAGE: IMAGE_RANGE}
    lacking = [x.name for x in _rounding_layers(network) if x.name not in given]
    if ranges is not None and lacking:
        raise ValueError(f"ranges lacks {lacking[0]}; calibrate the same network")
    for name, ends in given.items():
        for key, value in zip(("low", "high"), ends, strict=True):
            arrays[f"{name}/{key}"] = np.asarray(value, np.float32)
    load_weights(network, arrays)
