"""Diagrams in Chromium: each page's own word on light and dark, words in their boxes, axe."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page

from segcore.display import diagrams, number_lines
from segcore.display.svg import DARK, LIGHT

DRAWN = [
    diagrams.separable_convolution(), diagrams.inverted_residual(), diagrams.aspp(),
    number_lines.affine_quantisation(), number_lines.straight_through(),
    diagrams.course_path([("From pixels to classes", "masks")], 1),
]  # fmt: skip
PAGE = (
    '<!doctype html><html lang="en" {html}><head><title>Diagrams</title></head>'
    '<body {body} style="margin:10px"><main><h1>Diagrams</h1>{svg}</main></body></html>'
)
OUTSIDE = """() => [...document.querySelectorAll("svg text")].filter((text) => {
  const rect = text.closest("g:not(.segd)")?.querySelector("rect")
    ?? text.closest("svg").querySelector(".card");
  const [a, b] = [text.getBoundingClientRect(), rect.getBoundingClientRect()];
  return a.left < b.left + 1 || a.right > b.right - 1 || a.top < b.top || a.bottom > b.bottom;
}).map((text) => text.textContent)"""
SMALLEST = """() => Math.min(...[...document.querySelectorAll("svg text")].map((text) =>
  parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a))"""
SURFACE = "getComputedStyle(document.querySelector('.card')).fill"


def page_of(
    browser: Browser, scheme: str, width: int = 800, html: str = "", body: str = ""
) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 700}, color_scheme=scheme)  # type: ignore[arg-type]
    svg = "".join(diagram._repr_html_() for diagram in DRAWN)
    page.set_content(PAGE.format(html=html, body=body, svg=svg))
    return page


def rgb(color: str) -> str:
    return f"rgb({', '.join(str(byte) for byte in bytes.fromhex(color[1:]))})"


@pytest.mark.parametrize(
    ("scheme", "html", "body", "wanted"),
    [
        ("light", "", "", LIGHT),
        ("dark", "", "", DARK),
        ("dark", 'data-theme="light"', "", LIGHT),  # the book
        ("light", 'data-theme="dark"', "", DARK),
        ("light", 'theme="dark"', "", DARK),  # Colab
        ("dark", "", 'data-jp-theme-light="true"', LIGHT),  # JupyterLab
        ("light", "", 'data-jp-theme-light="false"', DARK),
        ("dark", "", 'data-vscode-theme-kind="vscode-light"', LIGHT),
        ("light", "", 'data-vscode-theme-kind="vscode-high-contrast"', DARK),
    ],
)
def test_a_diagram_is_as_dark_as_its_page(browser, scheme, html, body, wanted):
    page = page_of(browser, scheme, html=html, body=body)
    assert page.evaluate(SURFACE) == rgb(wanted["surface"])
    ink = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    assert ink == rgb(wanted["ink"])
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800])
def test_words_fit_and_can_be_read(
    browser: Browser, axe: Callable[..., list[str]], width: int, scheme: str
) -> None:
    page = page_of(browser, scheme, width)
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(SMALLEST) >= 11
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(page) == []
    page.close()
