"""What the tests of widgets share: pages that may ask nothing of a server, and a model to drive."""

import json
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page

from segcore.display.widget import Widget, script

PHONE_LIGHT, PHONE_DARK = (390, "light"), (390, "dark")
DESKTOP_LIGHT, DESKTOP_DARK = (1280, "light"), (1280, "dark")
SIZES = [PHONE_LIGHT, PHONE_DARK, DESKTOP_LIGHT, DESKTOP_DARK]
LOCAL = ("file:", "data:", "blob:", "about")
# The notebook's side: `render` with a model that records, as anywidget would call it.
DRIVE = """async ([source, state]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { default: widget } = await import(url);
  const listeners = {};
  window.saved = [];
  window.model = {
    get: (name) => state[name],
    set(name, value) {
      state[name] = value;
      for (const listener of listeners[`change:${name}`] ?? []) listener();
    },
    save_changes() { window.saved.push(structuredClone(state)); },
    on: (event, f) => (listeners[event] ??= new Set()).add(f),
    off: (event, f) => listeners[event].delete(f),
  };
  window.listening = () => Object.values(listeners).reduce((sum, set) => sum + set.size, 0);
  const el = document.body.appendChild(document.createElement("div"));
  window.stop = await widget.render({ model: window.model, el });
}"""


def watched(browser: Browser, width: int, scheme: str) -> Iterator[Page]:
    """A page that may neither log, nor fail, nor ask anything of a server."""
    phone = width < 500
    context = browser.new_context(viewport={"width": width, "height": 900}, has_touch=phone,
                                  is_mobile=phone, color_scheme=scheme)  # type: ignore[arg-type]  # fmt: skip
    page, trouble = context.new_page(), []
    page.set_default_timeout(10_000)
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda r: trouble.append(r.url) if r.url[:5] not in LOCAL else None)
    yield page
    context.close()
    assert trouble == []


def show(page: Page, tmp_path: Path, *widgets: Widget) -> None:
    path = widgets[0].save(tmp_path / "page.html")
    more = "".join(widget.to_html() for widget in widgets[1:])
    path.write_text(path.read_text("utf-8").replace("</main>", more + "</main>"), "utf-8")
    page.goto(path.as_uri())
    for nth in range(len(widgets)):
        page.locator("[data-ready]").nth(nth).wait_for()


def drive(page: Page, widget: Widget) -> None:
    page.goto("about:blank")
    state = {key: getattr(widget, key) for key in ("_scene", "_sources", *widget._state)}
    page.evaluate(DRIVE, [script(*widget._scripts), json.loads(json.dumps(state))])
