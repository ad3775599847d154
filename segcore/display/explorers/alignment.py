"""A ruler of pixels: where features stand, where upsampling puts them, and how far that is off.

Taught in chapter 6.
"""

import numpy as np
import traitlets
from numpy.typing import NDArray
from traitlets.utils.bunch import Bunch

from segcore.display.explorers import _still
from segcore.display.widget import Widget

_METHODS = {
    "half_pixel": "resize, align_corners=False",
    "align_corners": "resize, align_corners=True",
    "crop": "upsample by the stride, crop in front",
}


class AlignmentRuler(Widget):
    """One side of an image, the features of its strided convolutions, and the way back to pixels.

    The convolutions are 3×3 with stride 2 and "same" padding, as TensorFlow places it. Traits, read
    and set from Python: `size` (pixels, 17 to 129), `stride` (cumulative: 2, 4, 8 or 16), `method`
    ("half_pixel", "align_corners" or "crop"), `crop` (pixels cut off in front, 0 to 15), `feature`
    (the one that is told of). TraitError for other values. Taught in chapter 6.
    """

    size = traitlets.Int(64, min=17, max=129).tag(sync=True)
    stride = traitlets.Enum((2, 4, 8, 16), 16).tag(sync=True)
    method = traitlets.Enum(tuple(_METHODS), "half_pixel").tag(sync=True)
    crop = traitlets.Int(0, min=0, max=15).tag(sync=True)
    feature = traitlets.Int(0, min=0).tag(sync=True)
    _scripts = ("explorers/explorer", "explorers/alignment")
    _state = ("size", "stride", "method", "feature", "crop")

    def __init__(
        self,
        size: int = 64,
        stride: int = 16,
        method: str = "half_pixel",
        crop: int = 0,
        *,
        title: str = "",
        alt: str = "",
    ) -> None:
        alt = (
            alt or "Pixels of an image, features of a network, and pixels of its upsampled answer."
        )
        scene = {"shown": 450, "title": title, "alt": alt, "methods": [*_METHODS.items()]}
        super().__init__(_scene=scene, size=size, stride=stride, method=method, crop=crop)

    @property
    def stands(self) -> NDArray[np.int64]:
        """The pixel in the middle of each feature's receptive field."""
        start, jump, features = 0, 1, self.size
        while jump < self.stride:
            start += jump * (features % 2 == 0)  # an even side gets its one zero behind
            features, jump = -(-features // 2), 2 * jump
        return start + jump * np.arange(features)

    @property
    def lands(self) -> NDArray[np.float64]:
        """Where among the pixels of the answer the value of each feature lies."""
        number = np.arange(len(self.stands), dtype=np.float64)
        if self.method == "align_corners":
            return number * ((self.size - 1) / (len(number) - 1))
        if self.method == "half_pixel":
            return (number + 0.5) * (self.size / len(number)) - 0.5
        return (number + 0.5) * self.stride - 0.5 - self.crop

    @property
    def misalignment(self) -> NDArray[np.float64]:
        """`lands` - `stands` of each feature, in pixels."""
        return self.lands - self.stands

    @traitlets.validate("feature")
    def _exists(self, proposal: Bunch) -> int:
        last = len(self.stands) - 1
        if proposal["value"] > last:
            raise traitlets.TraitError(f"feature is {proposal['value']}; wanted 0 to {last}.")
        return int(proposal["value"])

    @traitlets.observe("size", "stride")
    def _stay(self, change: Bunch) -> None:
        """With fewer features, the last."""
        self.feature = min(self.feature, len(self.stands) - 1)

    def _still(self) -> str:
        places = zip(self.stands, self.lands, self.misalignment, strict=True)
        rows = [(i, *(f"{value:z.1f}" for value in row)) for i, row in enumerate(places)]
        head = ("feature", "stands on pixel", "lands on pixel", "misalignment in pixels")
        crop = f" {self.crop} pixels" if self.method == "crop" else ""
        setting = f"{self.size} pixels, stride {self.stride}; {_METHODS[self.method]}{crop}."
        alt = _still.words(self._scene["alt"])
        table = _still.table(head, rows)
        return _still.figure(self._scene["title"], alt, table, _still.words(setting))

    def __repr__(self) -> str:
        worst = np.abs(self.misalignment).max()
        return f"AlignmentRuler({self.size} pixels, stride {self.stride}: {worst:.1f} pixels off)"
