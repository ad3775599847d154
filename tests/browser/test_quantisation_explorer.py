"""QuantisationExplorer under the hand; its numbers are those of `quantisation_error`."""

import base64
import io
from pathlib import Path

import numpy as np
from explorer_samples import BITS, CLIPS, layer, masks, quantisation
from PIL import Image
from playwright.sync_api import Page
from widget_pages import drive, show

from segcore.display.explorers import QuantisationExplorer
from segcore.quantisation.error import quantisation_error
from segcore.quantisation.integers import affine_for


def expected(explorer: QuantisationExplorer, clip: int, bits: int) -> list[str]:
    affine = affine_for(*CLIPS[clip], bits)
    found = quantisation_error(explorer.values, *CLIPS[clip], bits)
    changed = (masks().masks[clip, BITS.index(bits)] != masks().reference).mean()
    errors = f"{found.rounding**0.5:.4f}", f"{found.clipping**0.5:.4f}"
    step = f"{affine.scale:.4f}, {affine.zero}"
    return [step, *errors, f"{found.sqnr:.1f} dB", f"{100 * changed:.1f} %"]


def test_numbers_are_those_of_python(desktop: Page) -> None:
    explorer = quantisation()
    drive(desktop, explorer)
    for clip in range(len(CLIPS)):
        for bits in BITS:
            desktop.evaluate("clip => void model.set('clip', clip)", clip)
            desktop.evaluate("bits => void model.set('bits', bits)", bits)
            shown = desktop.locator(".numbers dd").all_inner_texts()
            assert shown == expected(explorer, clip, bits), (clip, bits)
            best = max(
                CLIPS, key=lambda ends: quantisation_error(explorer.values, *ends, bits).sqnr
            )
            said = desktop.locator("svg.plot").nth(1).get_attribute("aria-label") or ""
            assert said.endswith(f"number {CLIPS.index(best) + 1} of 4.")


def test_clipped_values_are_counted_and_coloured(desktop: Page, tmp_path: Path) -> None:
    explorer = quantisation()
    explorer.clip, explorer.bits = 1, 5
    show(desktop, tmp_path, explorer)
    affine = affine_for(*CLIPS[1], 5)
    low, high = affine.dequantise([-16, 15], np.float64)
    share = ((explorer.values < low) | (explorer.values > high)).mean()
    assert (
        f"{100 * share:.1f} % of the values clipped" in desktop.locator("[aria-live]").inner_text()
    )
    edges = np.histogram_bin_edges(layer(), 96)
    centres = (edges[:-1] + edges[1:]) / 2
    assert desktop.locator("rect.kept").count() == ((centres >= low) & (centres <= high)).sum()


def test_changed_pixels_are_white_in_the_second_picture(desktop: Page, tmp_path: Path) -> None:
    explorer = quantisation()
    explorer.clip, explorer.bits = 2, 2
    show(desktop, tmp_path, explorer)
    pictures = []
    for canvas in desktop.locator("canvas").all():
        uri = canvas.evaluate("c => c.toDataURL('image/png')")
        pictures.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))))
    first, second = (picture[..., :3].astype(int) for picture in pictures)
    changed = masks().masks[2, 0] != masks().reference
    assert np.array_equal((second == 255).all(-1), changed)
    assert np.array_equal(first[~changed], second[~changed])
    cat = masks().reference == 8
    assert np.abs(first[~cat] - 90).max() <= 3 and np.abs(first[cat] - 90).max() > 30


def test_the_range_is_dragged(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, quantisation())
    plot = page.locator("svg.plot").first
    box = plot.bounding_box()
    assert box
    low, high = layer().min(), layer().max()

    def x(value: float) -> float:
        return box["x"] + (value - low) / (high - low) * box["width"]

    middle = box["y"] + box["height"] / 2
    for value, nearest in [(6.4, 2), (1.2, 0), (-2.2, 1), (-9.5, 3)]:
        page.mouse.move(x(5), middle)
        page.mouse.down()
        page.mouse.move(x(value), middle, steps=3)
        page.mouse.up()
        page.mouse.move(x(3), middle)
        assert page.get_by_role("slider", name="Clip range").input_value() == str(nearest), value


def test_keys_move_both_sliders(page: Page, tmp_path: Path) -> None:
    explorer = quantisation()
    show(page, tmp_path, explorer)
    for name in ("Clip range", "Bit width"):
        page.get_by_role("slider", name=name).focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
    assert page.locator(".numbers dd").all_inner_texts() == expected(explorer, 1, 3)
    slider = page.get_by_role("slider", name="Clip range")
    assert slider.get_attribute("aria-valuetext") == "-2.50 to 3.00"


def test_without_masks_and_on_one_side(desktop: Page, tmp_path: Path) -> None:
    explorer = QuantisationExplorer(np.abs(layer()))
    show(desktop, tmp_path, explorer)
    assert desktop.locator("canvas").count() == 0
    rounding, clipping, sqnr = explorer.error
    shown = desktop.locator(".numbers dd").all_inner_texts()
    assert shown[1:] == [f"{rounding**0.5:.4f}", f"{clipping**0.5:.4f}", f"{sqnr:.1f} dB"]
    box = desktop.locator("svg.plot").first.bounding_box()
    assert box
    desktop.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert desktop.get_by_role("slider", name="Clip range").input_value() == "11"  # 12 of 24


def test_python_reads_and_sets(desktop: Page) -> None:
    explorer = quantisation()
    drive(desktop, explorer)
    desktop.get_by_role("slider", name="Bit width").fill("2")
    desktop.get_by_role("slider", name="Clip range").fill("0")
    saved = desktop.evaluate("saved.at(-1)")
    explorer.clip, explorer.bits = saved["clip"], saved["bits"]
    assert desktop.locator(".numbers dd").nth(3).inner_text() == f"{explorer.error.sqnr:.1f} dB"
