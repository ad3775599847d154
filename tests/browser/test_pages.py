"""Every page of the built book in a real browser: complete, offline, readable for everybody."""

from pathlib import Path

import live_site
import pytest

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
PAGES = sorted(
    page.relative_to(HTML).as_posix()
    for folder in ("book", "chapters")
    for page in (HTML / folder).glob("*.html")
)
DESKTOP = {"width": 1280, "height": 900}
BARS = [".bd-header-article", ".bd-sidebar-primary", ".bd-sidebar-secondary"]
CHAPTERS = [page for page in PAGES if page.startswith("chapters/")]


def test_there_are_pages():
    assert "book/intro.html" in PAGES
    assert len(CHAPTERS) == len(list((ROOT / "chapters").glob("*.md")))


@pytest.mark.parametrize("name", [*PAGES, "search.html?q=void"])
def test_page(open_page, book_url, axe, name):
    """Complete, as wide as the screen and readable for everybody, in both themes at both widths.

    Between light and dark only colours change; the desktop shows bars that a phone hides. (From the
    desktop to the phone, the theme would make what scrolls focusable only after a while.)
    """
    page = open_page(book_url + name, size="phone")
    assert (page.foreign, page.complaints) == ([], [])  # axe itself asks for style sheets again
    fits(page, "light")
    found = axe(page)
    if name in CHAPTERS:
        solutions_unfold(page)
    dress(page, "dark")
    fits(page, "dark")
    found += axe(page, only=["color-contrast"])
    page.set_viewport_size(DESKTOP)
    fits(page, "dark")
    found += axe(page, without=["color-contrast"])
    found += axe(page, BARS, only=["color-contrast"])
    dress(page, "light")
    fits(page, "light")
    found += axe(page, BARS, only=["color-contrast"])
    assert found == []
    assert page.foreign == []


def dress(page, theme):
    page.emulate_media(color_scheme=theme)
    page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
    live_site.settle(page)


def fits(page, theme):
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    hidden = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert hidden <= 0, f"{hidden} pixels stand out to the right"


def solutions_unfold(page):
    folds = page.locator("details").filter(has_text="Show the solution")
    assert folds.count() >= 2
    assert folds.first.get_attribute("open") is None
    folds.first.locator("summary").click()
    assert folds.first.locator("pre").first.is_visible()


def test_front_door_leads_in(open_page, book_url):
    page = open_page(book_url)
    page.wait_for_url("**/book/intro.html")


def test_search_finds_a_term(open_page, book_url):
    page = open_page(book_url + "search.html?q=void")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() >= 2
    assert page.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_theme_button_changes_the_theme(open_page, book_url, theme):
    page = open_page(book_url + "book/setup.html", theme=theme)
    other = {"light": "dark", "dark": "light"}[theme]
    button = page.locator("button.theme-switch-button:visible").first
    for _ in range(3):  # the button walks through auto, light and dark
        button.click()
        if page.evaluate("document.documentElement.dataset.theme") == other:
            return
    pytest.fail(f"three clicks did not reach the {other} theme")


@pytest.mark.parametrize("name", CHAPTERS)
def test_mathematics_is_drawn_without_a_network(open_page, name):
    page = open_page((HTML / name).as_uri())  # as from a USB stick
    spans = page.locator("span.math, div.math")
    for index in range(spans.count()):
        assert spans.nth(index).locator("mjx-container").count() >= 1, spans.nth(index).inner_text()
    assert page.locator("mjx-merror").count() == 0
    assert page.foreign == []


def test_some_page_has_mathematics():
    assert any('class="math' in (HTML / name).read_text() for name in CHAPTERS)


def test_landing_page_works_from_a_usb_stick(open_page):
    page = open_page((HTML / "book" / "intro.html").as_uri())
    assert page.foreign == []
    assert page.complaints == []
    assert page.locator("[data-segcore] input[type=range]").first.is_visible()
