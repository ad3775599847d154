"""DilationExplorer under the hand; what it counts is what Keras multiplies."""

from pathlib import Path

import numpy as np
import pytest
from explorer_samples import dilation
from playwright.sync_api import Page
from widget_pages import PHONE_LIGHT, drive, show

from segcore.display.explorers import DilationExplorer


def numbers(page: Page) -> list[str]:
    return page.locator(".numbers dd").all_inner_texts()


def test_numbers_are_those_of_keras(desktop: Page) -> None:
    from segcore.models import cost

    keras = cost.keras
    drive(desktop, DilationExplorer())
    settings = [(17, 3, 6, 1), (17, 3, 18, 1), (32, 3, 1, 2), (33, 3, 1, 2), (9, 5, 2, 1)]
    for size, kernel, rate, stride in settings:
        images = keras.Input((size, size, 1))
        layer = keras.layers.Conv2D(1, kernel, stride, "same", dilation_rate=rate,
                                    kernel_initializer="ones")  # fmt: skip
        model = keras.Model(images, layer(images))
        counts = np.asarray(model(np.ones((1, size, size, 1))))[0, ..., 0].round().astype(int)
        row = column = len(counts) - 1  # where one zero more may lie behind than in front
        new = {"size": size, "kernel": kernel, "dilation": rate, "stride": stride,
               "row": row, "column": column}  # fmt: skip
        desktop.evaluate("new_ => { for (const name in new_) model.set(name, new_[name]); }", new)
        here, mean, field, pixels, output = numbers(desktop)
        assert here == f"{counts[row, column]} of {kernel**2}"
        assert mean == f"{counts.mean():.2f} of {kernel**2}"
        (_, last) = cost.layer_costs(model)
        assert field.endswith(f"= {last.receptive_field} features")
        assert pixels.endswith(f"= {last.receptive_field}")
        assert output == f"{len(counts)} × {len(counts)}, cumulative stride {last.stride}"
        drawn = desktop.locator("rect.weight:not(.outside)").count()
        assert drawn == counts[row, column]


def test_pixels_count_what_stood_before(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, dilation())
    assert numbers(page)[3:] == ["491 + 2 · 6 · 16 = 683", "17 × 17, cumulative stride 16"]
    page.get_by_label("Stride").fill("2")
    assert numbers(page)[4] == "9 × 9, cumulative stride 32"


def test_the_kernel_is_dragged(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, dilation())
    plot = page.locator("svg.plot")
    box = plot.bounding_box()
    assert box
    side, start = 17 + 2 * 6.5, 6.5  # features across, and the first feature of the map

    def pixel(row: int, column: int) -> tuple[float, float]:
        scale = box["width"] / side
        return box["x"] + (start + column + 0.5) * scale, box["y"] + (start + row + 0.5) * scale

    page.mouse.move(*pixel(8, 8))
    page.mouse.down()
    page.mouse.move(*pixel(0, 16), steps=5)
    page.mouse.up()
    page.mouse.move(*pixel(8, 8))
    assert page.locator("[aria-live]").inner_text().startswith("Row 0, column 16 of the output: 4")
    page.mouse.click(box["x"] + 6, box["y"] + 6)  # out on the zeros: the nearest position
    assert page.locator("[aria-live]").inner_text().startswith("Row 0, column 0 of the output: 4")


@pytest.mark.parametrize("page", [PHONE_LIGHT], indirect=True)
def test_a_finger_puts_it_down(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, dilation())
    box = page.locator("svg.plot").bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 2)
    assert page.locator("[aria-live]").inner_text().startswith("Row 0, column 8 ")


def test_keys_move_kernel_and_sliders(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, dilation())
    page.locator("svg.plot").focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.locator("[aria-live]").inner_text().startswith("Row 6, column 7 ")
    page.get_by_label("Dilation rate").focus()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    said = page.locator("[aria-live]").inner_text()
    assert "1 of 9" in said and said.endswith("the 3 × 3 convolution is a 1 × 1 here.")


def test_python_reads_and_sets(desktop: Page) -> None:
    explorer = dilation()
    drive(desktop, explorer)
    desktop.get_by_label("Side of the feature map").fill("9")  # row 8 is still on the map
    desktop.locator("svg.plot").press("ArrowUp")
    saved = desktop.evaluate("saved.at(-1)")
    for name in ("size", "row", "column"):
        setattr(explorer, name, saved[name])
    assert (explorer.size, explorer.row, explorer.column) == (9, 7, 8)
    assert numbers(desktop)[0] == f"{explorer.weights_inside} of 9"
    desktop.evaluate("model.set('dilation', 1)")
    assert desktop.get_by_label("Dilation rate").input_value() == "1"
