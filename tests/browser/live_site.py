"""What the tests of the live page share: a film for the camera, waiting, and Python's answer."""

from __future__ import annotations

import base64
import io
import time
from pathlib import Path
from typing import Any

import find_chromium
import numpy as np
import skimage.data
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page

from segcore.inference.segmenter import load

ROOT = Path(__file__).resolve().parents[2]
LIVE = ROOT / "_build" / "html" / "book" / "live"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FAKE = "--use-fake-device-for-media-stream"
SECONDS = 60
MASK = """() => {
  const { ids, width, height } = live.result;
  let text = "";
  for (let i = 0; i < ids.length; i += 8192) {
    text += String.fromCharCode(...ids.subarray(i, i + 8192));
  }
  return [width, height, btoa(text)];
}"""


def launch(browser: Browser, *flags: str) -> Browser:
    """Another Chromium beside `browser`, with `flags`: cameras are chosen when it starts."""
    return browser.browser_type.launch(executable_path=find_chromium.find(), args=[*FLAGS, *flags])


def photos() -> list[np.ndarray]:
    """The CC0 photos that the film shows, (480, 640, 3) uint8."""
    shown = [skimage.data.chelsea(), skimage.data.astronaut(), skimage.data.stereo_motorcycle()[0]]
    return [np.asarray(ImageOps.fit(Image.fromarray(photo), (640, 480))) for photo in shown]


def write_film(path: Path) -> Path:
    """A film in the raw format y4m: each photo for two seconds, over and over."""
    header = b"YUV4MPEG2 W640 H480 F1:1 Ip A1:1 C420jpeg\n"
    path.write_bytes(header + b"".join(2 * (b"FRAME\n" + planes(photo)) for photo in photos()))
    return path


def planes(photo: np.ndarray) -> bytes:
    """The bytes of one frame: brightness at full size, the two colours at half."""
    bright, blue, red = Image.fromarray(photo).convert("YCbCr").split()
    small = [plane.resize((320, 240), Image.Resampling.BOX) for plane in (blue, red)]
    return b"".join(plane.tobytes() for plane in (bright, *small))


def until(page: Page, expression: str, seconds: float = SECONDS) -> Any:
    """Waits until `expression` is true in `page` and returns it.

    Playwright's own wait_for_function evaluates text, which the page's policy forbids.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = page.evaluate(f"(() => {{ try {{ return {expression} }} catch {{}} }})()")
        except Exception as error:  # the page is loading itself anew, for its headers
            if "navigation" not in str(error):
                raise
            value = None
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {expression}; {page.inner_text('#status')}")


def settle(page: Page) -> None:
    """Waits for the theme's fade: a colour measured half-way is nobody's colour."""
    page.wait_for_function("document.getAnimations().every(a => a.playState !== 'running')")


def start(page: Page, url: str) -> None:
    """Opens the live page at `url` and waits until it can segment."""
    page.goto(url)
    until(page, "!document.querySelector('#camera').disabled")


def status_begins(words: str) -> str:
    """A condition for `until`: the status line begins with `words`."""
    return f"document.querySelector('#status').textContent.startsWith({words!r})"


def sample(page: Page, label: str) -> None:
    """Shows the sample called `label` and waits for its mask."""
    page.evaluate("live.result = null")
    page.get_by_role("group", name="Samples").get_by_role("button", name=label).click()
    until(page, f"live.result && {status_begins('Done')}")


def seen(page: Page) -> set[str]:
    """The classes listed beside the picture, without background."""
    names = page.locator("#classes li > span:nth-child(2)").all_inner_texts()
    return set(names) - {"background"}


def layer(page: Page, canvas: str) -> np.ndarray:
    """What the canvas with selector `canvas` holds, (H, W, 4) uint8."""
    uri = page.locator(canvas).evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA"))


def picture(page: Page) -> np.ndarray:
    """The photo on the stage, (H, W, 3) uint8."""
    return np.ascontiguousarray(layer(page, "#photo")[..., :3])


def mask(page: Page) -> np.ndarray:
    """The page's class ids, (height, width) uint8."""
    width, height, text = page.evaluate(MASK)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width)


def pythons_mask(photo: np.ndarray, precision: str) -> np.ndarray:
    """What Python's interpreter says of `photo` (H, W, 3) with the page's own file."""
    return load(LIVE / "models" / f"{precision}.tflite")(photo).mask
