"""Every explorer: axe, sizes of targets, texts of strangers, no listener left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from explorer_samples import SAMPLES
from playwright.sync_api import Browser
from widget_pages import SIZES, drive, show, watched

everyone = pytest.mark.parametrize("name", SAMPLES)


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_axe_finds_nothing(
    browser: Browser, axe: Callable[..., list[str]], tmp_path: Path, width: int, scheme: str
) -> None:
    page = next(pages := watched(browser, width, scheme))
    show(page, tmp_path, *(sample(title=name) for name, sample in SAMPLES.items()))
    page.evaluate("document.querySelector('main').insertAdjacentHTML('afterbegin', '<h1>T</h1>')")
    assert axe(page) == []
    next(pages, None)


@pytest.mark.parametrize(("width", "least"), [(320, 44), (360, 44), (1280, 24)])
def test_targets_are_large_and_nothing_overflows(
    browser: Browser, tmp_path: Path, width: int, least: int
) -> None:
    page = next(pages := watched(browser, width, "light"))
    show(page, tmp_path, *(sample(title=name) for name, sample in SAMPLES.items()))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button, .switch, input[type=range]").all():
        box = target.bounding_box()
        assert box and box["height"] >= least and box["width"] >= least
    next(pages, None)


@everyone
def test_hostile_texts_stay_text(browser: Browser, tmp_path: Path, name: str) -> None:
    page = next(pages := watched(browser, 1280, "light"))
    bad = "</script><img src=x onerror=document.title='gone'>"
    show(page, tmp_path, SAMPLES[name](title=bad, alt=bad))
    assert page.title() == bad and page.locator("main img[src=x]").count() == 0
    assert page.locator("figcaption").inner_text() == bad
    next(pages, None)


@everyone
def test_notebook_can_take_it_away(browser: Browser, name: str) -> None:
    page = next(pages := watched(browser, 1280, "light"))
    drive(page, SAMPLES[name]())
    assert page.locator("[data-lm-suppress-shortcuts]").count() == 1  # its keys, not JupyterLab's
    page.evaluate("stop()")
    assert page.evaluate("listening()") == 0 and page.evaluate("saved") == []
    next(pages, None)
