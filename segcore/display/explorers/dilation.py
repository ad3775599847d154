"""A dilated kernel to drag over a feature map: which weights count, and how far it looks.

Taught in chapter 5.
"""

import numpy as np
import traitlets
from numpy.typing import NDArray
from traitlets.utils.bunch import Bunch

from segcore.display.explorers import _still
from segcore.display.widget import Widget

_LIMITS = {"size": (3, 33), "dilation": (1, 36), "kernel": (1, 7), "stride": (1, 4)}
_MAP, _ZEROS, _INSIDE, _OUTSIDE = [(221, 226, 232), (255, 255, 255), (10, 94, 207), (213, 94, 0)]


class DilationExplorer(Widget):
    """A kernel with holes over a square feature map; "same" padding, as TensorFlow places it.

    Traits, read and set from Python: `size` (features a side, 3 to 33), `dilation` (1 to 36),
    `kernel` (weights a side: 1, 3, 5 or 7), `stride` (1 to 4), `row` and `column` of the output,
    at first in its middle. `before` are receptive field and cumulative stride of the map's
    features, in pixels; with 1 and 1 they are pixels. ValueError or TraitError names what does not
    fit. Taught in chapter 5.
    """

    size = traitlets.Int(17, min=3, max=33).tag(sync=True)
    dilation = traitlets.Int(6, min=1, max=36).tag(sync=True)
    kernel = traitlets.Int(3, min=1, max=7).tag(sync=True)
    stride = traitlets.Int(1, min=1, max=4).tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)
    column = traitlets.Int(0).tag(sync=True)
    _scripts = ("explorers/explorer", "explorers/dilation")
    _state = ("size", "kernel", "stride", "row", "column", "dilation")

    def __init__(
        self,
        size: int = 17,
        dilation: int = 6,
        *,
        kernel: int = 3,
        stride: int = 1,
        before: tuple[int, int] = (1, 1),
        title: str = "",
        alt: str = "",
    ) -> None:
        if min(before) < 1:
            raise ValueError(f"before is {before}; wanted receptive field and stride of 1 or more.")
        alt = alt or "A square feature map and the weights of a dilated kernel on it."
        scene = {"shown": 450, "title": title, "alt": alt, "limits": _LIMITS,
                 "receptive_field": before[0], "cumulative_stride": before[1]}  # fmt: skip
        super().__init__(_scene=scene, size=size, dilation=dilation, kernel=kernel, stride=stride)
        self.row = self.column = self._outputs // 2

    @property
    def weights_inside(self) -> int:
        """How many of the kernel's weights lie inside the feature map, at `row` and `column`."""
        rows, columns = (self._weights(at) for at in (self.row, self.column))
        return int(self._inside(rows).sum() * self._inside(columns).sum())

    @property
    def _outputs(self) -> int:
        """Features a side of the output."""
        return -(-self.size // self.stride)

    def _weights(self, at: int) -> NDArray[np.int64]:
        """Along one side, the features under the weights of output `at`; outside they are zeros."""
        extent = (self.kernel - 1) * self.dilation + 1
        padding = max((self._outputs - 1) * self.stride + extent - self.size, 0)
        return self.stride * at - padding // 2 + self.dilation * np.arange(self.kernel)

    def _inside(self, weights: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (weights >= 0) & (weights < self.size)

    @traitlets.validate("kernel")
    def _odd(self, proposal: Bunch) -> int:
        if proposal["value"] % 2 == 0:
            raise traitlets.TraitError(f"kernel is {proposal['value']}; wanted 1, 3, 5 or 7.")
        return int(proposal["value"])

    @traitlets.validate("row", "column")
    def _exists(self, proposal: Bunch) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        if not 0 <= value < self._outputs:
            raise traitlets.TraitError(f"{name} is {value}; wanted 0 to {self._outputs - 1}.")
        return int(value)

    @traitlets.observe("size", "stride")
    def _stay(self, change: Bunch) -> None:
        """A smaller output moves the kernel inside."""
        self.row, self.column = (min(at, self._outputs - 1) for at in (self.row, self.column))

    def _still(self) -> str:
        margin = (self.kernel - 1) // 2 * self.dilation
        picture = np.full((self.size + 2 * margin,) * 2 + (3,), _ZEROS, np.uint8)
        picture[margin : margin + self.size, margin : margin + self.size] = _MAP
        rows, columns = self._weights(self.row), self._weights(self.column)
        inside = np.outer(self._inside(rows), self._inside(columns))[..., None]
        picture[np.ix_(rows + margin, columns + margin)] = np.where(inside, _INSIDE, _OUTSIDE)
        field, jump = self._scene["receptive_field"], self._scene["cumulative_stride"]
        features = (self.kernel - 1) * self.dilation
        return _still.figure(
            self._scene["title"],
            _still.cells(picture, self._scene["alt"]),
            _still.table(("quantity", "value"), [
                ("weights inside the feature map", f"{self.weights_inside} of {self.kernel**2}"),
                ("receptive field of this kernel", f"{1 + features} features"),
                ("receptive field in pixels", field + features * jump),
                ("output", f"{self._outputs} × {self._outputs} features"),
            ]),
        )  # fmt: skip

    def __repr__(self) -> str:
        shape = f"{self.kernel}x{self.kernel} kernel, dilation rate {self.dilation}"
        return f"DilationExplorer({shape}, on {self.size}x{self.size} features)"
