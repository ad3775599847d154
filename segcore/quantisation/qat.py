"""Quantisation-aware training: a trained network, rebuilt so that it feels its own rounding.

`calibrate` watches how far activations reach; `quantise` folds batch norm into the kernels (see
`folding`) and inserts the rounding (see `fakequant`). What comes out trains like any Keras model
and becomes an int8 file without calibration photos. Weights carry over between sizes by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from segcore._keras import keras
from segcore.models.checkpoint import arrays_of, load_weights
from segcore.quantisation import fake_quant, fold

ops, layers = keras.ops, keras.layers

Ranges = Mapping[str, tuple[float, float]]  # name of a range → its least and largest value

IMAGE = "image_range"
# A photo's byte b enters an int8 file as b - 128 steps of 1/127.5, the levels nearest to [-1, 1].
IMAGE_RANGE = (-128 / 127.5, 127 / 127.5)
# TFLite moves, picks or mixes values here: what comes out has the scale of what went in.
_SAME_SCALE = (layers.UpSampling2D, layers.Cropping2D, layers.Concatenate, layers.Resizing)


class Rounded(NamedTuple):
    """One place where activations are rounded: behind `layer`, into the range called `range`.

    Of the places that share a range, the one that `observes` tells it how far values reach.
    """

    layer: str
    range: str
    observes: bool


def calibrate(
    model: keras.Model, batches: Iterable[Any], share: float = 0.9
) -> dict[str, tuple[float, float]]:
    """How far `model`'s activations reach on `batches` of images (B, S, S, 3) in [-1, 1], by range.

    Each photo's least and largest value are taken; the range covers those of a `share` (0..1) of
    the photos, so that one odd photo does not coarsen the levels for all. `model` is a trained
    float network, folded or not. Raises ValueError without batches. Taught in chapter 9.
    """
    folded = fold.ensure_folded(model)
    watching = observer(folded)
    watching.compile(jit_compile=keras.backend.backend() == "jax")  # else a graph suffices
    seen = [np.asarray(watching.predict_on_batch(np.asarray(batch))) for batch in batches]
    if not seen:
        raise ValueError("batches is empty: at least one batch of photos is wanted")
    return ranges_from(folded, np.concatenate(seen), share)


def observer(model: keras.Model) -> keras.Model:
    """A model from images to the extremes (B, R, 2) at each place that `places(model)` lists."""
    folded = fold.ensure_folded(model)
    outputs = [folded.get_layer(place.layer).output for place in places(folded)]
    seen = [ops.stack(fake_quant.extremes(output), axis=-1) for output in outputs]
    return keras.Model(folded.input, ops.stack(seen, axis=1))


def ranges_from(
    model: keras.Model, seen: np.ndarray, share: float = 0.9
) -> dict[str, tuple[float, float]]:
    """Extremes (N, R, 2) of N photos, from `observer(model)` → ranges by name."""
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, not {share}")
    low, high = np.quantile(seen[..., 0], 1 - share, 0), np.quantile(seen[..., 1], share, 0)
    ranges: dict[str, tuple[float, float]] = {}
    for place, least, largest in zip(places(fold.ensure_folded(model)), low, high, strict=True):
        before = ranges.get(place.range, (0.0, 1e-3))
        ranges[place.range] = min(before[0], float(least)), max(before[1], float(largest))
    return ranges


def quantise(model: keras.Model, ranges: Ranges | None = None, bits: int = 8) -> keras.Model:
    """A trained float `model` → the network of the same logits, up to rounding.

    Kernels and activations are rounded to `bits` bits as TFLite's int8 does it (only 8 can be
    exported). Batch norm is folded; kernels and biases are what trains, in float32 whatever the
    precision policy. `ranges` come from `calibrate`; without them every range is -6 to 6, to be
    filled by `load_weights`. One range serves both ends of every resize, crop and concatenation.
    Raises ValueError for ranges of another network. Jacob et al. 2018. Taught in chapter 9.
    """
    folded = fold.ensure_folded(model)
    found = {place.layer: place for place in places(folded)}
    shared = {p.range: fake_quant.FakeQuantise(bits, name=p.range) for p in found.values()}
    image, inputs = fake_quant.FakeQuantise(8, name=IMAGE), _inputs(folded)  # photos are bytes
    start = folded.layers[0].name
    ranges_of = {start: IMAGE} | {name: place.range for name, place in found.items()}

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, fake_quant.Convolution):
            config |= {"bits": bits, "source": ranges_of[inputs[layer.name][0]]}
        return type(layer).from_config(config)

    def call(layer: Any, x: Any, mask: Any = None) -> Any:  # Keras passes a mask of None
        y = layer(image(x) if inputs[layer.name] == [start] else x)
        place = found.get(layer.name)
        return shared[place.range](y, observe=place.observes) if place else y

    plain = keras.Model(folded.input, folded.output, name=folded.name)  # as if never compiled
    network = keras.models.clone_model(plain, clone_function=clone, call_function=call)
    _fill(network, folded, ranges)
    return network


def set_moving(network: keras.Model, moving: bool, momentum: float = 0.99) -> None:
    """Whether training calls move the ranges of a quantised `network` (never the image's).

    A compiled training step keeps what it was compiled with: set this before.
    """
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be at least 0 and below 1, not {momentum}")
    for layer in _rounding_layers(network):
        if layer.name != IMAGE:
            layer.moving, layer.momentum = moving, momentum


def get_ranges(network: keras.Model) -> dict[str, tuple[float, float]]:
    """The ranges inside a quantised `network` by name, the image's too."""
    ends = {x.name: (x.low, x.high) for x in _rounding_layers(network)}
    return {n: (float(np.asarray(low)), float(np.asarray(high))) for n, (low, high) in ends.items()}


def level_sizes(network: keras.Model, bits: int = 8) -> list[np.ndarray]:
    """For each trainable variable, how far apart its levels are: (filters,), or (C, 1) depthwise.

    Steps measured in levels mean the same in every layer; the kernels of one network differ a
    thousandfold. A bias counts as one more weight, of an input that is always 1.
    """
    sizes: dict[str, np.ndarray] = {}
    for layer in network.layers:
        if isinstance(layer, fake_quant.Convolution):
            kernel = np.abs(np.asarray(layer.kernel))
            reach = kernel.max((0, 1)) if layer.depthwise else kernel.max((0, 1, 2))
            level = (reach / (2 ** (bits - 1) - 1)).astype(np.float32)
            sizes |= {layer.kernel.path: level, layer.bias.path: level.reshape(-1)}
    return [sizes[variable.path] for variable in network.trainable_variables]


def round_biases(network: keras.Model) -> None:
    """Rounds each bias to what the int8 file stores: whole multiples of kernel level × input level.

    Only what is left between network and file shrinks; nothing is gained or lost otherwise.
    """
    steps = {name: (high - low) / 255 for name, (low, high) in get_ranges(network).items()}
    for layer in network.layers:
        if isinstance(layer, fake_quant.Convolution):
            kernel = np.abs(np.asarray(layer.kernel, np.float64))
            reach = kernel.max((0, 1, 3) if layer.depthwise else (0, 1, 2))
            reach = np.maximum(reach * fake_quant.HEADROOM, fake_quant.LEAST_KERNEL)
            unit = reach / 127 * steps[layer.source]
            layer.bias.assign(np.round(np.asarray(layer.bias, np.float64) / unit) * unit)


def steps_apart(network: keras.Model, segmenter: Any, box: np.ndarray) -> np.ndarray:
    """How far a quantised `network` and its int8 file differ, score by score, (S, S, C).

    In steps of the output's scale. `segmenter` is the file as `runtime.load` opens it, `box` a
    letterboxed photo (S, S, 3) uint8, `network` has a batch of 1.
    """
    low, high = get_ranges(network)[_last_range(network)]
    pixels = (box[None] - np.float32(128)) / np.float32(127.5)  # what the file takes the bytes for
    mine = np.asarray(network(pixels))[0]
    return np.abs(mine - segmenter.infer(box)) * 255 / (high - low)


def places(folded: keras.Model) -> list[Rounded]:
    """Where the activations of a folded network are rounded, in the order of its layers.

    Behind every layer, but not between a convolution and its ReLU (TFLite does both at once), nor
    before what only picks or joins the values. What TFLite gives one scale shares a range, called
    after the concatenation in it, else after the first layer.
    """
    inputs = _inputs(folded)
    leader = {layer.name: layer.name for layer in folded.layers}
    for layer in folded.layers:
        if isinstance(layer, _SAME_SCALE):
            members = [_root(leader, name) for name in inputs[layer.name]]
            for name in [*members, layer.name]:
                leader[name] = members[0]
    joins = {
        _root(leader, layer.name): layer.name
        for layer in folded.layers
        if isinstance(layer, layers.Concatenate)
    }
    listed = []
    for layer in folded.layers[1:]:
        if not _rounded_later(folded, layer.name, inputs):
            root = _root(leader, layer.name)
            name = joins.get(root, root)
            listed.append(Rounded(layer.name, f"{name}_range", observes=layer.name == name))
    return listed


def _rounded_later(folded: keras.Model, name: str, inputs: Mapping[str, list[str]]) -> bool:
    """Whether everything behind layer `name` takes its values up before they are rounded."""
    layer = folded.get_layer(name)
    takers: tuple[type, ...] = (layers.Concatenate,)
    if isinstance(layer, fake_quant.Convolution):
        takers += (layers.ReLU,)
    if isinstance(layer, layers.UpSampling2D):
        takers += (layers.Cropping2D,)
    behind = [taker for taker in folded.layers if name in inputs[taker.name]]
    return bool(behind) and all(isinstance(taker, takers) for taker in behind)


def _inputs(model: keras.Model) -> dict[str, list[str]]:
    """For each layer, the names of the layers that feed it."""
    makers = {id(layer.output): layer.name for layer in model.layers}
    found: dict[str, list[str]] = {model.layers[0].name: []}
    for layer in model.layers[1:]:
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        found[layer.name] = [makers[id(tensor)] for tensor in tensors]
    return found


def _root(leader: Mapping[str, str], name: str) -> str:
    while leader[name] != name:
        name = leader[name]
    return name


def _last_range(network: keras.Model) -> str:
    """The name of the range that the network's output is rounded into."""
    return str(_rounding_layers(network)[-1].name)


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
