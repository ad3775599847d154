"""PaintGrid without a browser: its matrix, its still words, its traits and refusals."""

import numpy as np
import pytest
import traitlets
from explorer_samples import LABELS, NAMES, PREDICTIONS, paint_grid

from segcore import metrics
from segcore.display.explorers import PaintGrid


def test_matrix_follows_the_traits() -> None:
    grid = paint_grid()
    assert grid.matrix.tolist() == [[21, 2, 0, 0], [1, 7, 0, 0], [1, 0, 2, 1], [0, 0, 0, 0]]
    grid.predictions = np.where(LABELS == 255, 0, LABELS).tolist()
    assert metrics.mean_iou(grid.matrix) == 1


def test_still_tells_both_means() -> None:
    still = paint_grid()._still()
    labelled = (21 / 25 + 7 / 10 + 2 / 4) / 3
    assert f"mIoU over labelled classes {100 * labelled:.1f} %" in still
    assert f"only predicted {100 * labelled * 3 / 4:.1f} %" in still
    assert f"Pixel accuracy {100 * 30 / 35:.1f} %" in still


def test_nothing_labelled_has_no_score() -> None:
    grid = PaintGrid(np.full((3, 3), 255), np.zeros((3, 3), int), NAMES)
    assert "Pixel accuracy –" in grid._still()
    assert repr(grid) == "PaintGrid(3x3 pixels of background, cat, dog, sofa)"


def luminance(color: str) -> float:
    """Of WCAG 2, section "relative luminance"."""
    parts = np.array(list(bytes.fromhex(color[1:]))) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_digits_can_be_read_on_every_colour() -> None:
    grid = PaintGrid(LABELS, PREDICTIONS, [*"abcdefgh"])
    for row in grid._scene["classes"]:
        dark, light = sorted(luminance(row[part]) for part in ("color", "ink"))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, row


@pytest.mark.parametrize(("name", "value", "said"), [
    ("brush", 4, "brush is 4; wanted 0 to 3, or 255"),
    ("labels", [[0, 0]], r"labels has shape \(1, 2\); wanted \(6, 6\)"),
    ("predictions", (PREDICTIONS + 3).tolist(), "predictions has id 4"),
    ("predictions", LABELS.tolist(), "predictions holds 255; wanted a class"),
    ("labels", [[0], [0, 1]], "labels"),
])  # fmt: skip
def test_traits_refuse(name: str, value: object, said: str) -> None:
    with pytest.raises(traitlets.TraitError, match=said):
        setattr(paint_grid(), name, value)


@pytest.mark.parametrize(("labels", "names", "said"), [
    (np.zeros((13, 6), int), NAMES, r"labels has shape \(13, 6\); wanted sides of 2 to 12"),
    (np.zeros(6, int), NAMES, r"labels has shape \(6,\)"),
    (LABELS, ["one"], r"class_names is \['one'\]; wanted 2 to 8"),
])  # fmt: skip
def test_arguments_refuse(labels: np.ndarray, names: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PaintGrid(labels, np.zeros_like(labels), names)
