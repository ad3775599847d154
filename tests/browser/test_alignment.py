"""AlignmentRuler under the hand; positions are those of Python's class."""

from pathlib import Path

import numpy as np
from explorer_samples import alignment
from playwright.sync_api import Page
from widget_pages import drive, show

from segcore.display.explorers import AlignmentRuler


def shown(page: Page) -> list[object]:
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator("table tr").all()[1:]]
    return [page.locator(".numbers dd").all_inner_texts(), rows]


def signed(value: float) -> str:
    return ("+" if value >= 0.05 else "") + f"{value:z.1f}"


def expected(ruler: AlignmentRuler) -> list[object]:
    stands, lands, off = ruler.stands, ruler.lands, ruler.misalignment
    samples = [0, len(stands) // 2, len(stands) - 1]
    rows = [[str(i), str(stands[i]), f"{lands[i]:z.1f}", signed(off[i])] for i in samples]
    return [[f"{len(stands)}, from pixel {stands[0]} in steps of {ruler.stride}",
             f"{np.abs(off).max():.1f} pixels", f"{signed(off.mean())} pixels"], rows]  # fmt: skip


def test_numbers_are_those_of_python(desktop: Page) -> None:
    drive(desktop, alignment())
    for size, stride in [(64, 16), (65, 16), (17, 2), (50, 8), (128, 4), (129, 16)]:
        for method in ("half_pixel", "align_corners", "crop"):
            ruler = AlignmentRuler(size, stride, method, crop=7)
            desktop.evaluate("([size, stride, method]) => { model.set('size', size);"
                          "model.set('stride', stride); model.set('method', method); }",
                          [size, stride, method])  # fmt: skip
            assert shown(desktop) == expected(ruler), (size, stride, method)
            off = np.abs(ruler.misalignment) > 0.05
            assert desktop.locator(".way.off").count() == off.sum()
            assert desktop.locator(".feature").count() == len(off)


def test_lines_end_where_features_land(page: Page, tmp_path: Path) -> None:
    ruler = AlignmentRuler(65, 16, "crop", 15)  # the first lands before the first pixel
    show(page, tmp_path, ruler)
    marks = [float(mark.get_attribute("x") or "nan") + 2 for mark in page.locator(".land").all()]
    start, width = [float(page.locator("rect.map").nth(1).get_attribute(name) or "nan")
                    for name in ("x", "width")]  # fmt: skip
    assert np.allclose(marks, start + (ruler.lands + 0.5) * width / 65, atol=0.01)
    plot = page.locator("svg.plot").bounding_box()
    assert plot and min(marks) >= 0 and max(marks) <= plot["width"]


def test_a_press_tells_of_a_feature(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, alignment())
    readout = page.locator("[aria-live]")
    assert readout.inner_text() == "Feature 1 stands on pixel 31 and lands on 23.5: -7.5 pixels."
    circle = page.locator(".feature").nth(3).bounding_box()
    assert circle
    x, y = circle["x"] + circle["width"] / 2, circle["y"] + circle["height"] / 2
    if page.evaluate("matchMedia('(pointer: coarse)').matches"):
        page.touchscreen.tap(x, y)
    else:
        page.mouse.click(x, y)
    assert readout.inner_text().startswith("Feature 3 stands on pixel 63")
    page.locator("svg.plot").focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    assert readout.inner_text().startswith("Feature 1 ")
    assert page.locator(".feature.chosen").count() == 1


def test_one_pixel_more_mends_it(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, alignment())
    crop = page.get_by_role("slider", name="Crop in front")
    assert crop.is_disabled()
    page.get_by_role("radio", name="upsample by the stride, crop in front").check()
    assert page.locator("[aria-live]").inner_text().endswith("The answer ends 7 pixels too early.")
    page.get_by_role("button", name="1 pixel more").click()
    assert shown(page) == expected(AlignmentRuler(65, 16, "crop", 7))
    crop.focus()
    page.keyboard.press("ArrowRight")
    assert shown(page) == expected(AlignmentRuler(65, 16, "crop", 8))
    page.get_by_role("radio", name="resize, align_corners=True").check()
    assert page.locator(".numbers dd").nth(1).inner_text() == "0.0 pixels"
    page.get_by_role("slider", name="Side of the image").fill("64")
    assert shown(page) == expected(AlignmentRuler(64, 16, "align_corners"))


def test_python_reads_and_sets(desktop: Page) -> None:
    ruler = alignment()
    drive(desktop, ruler)
    desktop.get_by_role("radio", name="8", exact=True).check()
    desktop.get_by_role("button", name="1 pixel less").click()
    desktop.locator("svg.plot").press("ArrowRight")
    saved = desktop.evaluate("saved.at(-1)")
    for name in ("size", "stride", "feature"):
        setattr(ruler, name, saved[name])
    assert (ruler.size, ruler.stride, ruler.feature) == (63, 8, 2)
    assert shown(desktop) == expected(ruler)
