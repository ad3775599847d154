"""The live page's arithmetic against Python's, its looks, and its manners."""

import base64
import time

import live_site
import numpy as np
import pytest
from live_site import sample, status_begins, until

from segcore.data.images import letterbox, unletterbox

DARK = "document.documentElement.classList.contains('dark')"
SHAPES = [(480, 640), (640, 480), (300, 451), (257, 257), (90, 1280), (100, 60), (1, 3), (700, 300)]
BYTES = "(text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))"
LETTERBOX = f"""async ([text, width, height, size]) => {{
  const {{ letterbox }} = await import("./preprocess.js");
  const {{ box, content }} = letterbox(({BYTES})(text), width, height, size);
  let out = "";
  for (let i = 0; i < box.length; i += 8192) {{
    out += String.fromCharCode(...box.subarray(i, i + 8192));
  }}
  return [btoa(out), content];
}}"""
SIGNED = """async (bytes) => {
  const { signed } = await import("./preprocess.js");
  return Array.from(signed(Uint8Array.from(bytes)));
}"""
ENLARGE = """async ([scores, size, classes, content, width, height]) => {
  const mask = await import("./mask.js");
  const values = Float32Array.from(scores);
  const large = mask.enlargedWinners(values, size, classes, content, width, height);
  const small = mask.winners(values, size, classes, content);
  return [Array.from(large), Array.from(small)];
}"""
REPEAT = """async ([ids, size, content, width, height]) => {
  const { repeated } = await import("./mask.js");
  return Array.from(repeated(Uint8Array.from(ids), size, content, width, height));
}"""
QUANTILES = """async (values) => {
  const { Meter, quantile } = await import("./meter.js");
  const meter = new Meter();
  values.forEach((network, i) => meter.add({ preprocess: 1, network, mask: 2 }, 100 * i));
  const [p50, p90] = [0.5, 0.9].map((p) => quantile(values, p));
  return [p50, p90, meter.summary().total.p90, meter.rate(), meter.count];
}"""


@pytest.fixture(scope="module")
def url(book_url):
    return book_url + "book/live/"


@pytest.fixture(scope="module")
def page(browser, url):
    context = browser.new_context()
    page = context.new_page()
    live_site.start(page, url)
    yield page
    context.close()


@pytest.mark.parametrize("shape", SHAPES)
def test_letterbox_is_pillows_bit_for_bit(page, shape):
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    rgba = np.dstack([photo, np.full(shape, 255, np.uint8)])
    text = base64.b64encode(rgba.tobytes()).decode()
    box, content = page.evaluate(LETTERBOX, [text, shape[1], shape[0], 257])
    expected, (h, w) = letterbox(photo, 257)
    assert content == [h, w]
    assert np.array_equal(np.frombuffer(base64.b64decode(box), np.uint8), expected.ravel())


def test_bytes_become_minus_one_to_one_as_in_python(page):
    every = np.arange(256, dtype=np.uint8)
    wanted = every / np.float32(127.5) - np.float32(1)
    assert np.array_equal(np.float32(page.evaluate(SIGNED, every.tolist())), wanted)


@pytest.mark.parametrize(
    ("content", "shape"), [((33, 25), (66, 51)), ((20, 33), (21, 33)), ((33, 33), (7, 5))]
)
def test_scores_are_enlarged_as_in_python(page, content, shape):
    scores = np.random.default_rng(2).normal(size=(33, 33, 21)).astype(np.float32)
    large, small = page.evaluate(
        ENLARGE, [scores.ravel().tolist(), 33, 21, list(content), shape[1], shape[0]]
    )
    expected = unletterbox(scores, content, shape)
    assert (np.array(large).reshape(shape) == expected).mean() > 0.999
    h, w = content
    assert np.array_equal(np.array(small).reshape(h, w), scores[:h, :w].argmax(-1))


def test_class_ids_are_repeated_as_in_python(page):
    ids = np.random.default_rng(3).integers(0, 21, (33, 33))
    large = page.evaluate(REPEAT, [ids.ravel().tolist(), 33, [33, 25], 51, 66])
    assert np.array_equal(np.array(large).reshape(66, 51), unletterbox(ids, (33, 25), (66, 51)))


def test_quantiles_are_those_of_the_nearest_rank(page):
    values = np.random.default_rng(4).permutation(np.arange(1, 101)).astype(float).tolist()
    p50, p90, total, rate, count = page.evaluate(QUANTILES, values)
    assert (p50, p90, count) == (50, 90, 60)
    assert rate == pytest.approx(10)
    assert total == np.sort(values[-60:])[53] + 3


def test_moving_mask_is_close_to_the_exact_one(page):
    for label in ("Cat", "Astronaut", "Motorbike"):
        sample(page, label)
        exact = live_site.mask(page)
        page.evaluate("live.measure(1, () => 0)")
        coarse = live_site.mask(page)
        h, w = coarse.shape
        H, W = exact.shape
        rows, columns = (np.arange(H) * h // H)[:, None], np.arange(W) * w // W
        assert (coarse[rows, columns] == exact).mean() > 0.98


@pytest.fixture(scope="module")
def in_themes(axe):
    """`in_themes(page)`: axe finds nothing in the light, nor anything of colours in the dark."""

    def look(page):
        assert axe(page) == []
        page.emulate_media(color_scheme="dark")
        until(page, DARK)
        live_site.settle(page)
        assert axe(page, only=["color-contrast"]) == []
        page.emulate_media(color_scheme="light")
        until(page, f"!{DARK}")

    return look


@pytest.mark.parametrize("width", [320, 390, 844, 1280])
def test_looks(browser, url, in_themes, width):
    height = {320: 640, 390: 844, 844: 390, 1280: 900}[width]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="light", bypass_csp=True
    )
    page = context.new_page()
    live_site.start(page, url)
    in_themes(page)
    sample(page, "Motorbike")
    box = page.locator("#stage").bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= height  # in sight, on its side too
    page.get_by_label("compare").check(force=True)
    until(page, "live.result.difference !== null")
    for details in page.locator("details summary").all():
        details.click()
    in_themes(page)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    box = page.locator("#stage").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(741 / 500, rel=0.01)
    assert box["height"] < 0.75 * height
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"})
    until(page, "document.querySelector('#status.bad')")
    in_themes(page)
    small = [
        name
        for button in page.locator("button:visible, fieldset label:visible").all()
        if min((button.bounding_box() or {}).get(side, 0) for side in ("width", "height")) < 44
        for name in [button.inner_text()]
    ]
    assert small == []
    context.close()


def test_keyboard_reaches_everything(page, url):
    live_site.start(page, url)
    reached = []
    page.evaluate("document.activeElement.blur()")
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.innerText")
        )
    for wanted in ("camera", "open", "Cat", "Coffee", "opacity"):
        assert wanted in reached
    page.get_by_role("button", name="Cat").focus()
    page.keyboard.press("Enter")
    until(page, f"live.result && {status_begins('Done')}")
    page.focus("#opacity")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#opacity", "aria-valuetext") == "61 %"
    assert page.evaluate("document.querySelector('#mask').style.opacity") == "0.61"
    page.get_by_label("int8", exact=True).focus()
    page.keyboard.press("ArrowRight")
    until(page, status_begins("The float16 network"))


def test_screen_reader_hears_classes_and_is_left_in_peace(page, url):
    live_site.start(page, url)
    sample(page, "Cat")
    assert page.inner_text("#spoken").startswith("Seen: cat ")
    assert "cat" in page.get_attribute("#stage", "aria-label")
    code = """async (names) => {
      const { speakClasses } = await import("./panel.js");
      const classes = [{ name: "background" }, { name: "one" }, { name: "two" }];
      const line = document.querySelector("#spoken");
      const said = [];
      for (let second = 0; second < 12; second++) {
        const found = [{ id: 1 + second % 2, share: 0.5 }, { id: 0, share: 0.5 }];
        speakClasses(found, classes, { describe() {} }, 1e9 + 1000 * second);
        if (said.at(-1) !== line.textContent) said.push(line.textContent);
      }
      return said;
    }"""
    said = page.evaluate(code)
    assert 2 <= len(said) <= 4
    assert set(said) == {"Seen: one 50.0 %.", "Seen: two 50.0 %."}


def test_nothing_blocks_the_page_while_the_network_works(page, url):
    live_site.start(page, url)
    sample(page, "Cat")
    code = """async () => {
      let [longest, last, going] = [0, performance.now(), true];
      const tick = () => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        if (going) setTimeout(tick, 0);
      };
      tick();
      await live.measure(3, () => 0);
      going = false;
      return [longest, live.meter.summary().network.p50];
    }"""
    for _ in range(3):  # a busy machine may stumble once
        longest, network = page.evaluate(code)
        if longest < max(network, 50):
            return
        time.sleep(1)
    pytest.fail(f"the page stood still for {longest:.0f} ms")
