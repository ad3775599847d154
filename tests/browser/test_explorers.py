"""Every explorer: axe, sizes of targets, texts of strangers, no listener left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from explorer_samples import SAMPLES
from playwright.sync_api import Page
from widget_pages import DESKTOP_LIGHT, SIZES, drive, show

everyone = pytest.mark.parametrize("name", SAMPLES)


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_axe_finds_nothing(page: Page, axe: Callable[..., list[str]], tmp_path: Path) -> None:
    show(page, tmp_path, *(sample(title=name) for name, sample in SAMPLES.items()))
    page.evaluate("document.querySelector('main').insertAdjacentHTML('afterbegin', '<h1>T</h1>')")
    assert axe(page) == []


@pytest.mark.parametrize(
    ("page", "least"),
    [((320, "light"), 44), ((360, "light"), 44), (DESKTOP_LIGHT, 24)],
    indirect=["page"],
)
def test_targets_are_large_and_nothing_overflows(page: Page, tmp_path: Path, least: int) -> None:
    show(page, tmp_path, *(sample(title=name) for name, sample in SAMPLES.items()))
    width = page.viewport_size["width"]  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button, .switch, input[type=range]").all():
        box = target.bounding_box()
        assert box and box["height"] >= least and box["width"] >= least


@everyone
def test_hostile_texts_stay_text(desktop: Page, tmp_path: Path, name: str) -> None:
    bad = "</script><img src=x onerror=document.title='gone'>"
    show(desktop, tmp_path, SAMPLES[name](title=bad, alt=bad))
    assert desktop.title() == bad and desktop.locator("main img[src=x]").count() == 0
    assert desktop.locator("figcaption").inner_text() == bad


@everyone
def test_notebook_can_take_it_away(desktop: Page, name: str) -> None:
    drive(desktop, SAMPLES[name]())
    its_keys = desktop.locator("[data-lm-suppress-shortcuts]")  # not JupyterLab's
    assert its_keys.count() == 1
    desktop.evaluate("stop()")
    assert desktop.evaluate("listening()") == 0 and desktop.evaluate("saved") == []
