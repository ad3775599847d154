"""SeparableSteps under the hand: what is read is what is multiplied."""

from pathlib import Path

import pytest
from explorer_samples import separable
from playwright.sync_api import Page
from widget_pages import drive, show

from segcore.display.explorers import SeparableSteps


@pytest.mark.parametrize("convolution", ["standard", "separable"])
def test_what_is_read_is_what_is_multiplied(desktop: Page, convolution: str) -> None:
    """A filled square of the input for each multiply-add, at the border on zeros too."""
    explorer = SeparableSteps(4, 3, 2)
    explorer.convolution = convolution
    drive(desktop, explorer)
    last = explorer.steps
    for step in (1, 6, 16, 17, 32, 48, 49, last):
        if step > last:
            continue
        explorer.step = step - 1
        before = explorer.macs
        explorer.step = step
        desktop.evaluate("step => void model.set('step', step)", step)
        assert desktop.locator(".cell.read").count() == explorer.macs - before
        assert desktop.locator(".cell.now").count() == 1
        hidden = desktop.locator(".cell.done.read").count()
        now_and_done = desktop.locator(".cell.done").count() + 1 - hidden
        read_between = desktop.locator(".pane").nth(1).locator(".cell.read").count()
        assert now_and_done + read_between == step
        assert desktop.locator(".numbers dd").first.inner_text() == f"{explorer.macs:,}"


def test_totals_and_ratio_follow_the_channels(page: Page, tmp_path: Path) -> None:
    explorer = separable()
    show(page, tmp_path, explorer)
    for channels in (1, 4, 6):
        page.get_by_role("slider", name="Channels out").fill(str(channels))
        explorer.channels_out = channels
        totals = explorer.totals
        both = totals["depthwise"] + totals["pointwise"]
        assert page.locator(".numbers dd").all_inner_texts()[1:] == [
            f"{totals['standard']:,}",
            f"{totals['depthwise']:,} + {totals['pointwise']:,} = {both:,}",
            f"1/{channels} + 1/9 = {both / totals['standard']:.3f}",
        ]
        lengths = [box.bounding_box() for box in page.locator(".bar").all()]
        assert lengths[0] and lengths[1]
        ratio = lengths[1]["width"] / lengths[0]["width"]
        assert ratio == pytest.approx(both / totals["standard"], abs=0.01)


def test_it_steps_slides_and_plays(page: Page, tmp_path: Path) -> None:
    page.clock.install()
    show(page, tmp_path, separable())
    readout, count = page.locator("[aria-live]"), page.locator("output")
    assert readout.inner_text() == (
        "Standard, channel 0, row 0, column 0: 3 · 3 · 3 = 27 multiply-adds."
    )
    page.get_by_role("button", name="Next value").click()
    assert "row 0, column 1" in readout.inner_text() and count.inner_text() == "2 / 64"
    page.get_by_role("radio", name="separable").check()
    assert count.inner_text() == "2 / 112"
    page.get_by_role("slider", name="Value").focus()
    page.keyboard.press("End")
    assert readout.inner_text() == (
        "Pointwise half, channel 3, row 3, column 3: 3 = 3 multiply-adds."
    )
    page.get_by_role("radio", name="standard").check()  # which has fewer
    assert count.inner_text() == "64 / 64"
    page.get_by_role("button", name="Play").click()  # from the last: starts over
    page.clock.run_for(400)
    assert count.inner_text() == "1 / 64"
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Previous value").click()
    assert readout.inner_text() == "Nothing is computed yet."


def test_python_reads_and_sets(desktop: Page) -> None:
    explorer = separable()
    drive(desktop, explorer)
    desktop.get_by_role("radio", name="separable").check()
    desktop.get_by_role("slider", name="Value").fill("50")
    saved = desktop.evaluate("saved.at(-1)")
    explorer.convolution, explorer.step = saved["convolution"], saved["step"]
    assert desktop.locator(".numbers dd").first.inner_text() == f"{explorer.macs:,}" == "438"
    desktop.evaluate("void model.set('channels_out', 2)")
    assert desktop.locator("output").inner_text() == "50 / 80"
