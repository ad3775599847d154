"""PaintGrid under the hand; its numbers are those of segcore.metrics."""

from pathlib import Path

import numpy as np
import pytest
from explorer_samples import LABELS, NAMES, PREDICTIONS, paint_grid
from playwright.sync_api import Locator, Page
from widget_pages import PHONE_LIGHT, drive, show

from segcore import metrics


def cell(page: Page, grid: str, row: int, column: int) -> Locator:
    return page.get_by_role("grid", name=grid).get_by_role("gridcell").nth(6 * row + column)


def shown(page: Page) -> dict[str, object]:
    """What stands in the panel."""
    accuracy, labelled, used = page.locator(".numbers dd").all_inner_texts()
    rows = page.locator(".matrix tr").all()[1:]
    matrix = [[int(text) for text in row.locator("td").all_inner_texts()] for row in rows]
    ious = page.locator("table").nth(1).locator("td:last-child").all_inner_texts()
    return {"accuracy": accuracy.split(" = ")[-1], "labelled": labelled, "used": used,
            "matrix": matrix, "ious": ious}  # fmt: skip


def expected(labels: np.ndarray, predictions: np.ndarray) -> dict[str, object]:
    """The oracle: segcore.metrics, and for the second rule pixels counted one by one."""
    matrix = metrics.confusion_matrix(labels, predictions, len(NAMES))
    ious = metrics.iou(matrix)
    both = []
    for number in range(len(NAMES)):
        true, found = labels == number, (predictions == number) & (labels != 255)
        if (true | found).any():
            both.append((true & found).sum() / (true | found).sum())
    words = [f"{100 * value:.1f} %" for value in ious]
    for number in np.flatnonzero(np.isnan(ious)):
        words[number] = "no label" if matrix[:, number].any() else "unused"
    return {"accuracy": f"{100 * metrics.pixel_accuracy(matrix):.1f} %",
            "labelled": f"{100 * metrics.mean_iou(matrix):.1f} %",
            "used": f"{100 * np.mean(both):.1f} %",
            "matrix": matrix.tolist(), "ious": words}  # fmt: skip


def test_numbers_are_those_of_metrics(desktop: Page) -> None:
    drive(desktop, paint_grid())
    assert shown(desktop) == expected(LABELS, PREDICTIONS)
    random = np.random.default_rng(0)
    for count in (2, 3, 3, 4, 4, 4):
        labels = random.integers(0, count, (6, 6))
        labels[random.random((6, 6)) < 0.2] = 255
        predictions = random.integers(0, 4, (6, 6))
        desktop.evaluate("([a, b]) => { model.set('labels', a); model.set('predictions', b); }",
                         [labels.tolist(), predictions.tolist()])  # fmt: skip
        assert shown(desktop) == expected(labels, predictions)


def test_nothing_labelled_has_no_score(desktop: Page) -> None:
    drive(desktop, paint_grid())
    desktop.evaluate("void model.set('labels', model.get('labels').map(r => r.map(() => 255)))")
    assert desktop.locator(".numbers dd").all_inner_texts() == ["0 / 0 = –", "–", "–"]


def test_a_stroke_paints_what_it_passes(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, paint_grid())
    page.get_by_role("radio", name="dog").check()
    start, end = (cell(page, "Prediction", 0, column).bounding_box() for column in (1, 4))
    assert start and end
    middle = start["y"] + start["height"] / 2
    page.mouse.move(start["x"] + 5, middle)
    page.mouse.down()
    page.mouse.move(end["x"] + 5, middle, steps=12)
    page.mouse.up()
    page.mouse.move(end["x"] + 5, middle + 3 * start["height"], steps=3)  # nothing is pressed now
    painted = PREDICTIONS.copy()
    painted[0, 1:5] = 2
    assert shown(page) == expected(LABELS, painted)
    assert "wrong" in (cell(page, "Prediction", 0, 1).get_attribute("aria-label") or "")


@pytest.mark.parametrize("page", [PHONE_LIGHT], indirect=True)
def test_a_finger_paints_one_pixel(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, paint_grid())
    cell(page, "Label", 5, 0).tap()
    painted = LABELS.copy()
    painted[5, 0] = 1
    assert shown(page) == expected(painted, PREDICTIONS)


def test_arrow_keys_and_space_paint(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, paint_grid())
    cell(page, "Label", 0, 0).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    painted = LABELS.copy()
    painted[1, 0] = 1
    assert shown(page) == expected(painted, PREDICTIONS)
    assert cell(page, "Label", 1, 0).evaluate("c => c === c.getRootNode().activeElement")
    assert page.locator("[role=gridcell][tabindex='0']").count() == 2  # one stop a grid for Tab


def test_void_is_for_labels_only(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, paint_grid())
    page.get_by_role("radio", name="void").check()
    cell(page, "Prediction", 0, 0).click()
    assert "Void can be painted on the label only" in page.locator("[aria-live]").inner_text()
    assert shown(page) == expected(LABELS, PREDICTIONS)
    cell(page, "Label", 0, 0).click()
    painted = LABELS.copy()
    painted[0, 0] = 255
    assert shown(page) == expected(painted, PREDICTIONS)


def test_buttons(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, paint_grid())
    page.get_by_role("button", name="All background").click()
    assert shown(page) == expected(LABELS, np.zeros_like(LABELS))
    page.get_by_role("button", name="Copy the label").click()
    assert shown(page) == expected(LABELS, np.where(LABELS == 255, 0, LABELS))
    void = cell(page, "Prediction", 4, 2).get_attribute("aria-label")
    assert void == "row 4, column 2: background"  # no prediction is void
    page.get_by_role("button", name="Start again").click()
    assert shown(page) == expected(LABELS, PREDICTIONS)


def test_python_reads_what_is_painted(desktop: Page) -> None:
    grid = paint_grid()
    drive(desktop, grid)
    desktop.get_by_role("radio", name="sofa").check()
    cell(desktop, "Label", 0, 0).click()
    saved = desktop.evaluate("saved.at(-1)")
    grid.labels, grid.brush = saved["labels"], saved["brush"]
    assert (grid.labels[0][0], grid.brush) == (3, 3)
    assert shown(desktop)["matrix"] == grid.matrix.tolist()
