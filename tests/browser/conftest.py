"""Fixtures for the tests in a real browser: Chromium, the served book, and axe."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import axe_playwright_python
import find_chromium
import live_site
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from widget_pages import DESKTOP_LIGHT, PHONE_DARK, watched

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
# Tokens of code with the same classes on and around them look alike: one of each is measured.
UNWRAP_TWINS = """() => {
  const seen = new Set();
  for (const token of document.querySelectorAll(".highlight span")) {
    let place = "";
    for (let node = token; node !== document.body; node = node.parentElement) {
      place += `${node.localName}.${node.className} `;
    }
    if (seen.has(place)) token.replaceWith(token.textContent);
    seen.add(place);
  }
}"""
RUN_AXE = """([where, only, without]) => axe.run(where ? { include: where } : document, {
  resultTypes: ["violations"],
  ...(only && { runOnly: { type: "rule", values: only } }),
  rules: Object.fromEntries((without || []).map((rule) => [rule, { enabled: false }])),
})"""
DRAWN = "!document.querySelector('.math') || document.querySelector('mjx-container')"
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium: $CHROMIUM, one on the PATH, or Playwright's own.

    Its camera shows a cat, an astronaut and a motorbike in turn, to a page that may use it.
    """
    path = find_chromium.find()
    if path is None:
        pytest.fail(find_chromium.HELP)
    film = live_site.write_film(tmp_path_factory.mktemp("film") / "film.y4m")
    flags = [*live_site.FLAGS, live_site.FAKE, f"--use-file-for-fake-video-capture={film}"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=flags)
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
        live_site.settle(page)
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


@pytest.fixture(params=[PHONE_DARK, DESKTOP_LIGHT], ids=["phone-dark", "desktop-light"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page for widgets, which must keep quiet (see `watched`); a test may ask for other sizes."""
    yield from watched(browser, *request.param)


@pytest.fixture
def desktop(browser: Browser) -> Iterator[Page]:
    """Like `page`, on a light desktop only."""
    yield from watched(browser, *DESKTOP_LIGHT)


@pytest.fixture(scope="session")
def axe() -> Callable[..., list[str]]:
    """`axe(page, within=None, only=None, without=None)` → a line for each violation found.

    `within` is a list of selectors, `only` and `without` are lists of axe-core's rules.
    """
    script = AXE.read_text(encoding="utf-8")

    def violations(page: Page, within: list[str] | None = None, **rules: list[str]) -> list[str]:
        if not page.evaluate("'axe' in window"):
            page.evaluate(script)
            page.evaluate(UNWRAP_TWINS)
        found = page.evaluate(RUN_AXE, [within, rules.get("only"), rules.get("without")])
        return [
            f"{rule['id']} ({rule['impact']}): {rule['help']}: {node['html'][:200]}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    return violations
