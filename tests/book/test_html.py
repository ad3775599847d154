"""The built pages as files: complete, self-contained, and with links that lead somewhere."""

import functools
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
PAGES = sorted(
    page.relative_to(HTML).as_posix()
    for folder in ("book", "chapters")
    for page in (HTML / folder).glob("*.html")
)
EVERY = [*PAGES, "index.html", "search.html"]
LOADING = [
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("link", "href"),
]


@cache
def soup(name: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser")


def test_all_pages_are_built():
    wanted = {path.stem for path in [*ROOT.glob("book/*.md"), *ROOT.glob("chapters/*.md")]}
    assert {Path(page).stem for page in PAGES} == wanted


def test_the_build_gave_no_warning():
    log = (ROOT / "_build" / "build.log").read_text(encoding="utf-8")
    assert not re.search(r"WARNING|ERROR", log), log[-2000:]


@pytest.mark.parametrize("name", EVERY)
def test_page_says_what_it_is(name):
    page = soup(name)
    assert page.html["lang"] == "en"
    assert len(page.title.get_text(strip=True)) >= 5
    description = page.find("meta", attrs={"name": "description"})
    assert 25 <= len(description["content"]) <= 160
    assert len((page.find("article") or page.find("main")).find_all("h1")) == 1


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_has_words(name):
    page = soup(name)
    for image in page.find_all("img"):
        assert image.has_attr("alt"), str(image)[:200]
    for image in page.find("article").find_all("img"):
        together = image.find_parent("figure") or image.find_parent("p") or image
        words = [other.get("alt", "") for other in [image, *together.find_all("img")]]
        assert any(word.strip() for word in words), str(image)[:200]


@pytest.mark.parametrize("name", EVERY)
def test_page_loads_nothing_from_elsewhere(name):
    page = soup(name)
    for tag, attribute in LOADING:
        for element in page.find_all(tag, attrs={attribute: True}):
            assert not re.match(r"(https?:)?//", element[attribute]), str(element)[:200]
    for style in page.find_all("link", rel="stylesheet"):
        file = (HTML / name).parent / urlsplit(style["href"]).path
        text = file.resolve().read_text(encoding="utf-8")
        assert not re.search(r"(url\(\s*['\"]?|@import\s+['\"])(https?:)?//", text), style["href"]


@functools.cache
def ids(name):
    """All that a link to page `name` can lead to."""
    return {tag["id"] for tag in soup(name).find_all(id=True)}


@pytest.mark.parametrize("name", EVERY)
def test_internal_links_lead_somewhere(name):
    for link in soup(name).find_all("a", href=True):
        target = urlsplit(link["href"])
        if target.scheme or target.netloc:
            continue
        path = (HTML / name).parent / unquote(target.path) if target.path else HTML / name
        path = path.resolve()
        assert path.is_file(), link["href"]
        if target.fragment and path.suffix == ".html":
            there = ids(path.relative_to(HTML.resolve()).as_posix())
            assert unquote(target.fragment) in there, link["href"]


@pytest.mark.parametrize("name", [page for page in PAGES if page.startswith("chapters/")])
def test_chapter_opens_in_colab_and_is_edited_as_markdown(name):
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    links = [link["href"] for link in soup(name).find_all("a", href=True)]
    colab = address.replace("https://github.com/", "https://colab.research.google.com/github/")
    chapter = name.removesuffix(".html")
    opened = next(link for link in links if "colab.research.google.com" in link)
    assert opened == f"{colab}/blob/main/{chapter}.ipynb"
    edited = next(link for link in links if "/edit/" in link)
    assert edited == f"{address}/edit/main/{chapter}.md"


def test_no_key_is_left_in_a_page():
    for name in PAGES:
        text = soup(name).find("article").get_text()
        assert "{{" not in text.replace("{{not.a_key}}", "")
        assert "[[" not in text or "[[api" not in text


def test_search_knows_the_words_of_the_pages():
    index = (HTML / "searchindex.js").read_text(encoding="utf-8")
    for word in ("void", "palett", "baselin"):
        assert f'"{word}"' in index or f"{word}:" in index
