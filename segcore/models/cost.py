"""What a network costs before it runs: parameters, multiply-adds, receptive field, and a roofline.

Everything is read off the graph of a Keras model; no weights are touched and nothing is run but the
stopwatch of `roofline`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isinf, prod
from time import perf_counter

import numpy as np

from segcore._errors import check
from segcore._keras import keras
from segcore.models.graph import inputs_by_layer

layers = keras.layers

BYTES = 4  # a float32


@dataclass(frozen=True)
class LayerCost:
    """One layer of a graph at batch size 1.

    `parameters` and `macs` (multiply-adds, those on padding included) are counts, `bytes` what a
    float32 layer must read and write at least once.
    `receptive_field` is the width in pixels of the window that one feature depends on (inf for
    global pooling), `stride` the distance in pixels between the windows of neighbours (cumulative
    stride, or jump).
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    bytes: int
    receptive_field: float
    stride: float


@dataclass(frozen=True)
class Roofline:
    """What this machine can do at most: multiply-adds and bytes per second."""

    macs_per_second: float
    bytes_per_second: float

    @property
    def ridge(self) -> float:
        """Multiply-adds per byte at which computing takes as long as fetching."""
        return self.macs_per_second / self.bytes_per_second

    def seconds(self, row: LayerCost) -> float:
        """The least time a layer can take here, in seconds (Williams et al. 2009, Roofline)."""
        return max(row.macs / self.macs_per_second, row.bytes / self.bytes_per_second)


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """A row for every layer of a functional `model` with a fixed input size, in its order.

    ValueError when the input has no fixed height and width, for a kind of convolution that is not
    counted, and for a layer that is called twice. Araujo et al. 2019, Computing Receptive Fields.
    Taught in chapters 3 and 5.
    """
    check("input", model.input_shape, None not in model.input_shape[1:], "of a fixed size")
    windows: dict[str, tuple[float, float]] = {}  # of each layer: receptive field, stride
    rows = []
    for name, inputs in inputs_by_layer(model).items():
        layer = model.get_layer(name)
        windows[name] = _window(layer, [windows[before] for before in inputs])
        rows.append(_row(layer, *windows[name]))
    return rows


def total(rows: Sequence[LayerCost]) -> tuple[int, int]:
    """(parameters, multiply-adds) of all `rows` together. Taught in chapter 3."""
    return sum(row.parameters for row in rows), sum(row.macs for row in rows)


def table(rows: Sequence[LayerCost]) -> str:
    """The `rows` that have multiply-adds as text, the total below. Taught in chapter 3."""
    chosen = [row for row in rows if row.macs]
    width = max([len(row.name) for row in chosen] + [5])
    field = "receptive field"
    lines = [f"{'layer':{width}} {'output':>12} {'parameters':>10} {'multiply-adds':>13} {field}"]
    for row in chosen:
        shape = "×".join(map(str, row.shape))
        pixels = "all" if isinf(row.receptive_field) else f"{row.receptive_field:.0f}"
        counts = f"{row.parameters:10,} {row.macs:13,}"
        lines.append(f"{row.name:{width}} {shape:>12} {counts} {pixels:>{len(field)}}")
    parameters, macs = total(rows)
    lines.append(f"{'total':{width}} {'':12} {parameters:10,} {macs:13,}")
    return "\n".join(lines)


def weights_inside_map(size: int, dilation: int, kernel: int = 3) -> float:
    """Mean number of a kernel's k² weights that lie inside a `size`×`size` feature map.

    k² means that all are used everywhere; 1 that only the centre is ever used, and the atrous
    convolution has become a 1×1. ValueError for a number below one. Chen et al. 2017, Rethinking
    Atrous Convolution, fig. 4. Taught in chapter 5.
    """
    given = (size, dilation, kernel)
    check("size, dilation, kernel", given, min(given) >= 1, "at least 1 each")
    offsets = (np.arange(kernel) - kernel // 2) * dilation
    positions = np.arange(size)[:, None] + offsets
    per_row = ((positions >= 0) & (positions < size)).sum(1).mean()
    return float(per_row**2)


def roofline(seconds: float = 0.5) -> Roofline:
    """One core of this machine, measured with NumPy: matrix products and a copy, best of each.

    Williams et al. 2009, Roofline. Taught in chapter 3.
    """
    a = np.ones((32, 64, 64), np.float32)  # so small that each product stays on one thread
    b = np.ones(64 * 2**20 // BYTES, np.float32)
    target, copy = np.empty_like(a), np.empty_like(b)
    product = _best(lambda: np.matmul(a, a, out=target), seconds / 2)
    moved = _best(lambda: np.copyto(copy, b), seconds / 2)
    return Roofline(a.size * a.shape[-1] / product, 2 * b.nbytes / moved)


def _best(call: Callable[[], object], seconds: float) -> float:
    """The shortest of the runs that fit into `seconds`, after one that is not counted."""
    call()
    times: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or not times:
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return min(times)


def _row(layer: keras.layers.Layer, receptive_field: float, stride: float) -> LayerCost:
    shape = tuple(layer.output.shape[1:])
    parameters = sum(prod(weight.shape) for weight in layer.weights)
    read = sum(prod(tensor.shape[1:]) for tensor in keras.tree.flatten(layer.input))
    return LayerCost(
        name=layer.name,
        kind=type(layer).__name__,
        shape=shape,
        parameters=parameters,
        macs=_macs(layer, shape),
        bytes=BYTES * (read + prod(shape) + parameters),
        receptive_field=receptive_field,
        stride=stride,
    )


def _is_convolution(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)


def _macs(layer: keras.layers.Layer, shape: tuple[int, ...]) -> int:
    """Multiply-adds of the layers that have kernels; the others count as nothing, as in papers."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return prod(shape) * prod(layer.kernel_size)
    if isinstance(layer, layers.Conv2D):
        return prod(shape) * prod(layer.kernel_size) * layer.input.shape[-1] // layer.groups
    if isinstance(layer, layers.Dense):
        return layer.input.shape[-1] * layer.units
    kind = type(layer).__name__
    if "Conv" in kind:
        raise ValueError(f"{layer.name} is a {kind}, which is not counted; write it as its parts")
    return 0


def _window(layer: keras.layers.Layer, before: list[tuple[float, float]]) -> tuple[float, float]:
    """(receptive field, stride) behind `layer`, from those before it; a merge keeps the widest."""
    field, stride = max(before, default=(1, 1))
    if _is_convolution(layer):
        field += (layer.kernel_size[0] - 1) * layer.dilation_rate[0] * stride
        return field, stride * layer.strides[0]
    if type(layer).__name__.startswith("Global"):
        return inf, stride
    if isinstance(layer, layers.UpSampling2D):
        between = stride if layer.interpolation == "bilinear" else 0
        return field + between, stride / layer.size[0]
    return field, stride
