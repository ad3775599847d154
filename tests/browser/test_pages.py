"""Every page of the built book in a real browser: complete, offline, readable for everybody."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
PAGES = sorted(
    page.relative_to(HTML).as_posix()
    for folder in ("book", "chapters")
    for page in (HTML / folder).glob("*.html")
)
CHAPTERS = [page for page in PAGES if page.startswith("chapters/")]


def test_there_are_pages():
    assert "book/intro.html" in PAGES
    assert len(CHAPTERS) == len(list((ROOT / "chapters").glob("*.md")))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("name", [*PAGES, "search.html?q=void"])
def test_page(open_page, book_url, axe, name, size, theme):
    page = open_page(book_url + name, size=size, theme=theme)
    assert page.foreign == []
    assert page.complaints == []
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    hidden = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert hidden <= 0, f"{hidden} pixels stand out to the right"
    assert axe(page) == []


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
def test_chapter_opens_in_colab(open_page, book_url, name):
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    notebook = name.replace(".html", ".ipynb")
    page = open_page(book_url + name)
    links = page.locator("a[href*='colab.research.google.com']")
    wanted = address.replace("https://github.com/", "https://colab.research.google.com/github/")
    assert links.first.get_attribute("href") == f"{wanted}/blob/main/{notebook}"
    edit = page.locator("a[href*='/edit/']").first.get_attribute("href")
    assert edit == f"{address}/edit/main/{notebook.replace('.ipynb', '.md')}"


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


def test_solutions_are_folded_and_open(open_page, book_url):
    for name in CHAPTERS:
        page = open_page(book_url + name)
        folds = page.locator("details").filter(has_text="Show the solution")
        assert folds.count() >= 2
        assert folds.first.get_attribute("open") is None
        folds.first.locator("summary").click()
        assert folds.first.locator("pre").first.is_visible()
