"""A standard and a separable convolution, one output value at a time, multiply-adds counted.

Taught in chapter 3.
"""

import traitlets
from traitlets.utils.bunch import Bunch

from segcore._errors import check
from segcore.display.explorers import _still
from segcore.display.widget import Widget


class SeparableSteps(Widget):
    """Both convolutions of a small feature map, step by step; stride 1, "same" padding.

    `size` (2 to 6) features a side, `channels_in` (1 to 6), `kernel` (1, 3 or 5) weights a side.
    Traits, read and set from Python: `convolution` ("standard" or "separable"), `channels_out` (1
    to 6), `step` (output values computed so far). `steps`, `macs` and `totals` follow from them.
    ValueError or TraitError names what does not fit. Taught in chapter 3.
    """

    convolution = traitlets.Enum(("standard", "separable"), "standard").tag(sync=True)
    channels_out = traitlets.Int(4, min=1, max=6).tag(sync=True)
    step = traitlets.Int(1, min=0).tag(sync=True)
    _scripts = ("player", "explorers/explorer", "explorers/separable")
    _state = ("convolution", "channels_out", "step")

    def __init__(
        self,
        size: int = 4,
        channels_in: int = 3,
        channels_out: int = 4,
        kernel: int = 3,
        *,
        title: str = "",
        alt: str = "",
    ) -> None:
        check("size", size, 2 <= size <= 6, "2 to 6")
        check("channels_in", channels_in, 1 <= channels_in <= 6, "1 to 6")
        check("kernel", kernel, kernel in (1, 3, 5), "1, 3 or 5")
        alt = alt or "The channels of a feature map that is convolved, one output value at a time."
        scene = {"shown": 450, "title": title, "alt": alt, "size": size,
                 "channels_in": channels_in, "kernel": kernel}  # fmt: skip
        super().__init__(_scene=scene, channels_out=channels_out)

    @property
    def steps(self) -> int:
        """How many values the chosen convolution computes, those between its halves included."""
        depthwise = self._depthwise if self.convolution == "separable" else 0
        return depthwise + self._scene["size"] ** 2 * self.channels_out

    @property
    def macs(self) -> int:
        """Multiply-adds of the first `step` values."""
        weights = self._scene["kernel"] ** 2
        if self.convolution == "standard":
            return self.step * weights * self._scene["channels_in"]
        depthwise = min(self.step, self._depthwise)
        return depthwise * weights + (self.step - depthwise) * self._scene["channels_in"]

    @property
    def totals(self) -> dict[str, int]:
        """Multiply-adds of the whole "standard" convolution, and of the "separable" one's halves.

        Howard et al. 2017, MobileNets, section 3.1.
        """
        features, weights = self._scene["size"] ** 2, self._scene["kernel"] ** 2
        M, N = self._scene["channels_in"], self.channels_out
        return {"standard": features * weights * M * N,
                "depthwise": features * weights * M, "pointwise": features * M * N}  # fmt: skip

    @property
    def _depthwise(self) -> int:
        """Values that the depthwise half computes."""
        return int(self._scene["size"] ** 2 * self._scene["channels_in"])

    @traitlets.validate("step")
    def _exists(self, proposal: Bunch) -> int:
        if proposal["value"] > self.steps:
            raise traitlets.TraitError(f"step is {proposal['value']}; wanted 0 to {self.steps}.")
        return int(proposal["value"])

    @traitlets.observe("convolution", "channels_out")
    def _stay(self, change: Bunch) -> None:
        """With fewer values, the last."""
        self.step = min(self.step, self.steps)

    def _still(self) -> str:
        totals, N, k = self.totals, self.channels_out, self._scene["kernel"]
        separable = totals["depthwise"] + totals["pointwise"]
        rows = [(name, f"{count:,}") for name, count in totals.items()]
        rows.append(("separable: both halves", f"{separable:,}"))
        ratio = separable / totals["standard"]
        return _still.figure(
            self._scene["title"],
            _still.words(self._scene["alt"]),
            _still.table(("convolution", "multiply-adds"), rows),
            _still.words(f"Separable / standard: 1/{N} + 1/{k**2} = {ratio:.3f}."),
        )

    def __repr__(self) -> str:
        M, N, size = self._scene["channels_in"], self.channels_out, self._scene["size"]
        return f"SeparableSteps({size}x{size} features, {M} to {N} channels)"
