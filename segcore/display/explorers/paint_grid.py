"""Label and prediction to paint pixel by pixel, and every score that follows.

Taught in chapter 1.
"""

from collections.abc import Sequence

import numpy as np
import traitlets
from numpy.typing import NDArray
from traitlets.utils.bunch import Bunch

from segcore.data.voc import VOID
from segcore.display.explorers import _still
from segcore.display.legend import SAFE, check_mask
from segcore.display.widget import Widget
from segcore.metrics import confusion_matrix, iou, mean_iou, percent, pixel_accuracy

_COLORS = ("#dde2e8", *SAFE)  # of id 0, 1, ...
_VOID_COLOR = "#999999"


class PaintGrid(Widget):
    """A small label and prediction to paint, with confusion matrix, accuracy, IoU and mIoU.

    `labels` and `predictions` (H, W) hold ids of `class_names`, 2 to 8 of them; `labels` may hold
    255 (void) too, which no score counts. H and W are 2 to 12. Traits, read and set from Python:
    `labels` and `predictions` (lists of rows), `brush` (an id or 255). ValueError or TraitError
    names what does not fit. Taught in chapter 1.
    """

    labels = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    predictions = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    brush = traitlets.Int(1).tag(sync=True)
    _scripts = ("explorers/explorer", "explorers/paint_grid")
    _state = ("labels", "predictions", "brush")

    def __init__(
        self,
        labels: NDArray[np.integer],
        predictions: NDArray[np.integer],
        class_names: Sequence[str],
        *,
        title: str = "",
        alt: str = "",
    ) -> None:
        self._names = tuple(class_names)
        if not 2 <= len(self._names) <= len(_COLORS):
            raise ValueError(f"class_names is {class_names!r}; wanted 2 to {len(_COLORS)} texts.")
        self._shape = np.shape(labels)
        if len(self._shape) != 2 or not 2 <= min(self._shape) <= max(self._shape) <= 12:
            raise ValueError(f"labels has shape {self._shape}; wanted sides of 2 to 12 pixels.")
        start = {"labels": np.asarray(labels).tolist(),
                 "predictions": np.asarray(predictions).tolist()}  # fmt: skip
        classes = [
            {"id": i, "name": name, "color": _COLORS[i], "ink": _ink(_COLORS[i])}
            for i, name in enumerate(class_names)
        ]
        alt = alt or "Two grids of pixels to paint: the label and a prediction."
        scene = {"shown": 450, "title": title, "alt": alt, "classes": classes, "void": VOID}
        super().__init__(_scene=scene | {"start": start}, **start)

    @property
    def matrix(self) -> NDArray[np.int64]:
        """The confusion matrix (C, C) of what is painted now, for `segcore.metrics`."""
        grids = np.array(self.labels), np.array(self.predictions)
        return confusion_matrix(*grids, len(self._names))

    @traitlets.validate("labels", "predictions")
    def _fits(self, proposal: Bunch) -> list[list[int]]:
        name, rows = proposal["trait"].name, proposal["value"]
        try:
            grid = check_mask(np.array(rows), name, self._shape, self._names)
        except ValueError as error:
            raise traitlets.TraitError(f"{name}: {error}") from error
        if name == "predictions" and (grid == VOID).any():
            raise traitlets.TraitError("predictions holds 255; wanted a class for every pixel.")
        return rows

    @traitlets.validate("brush")
    def _paints(self, proposal: Bunch) -> int:
        if proposal["value"] not in (*range(len(self._names)), VOID):
            wanted = f"wanted 0 to {len(self._names) - 1}, or {VOID}"
            raise traitlets.TraitError(f"brush is {proposal['value']}; {wanted}.")
        return int(proposal["value"])

    def _still(self) -> str:
        matrix, names, values = self.matrix, self._names, iou(self.matrix)
        rows = [(names[i], *matrix[i], _in_print(values[i])) for i in range(len(names))]
        means = ", ".join(f"{name} {_in_print(value)}" for name, value in _means(matrix).items())
        return _still.figure(
            self._scene["title"],
            _picture(self.labels, "Label", self._scene["alt"]),
            _picture(self.predictions, "Prediction", self._scene["alt"]),
            _still.table(("label \\ prediction", *names, "IoU"), rows),
            _still.words(f"Pixel accuracy {_in_print(pixel_accuracy(matrix))}, {means}."),
        )

    def __repr__(self) -> str:
        H, W = self._shape
        return f"PaintGrid({H}x{W} pixels of {', '.join(self._names)})"


def _picture(grid: list[list[int]], side: str, alt: str) -> str:
    """One of the grids, with its name above."""
    table = np.zeros((256, 3), np.uint8)
    for number, color in (*enumerate(_COLORS), (VOID, _VOID_COLOR)):
        table[number] = list(bytes.fromhex(color[1:]))
    return _still.words(side) + _still.cells(table[np.array(grid)], f"{alt} {side}.")


def _ink(color: str) -> str:
    """Black or white, for a digit on `color`."""
    return "#ffffff" if color == "#0072b2" else "#000000"


def _means(matrix: NDArray[np.int64]) -> dict[str, float]:
    """mIoU by both rules for a class that is predicted but never labelled: left out, or 0."""
    used = np.nan_to_num(iou(matrix))[matrix.sum(0) + matrix.sum(1) > 0]
    return {
        "mIoU over labelled classes": mean_iou(matrix),
        "with 0 for classes that are only predicted": float(used.mean()) if len(used) else np.nan,
    }


def _in_print(fraction: float) -> str:
    return "–" if np.isnan(fraction) else f"{percent(fraction)} %"
