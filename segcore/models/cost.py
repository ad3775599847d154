"""What a network costs before it runs: parameters, multiply-adds, reach, and the machine's limits.

Everything is read off the graph of a Keras model; no weights are touched and nothing is run but the
stopwatch of `roofline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isinf, prod
from time import perf_counter
from typing import Any

import numpy as np

BYTES = 4  # a float32


@dataclass(frozen=True)
class LayerCost:
    """One layer of a graph at batch size 1.

    `parameters` and `macs` (multiply-adds) are counts, `padded` how many of the latter fall on
    zeros around the map, `bytes` what a float32 layer must read and write at least once. One output
    cell sees `reach` input pixels in a row (its receptive field, inf for global pooling) and its
    neighbour sees the same window `stride` pixels further on.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    padded: int
    bytes: int
    reach: float
    stride: float

    @property
    def intensity(self) -> float:
        """Multiply-adds per byte moved: below the machine's own ratio, memory sets the pace."""
        return self.macs / self.bytes


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


def layer_costs(model: Any) -> list[LayerCost]:
    """A row for every layer of a Keras functional `model` with a fixed input size, in graph order.

    Raises ValueError when the input has no fixed height and width. Taught in chapters 3 and 5.
    """
    if None in model.input_shape[1:]:
        raise ValueError(f"model input is {model.input_shape}; build it with a fixed size to count")
    reach: dict[int, tuple[float, float]] = {id(model.inputs[0]): (1, 1)}
    rows = []
    for layer in model.layers:
        inputs = _as_list(layer.input)
        output = layer.output
        before = [reach.get(id(tensor), (1, 1)) for tensor in inputs]
        reach[id(output)] = _grow(layer, before)
        rows.append(_row(layer, inputs, output, *reach[id(output)]))
    return rows


def total(rows: Sequence[LayerCost]) -> tuple[int, int]:
    """(parameters, multiply-adds) of all `rows` together."""
    return sum(row.parameters for row in rows), sum(row.macs for row in rows)


def table(rows: Sequence[LayerCost], every: bool = False) -> str:
    """`rows` as text with a total below; layers without multiply-adds only when `every`."""
    shown = [row for row in rows if every or row.macs]
    wide = max([len(row.name) for row in shown] + [5])
    lines = [
        f"{'layer':{wide}} {'output':>12} {'parameters':>10} {'multiply-adds':>13} {'reach':>5}"
    ]
    for row in shown:
        shape = "×".join(map(str, row.shape))
        reach = "all" if isinf(row.reach) else f"{row.reach:.0f}"
        lines.append(
            f"{row.name:{wide}} {shape:>12} {row.parameters:10,} {row.macs:13,} {reach:>5}"
        )
    parameters, macs = total(rows)
    lines.append(f"{'total':{wide}} {'':12} {parameters:10,} {macs:13,}")
    return "\n".join(lines)


def live_taps(cells: int, rate: int, kernel: int = 3) -> float:
    """Mean number of the kernel's k² taps that fall on a `cells`×`cells` map, for atrous `rate`.

    k² means all are used everywhere; 1 means that only the centre is ever used and the atrous
    convolution has become a 1×1. Raises ValueError for sizes below one. Taught in chapter 5.
    """
    if min(cells, rate, kernel) < 1:
        raise ValueError(f"cells {cells}, rate {rate}, kernel {kernel}: each must be at least 1")
    offsets = (np.arange(kernel) - kernel // 2) * rate
    places = np.arange(cells)[:, None] + offsets
    per_row = ((places >= 0) & (places < cells)).sum(1).mean()
    return float(per_row**2)


def separable_ratio(filters: int, kernel: int = 3) -> float:
    """Cost of a depthwise separable convolution as a share of the standard one: 1/N + 1/k².

    Howard et al. 2017, MobileNets, section 3.1. Taught in chapter 3.
    """
    return 1 / filters + 1 / kernel**2


def roofline(seconds: float = 0.5) -> Roofline:
    """One core of this machine, measured with NumPy: matrix products and a copy, best of each."""
    a = np.ones((32, 64, 64), np.float32)  # so small that each product stays on one thread
    b = np.ones(64 * 2**20 // BYTES, np.float32)
    target, copy = np.empty_like(a), np.empty_like(b)
    product = _best(lambda: np.matmul(a, a, out=target), seconds / 2)
    moved = _best(lambda: np.copyto(copy, b), seconds / 2)
    return Roofline(a.size * a.shape[-1] / product, 2 * b.nbytes / moved)


def _best(call: Any, seconds: float) -> float:
    """The shortest of the runs that fit into `seconds`, after one that is not counted."""
    call()
    times: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or not times:
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return min(times)


def _row(layer: Any, inputs: list[Any], output: Any, reach: float, stride: float) -> LayerCost:
    shape = tuple(output.shape[1:])
    parameters = sum(prod(weight.shape) for weight in layer.weights)
    moved = BYTES * (sum(prod(t.shape[1:]) for t in inputs) + prod(shape) + parameters)
    kind = type(layer).__name__
    macs = _macs(layer, kind, shape)
    padded = macs - round(macs * _inside(layer)) if "Conv2D" in kind else 0
    return LayerCost(layer.name, kind, shape, parameters, macs, padded, moved, reach, stride)


def _macs(layer: Any, kind: str, shape: tuple[int, ...]) -> int:
    """Multiply-adds of the layers that have kernels; the others count as nothing, as in papers."""
    if kind == "DepthwiseConv2D":
        return prod(shape) * prod(layer.kernel_size)
    if kind == "Conv2D":
        return prod(shape) * prod(layer.kernel_size) * layer.input.shape[-1] // layer.groups
    if kind == "Dense":
        return layer.input.shape[-1] * layer.units
    if "Conv" in kind:
        raise ValueError(f"{layer.name} is a {kind}, which is not counted; write it as its parts")
    return 0


def _inside(layer: Any) -> float:
    """The share of a convolution's taps that fall on its input rather than on padding."""
    share = 1.0
    for axis in (0, 1):
        side, cells = layer.input.shape[1 + axis], layer.output.shape[1 + axis]
        kernel, rate = layer.kernel_size[axis], layer.dilation_rate[axis]
        stride, wide = layer.strides[axis], (layer.kernel_size[axis] - 1) * rate + 1
        padding = max((cells - 1) * stride + wide - side, 0) if layer.padding == "same" else 0
        places = np.arange(cells)[:, None] * stride + np.arange(kernel) * rate - padding // 2
        share *= float(((places >= 0) & (places < side)).mean())
    return share


def _grow(layer: Any, before: list[tuple[float, float]]) -> tuple[float, float]:
    """(reach, stride) behind `layer`, from those in front of it; a merge keeps the widest."""
    reach, stride = max(before, default=(1, 1))
    kind = type(layer).__name__
    if kind in ("Conv2D", "DepthwiseConv2D"):
        reach += (layer.kernel_size[0] - 1) * layer.dilation_rate[0] * stride
        return reach, stride * layer.strides[0]
    if kind.startswith("Global"):
        return inf, stride
    if kind == "UpSampling2D":
        between = stride if layer.interpolation == "bilinear" else 0
        return reach + between, stride / layer.size[0]
    return reach, stride


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
