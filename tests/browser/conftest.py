"""Fixtures for the tests in a real browser: Chromium, the served book, and axe."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import axe_playwright_python
import find_chromium
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RUN_AXE = "(where) => axe.run(where || document, {resultTypes: ['violations']})"
DRAWN = "!document.querySelector('.math') || document.querySelector('mjx-container')"
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium: $CHROMIUM, one on the PATH, or Playwright's own."""
    path = find_chromium.find()
    if path is None:
        pytest.fail(find_chromium.HELP)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def book_url() -> Iterator[str]:
    """The built book, served on 127.0.0.1 at a free port; ends in a slash."""
    if not (HTML / "book" / "intro.html").exists():
        pytest.fail("the book is not built; run `make book` first")
    handler = partial(QuietHandler, directory=str(HTML))
    with QuietServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a line on stderr for each."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    """Does not mind a browser that leaves before the answer is complete."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(url, size="desktop", theme="light")` → a page that has settled.

    `page.foreign` lists requests to anywhere but this machine, `page.complaints` the errors and
    warnings of its console.
    """
    contexts: list[BrowserContext] = []

    def opened(url: str, size: str = "desktop", theme: str = "light", **options: Any) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.foreign, page.complaints = [], []  # type: ignore[attr-defined]
        page.on("request", lambda request: note_request(page, request.url))
        page.on("console", lambda said: note_console(page, said.type, said.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(url)
        # Formulas are drawn after the load event; a page without any need not wait.
        page.wait_for_function(DRAWN)
        # A colour measured half-way through the theme's fade is nobody's colour.
        page.wait_for_function("document.getAnimations().every(a => a.playState !== 'running')")
        return page

    yield opened
    for context in contexts:
        context.close()


def note_request(page: Any, url: str) -> None:
    if not url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:", "about:")):
        page.foreign.append(url)


def note_console(page: Any, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        page.complaints.append(text)


@pytest.fixture(scope="session")
def axe() -> Callable[..., list[str]]:
    """`axe(page, within=None)` → a line for each accessibility violation that axe-core finds."""
    script = AXE.read_text(encoding="utf-8")

    def violations(page: Page, within: str | None = None) -> list[str]:
        page.evaluate(script)
        found = page.evaluate(RUN_AXE, within)
        return [
            f"{rule['id']} ({rule['impact']}): {rule['help']}: {node['html'][:200]}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    return violations
