"""MaskOverlay and Frames under the hand: pixels compared with NumPy, keyboard, touch, axe."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page
from skimage import data
from widget_pages import DESKTOP_LIGHT, SIZES, drive, show

from segcore.data import voc
from segcore.display.frames import Frames
from segcore.display.overlay import MaskOverlay

PHOTO = np.asarray(Image.fromarray(data.chelsea()).resize((513, 341)))
MASK = np.zeros((341, 513), np.uint8)
MASK[40:300, 60:300] = 8
MASK[40:300, 300:306] = 255
MASK[200:320, 400:500] = 18
OTHER = MASK.copy()
OTHER[150:300, 60:300] = 12
CAT, DOG_IN_OTHER, SOFA, NOTHING, VOID = (100, 90), (220, 90), (250, 450), (20, 20), (170, 303)


def decode(uri: str) -> np.ndarray:
    picture = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
    return np.asarray(picture.convert("RGB")).astype(float)


def canvas_pixels(page: Page, nth: int = 0) -> np.ndarray:
    """What the canvas holds, (341, 513, 3) float, before the browser scales it to the page."""
    return decode(page.locator("canvas").nth(nth).evaluate("c => c.toDataURL('image/png')"))


def blend(overlay: MaskOverlay, at: tuple[int, int], number: int, opacity: float) -> np.ndarray:
    """The oracle: the photo as it travels, mixed with VOC's colour of the class."""
    return (1 - opacity) * decode(overlay._sources[0])[at] + opacity * voc.COLORS[number]


def near(found: np.ndarray, wanted: np.ndarray, tolerance: float = 3) -> bool:
    return bool(np.abs(found - wanted).max() <= tolerance)


def overlay_of(**extra: object) -> MaskOverlay:
    """Without a title the picture starts on a whole pixel of the screen."""
    return MaskOverlay(PHOTO, MASK, alt="A tabby cat", **extra)  # type: ignore[arg-type]


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_opacity_slider_blends_as_numpy_does(page: Page, tmp_path: Path) -> None:
    overlay = overlay_of()
    show(page, tmp_path, overlay)
    for opacity in (0.6, 0.0, 0.25, 1.0):
        page.get_by_label("Opacity").fill(str(opacity))
        found = canvas_pixels(page)
        assert near(found[CAT], blend(overlay, CAT, 8, opacity))
        assert near(found[SOFA], blend(overlay, SOFA, 18, opacity))
        assert near(found[NOTHING], blend(overlay, NOTHING, 0, 0.0))


def test_the_screen_shows_what_the_canvas_holds(desktop: Page, tmp_path: Path) -> None:
    overlay = overlay_of()
    show(desktop, tmp_path, overlay)
    desktop.get_by_label("Opacity").fill("0.5")
    shot = np.asarray(Image.open(io.BytesIO(desktop.locator("canvas").screenshot())).convert("RGB"))
    assert shot.shape == (341, 513, 3)
    assert near(shot[CAT], blend(overlay, CAT, 8, 0.5))
    assert near(shot[NOTHING], blend(overlay, NOTHING, 0, 0.0))


def test_without_javascript_the_still_picture_stands(browser: Browser, tmp_path: Path) -> None:
    overlay = overlay_of(compare=OTHER)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(overlay.save(tmp_path / "page.html").as_uri())
    picture = page.get_by_role("img", name="A tabby cat")
    shot = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB"))
    assert near(shot[CAT], blend(overlay, CAT, 8, 0.6))
    assert near(shot[NOTHING], blend(overlay, NOTHING, 0, 0.0))
    assert "cat 35.7 %" in page.locator("figcaption").first.inner_text()
    context.close()


def test_a_chip_hides_its_class_and_no_other(page: Page, tmp_path: Path) -> None:
    overlay = overlay_of()
    show(page, tmp_path, overlay)
    chip = page.get_by_role("button", name="cat")
    assert chip.inner_text().split() == ["cat", f"{100 * (MASK == 8).mean():.1f}", "%"]
    chip.click()
    page.mouse.move(0, 0)
    found = canvas_pixels(page)
    assert chip.get_attribute("aria-pressed") == "false"
    assert near(found[CAT], blend(overlay, CAT, 0, 0.0))
    assert near(found[SOFA], blend(overlay, SOFA, 18, 0.6))
    page.get_by_role("button", name="background").click()
    page.mouse.move(0, 0)
    assert near(canvas_pixels(page)[NOTHING], blend(overlay, NOTHING, 0, 0.6))


def test_outlines_leave_the_inside_bare(desktop: Page, tmp_path: Path) -> None:
    overlay = overlay_of()
    show(desktop, tmp_path, overlay)
    desktop.get_by_label("Outlines only").check()
    found, photo = canvas_pixels(desktop), decode(overlay._sources[0])
    assert near(found[CAT], photo[CAT]) and near(found[NOTHING], photo[NOTHING])
    assert near(found[260, 401], voc.COLORS[18].astype(float))  # one in from the sofa's left side
    assert near(found[260, 400], np.full(3, 255.0))  # the hairline around it
    assert desktop.get_by_label("Opacity").is_disabled()


def test_void_is_hatched(desktop: Page, tmp_path: Path) -> None:
    overlay = overlay_of(opacity=1.0)
    show(desktop, tmp_path, overlay)
    column = canvas_pixels(desktop)[50:290, VOID[1]]
    solid = np.abs(column - voc.palette()[255]).max(axis=1) <= 3
    assert 0.4 < solid.mean() < 0.6


def test_hovering_a_chip_lets_its_class_stand_out(desktop: Page, tmp_path: Path) -> None:
    overlay = overlay_of()
    show(desktop, tmp_path, overlay)
    desktop.get_by_role("button", name="sofa").hover()
    found = canvas_pixels(desktop)
    assert near(found[SOFA], blend(overlay, SOFA, 18, 0.6))
    assert near(found[CAT], blend(overlay, CAT, 8, 0.12))


def test_arrow_keys_name_the_class_under_the_crosshair(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, overlay_of())
    readout = page.locator("[aria-live]")
    assert "arrow keys" in readout.inner_text()
    page.locator("canvas").focus()
    x, y = 513 // 2, 341 // 2
    for key, dx, dy in [("ArrowRight", 10, 0)] * 5 + [("Shift+ArrowLeft", -1, 0)] * 3 + [
        ("ArrowDown", 0, 10), ("ArrowUp", 0, -10), ("ArrowRight", 10, 0)]:  # fmt: skip
        page.keyboard.press(key)
        x, y = x + dx, y + dy
        name = {255: "void", 0: "background", 8: "cat"}[int(MASK[y, x])]
        assert readout.inner_text() == f"{name} at x {x}, y {y}"
    assert page.locator(".cross").is_visible() or page.locator(".cross").evaluate("c => !c.hidden")
    page.keyboard.press("Escape")
    assert "arrow keys" in readout.inner_text()


def test_mouse_names_and_touch_picks(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, overlay_of(compare=OTHER, labels=("label", "guess")))
    box = page.locator("canvas").bounding_box()
    assert box
    x = box["x"] + (DOG_IN_OTHER[1] + 0.5) / 513 * box["width"]
    y = box["y"] + (DOG_IN_OTHER[0] + 0.5) / 341 * box["height"]
    if page.evaluate("matchMedia('(pointer: coarse)').matches"):
        page.touchscreen.tap(x, y)
    else:
        page.mouse.move(x, y)
    assert page.locator("[aria-live]").inner_text().startswith("label: cat · guess: dog at x 9")


def test_wipe_by_slider_and_by_hand(page: Page, tmp_path: Path) -> None:
    overlay = overlay_of(compare=OTHER)
    show(page, tmp_path, overlay)
    page.get_by_label("Wipe").fill("0.1")  # column 51: right of it, the other mask
    assert near(canvas_pixels(page)[DOG_IN_OTHER], blend(overlay, DOG_IN_OTHER, 12, 0.6))
    box = page.locator("canvas").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.1 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], middle, steps=4)
    page.mouse.up()
    assert float(page.get_by_label("Wipe").input_value()) == pytest.approx(0.7, abs=0.01)
    assert near(canvas_pixels(page)[DOG_IN_OTHER], blend(overlay, DOG_IN_OTHER, 8, 0.6))


def test_safe_palette_changes_the_ink(desktop: Page, tmp_path: Path) -> None:
    overlay = overlay_of(opacity=1.0)
    show(desktop, tmp_path, overlay)
    desktop.get_by_label("Colour-blind-safe").check()
    rows = {row["id"]: row for row in overlay._scene["classes"]}
    found = canvas_pixels(desktop)
    for at, number in [(CAT, 8), (SOFA, 18)]:
        ink = np.array(list(bytes.fromhex(rows[number]["safe"][1:])))
        assert near(found[at], ink) and not near(ink, voc.COLORS[number].astype(float), 40)


@pytest.mark.parametrize(("said", "dark"), [
    ("document.documentElement.dataset.theme = 'dark'", True),  # sphinx-book-theme
    ("document.documentElement.setAttribute('theme', 'dark')", True),  # Colab
    ("document.body.dataset.jpThemeLight = 'false'", True),  # JupyterLab
    ("document.body.dataset.vscodeThemeKind = 'vscode-dark'", True),
    ("document.body.dataset.vscodeThemeKind = 'vscode-high-contrast-light'", False),
])  # fmt: skip
def test_dark_mode_follows_the_host_live(
    desktop: Page, tmp_path: Path, said: str, dark: bool
) -> None:
    show(desktop, tmp_path, overlay_of())
    card = desktop.locator(".card")
    light = card.evaluate("c => getComputedStyle(c).backgroundColor")
    assert light == "rgb(255, 255, 255)"
    desktop.evaluate(f"{{ {said} }}")
    assert ("dark" in (card.get_attribute("class") or "").split()) is dark
    desktop.emulate_media(color_scheme="dark")  # what the page says goes before the system
    assert ("dark" in (card.get_attribute("class") or "").split()) is dark


def test_the_page_cannot_break_it_nor_it_the_page(desktop: Page, tmp_path: Path) -> None:
    show(desktop, tmp_path, overlay_of())
    before = desktop.locator(".card").evaluate("c => c.getBoundingClientRect().height")
    desktop.add_style_tag(
        content="body * { font: 40px/3 serif !important; letter-spacing: 9px !important } "
        "button, canvas, p, label { display: none !important; margin: 90px }"
    )
    assert desktop.locator(".card").evaluate("c => c.getBoundingClientRect().height") == before
    assert desktop.evaluate("document.styleSheets.length + document.adoptedStyleSheets.length") == 2


@pytest.mark.parametrize("page", SIZES, indirect=True)
def test_axe_finds_nothing(page: Page, axe: Callable[..., list[str]], tmp_path: Path) -> None:
    frames = Frames([PHOTO, 255 - PHOTO], ["plain", "negative"], alt="A cat,", title="Two")
    show(page, tmp_path, overlay_of(compare=OTHER), frames)
    page.evaluate("document.querySelector('main').insertAdjacentHTML('afterbegin', '<h1>T</h1>')")
    assert axe(page) == []


@pytest.mark.parametrize(
    ("page", "least"),
    [((320, "light"), 44), ((390, "light"), 44), (DESKTOP_LIGHT, 24)],
    indirect=["page"],
)
def test_targets_are_large_and_nothing_overflows(page: Page, tmp_path: Path, least: int) -> None:
    frames = Frames([PHOTO, PHOTO], ["one", "two"], alt="A cat,")
    show(page, tmp_path, overlay_of(compare=OTHER, labels=("label", "prediction")), frames)
    width = page.viewport_size["width"]  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button, .switch, input[type=range]").all():
        box = target.bounding_box()
        assert box and box["height"] >= least and box["width"] >= least


def test_many_on_a_page_keep_apart(desktop: Page, tmp_path: Path) -> None:
    first, second = overlay_of(), overlay_of(compare=OTHER)
    show(desktop, tmp_path, first, second, first)  # the same one twice, too
    desktop.get_by_label("Opacity").nth(2).fill("0")
    assert near(canvas_pixels(desktop, 0)[CAT], blend(first, CAT, 8, 0.6))
    assert near(canvas_pixels(desktop, 1)[CAT], blend(second, CAT, 8, 0.6))
    assert near(canvas_pixels(desktop, 2)[CAT], blend(first, CAT, 8, 0.0))


def test_hostile_texts_stay_text(desktop: Page, tmp_path: Path) -> None:
    bad = "</script><img src=x onerror=document.title='gone'>"
    names = ["background", *[bad] * 20]
    overlay = MaskOverlay(PHOTO, MASK, names, title=bad, alt=bad, labels=(bad, bad), compare=OTHER)
    show(desktop, tmp_path, overlay, Frames([PHOTO], [bad], title=bad, alt=bad))
    desktop.locator("canvas").click(position={"x": 90, "y": 100})
    assert desktop.title() == bad and desktop.locator("main img[src=x]").count() == 0
    assert bad in desktop.locator("[aria-live]").first.inner_text()


def test_anywidget_overlay_reads_and_writes_traits(desktop: Page) -> None:
    overlay = overlay_of(compare=OTHER)
    drive(desktop, overlay)
    desktop.evaluate("model.set('opacity', 0.2)")  # as if Python had set it
    assert near(canvas_pixels(desktop)[CAT], blend(overlay, CAT, 8, 0.2))
    assert desktop.get_by_label("Opacity").input_value() == "0.2"
    desktop.evaluate("model.set('visible', [18])")
    assert near(canvas_pixels(desktop)[CAT], blend(overlay, CAT, 0, 0.0))
    desktop.evaluate("model.set('picked', {x: 450, y: 250, id: 18, name: 'sofa'})")
    assert "sofa" in desktop.locator("[aria-live]").inner_text()
    assert desktop.evaluate("saved") == []
    desktop.get_by_label("Opacity").fill("0.9")
    desktop.get_by_role("button", name="cat").click()
    desktop.get_by_label("Outlines only").check()
    desktop.get_by_label("Colour-blind-safe").check()
    desktop.get_by_label("Wipe").fill("0.3")
    desktop.locator("canvas").click(position={"x": 90, "y": 220})
    last = desktop.evaluate("saved.at(-1)")
    wanted = {"opacity": 0.9, "visible": [8, 18], "outlines": True, "safe_palette": True,
              "wipe": 0.3, "picked": {"x": 90, "y": 220, "id": 8, "name": "cat"}}  # fmt: skip
    assert {key: last[key] for key in wanted} == wanted
    overlay.picked = wanted["picked"]  # Python reads the same pixel as the browser
    assert overlay.picked == wanted["picked"]
    desktop.evaluate("stop()")
    assert desktop.evaluate("listening()") == 0


def test_anywidget_frames_read_and_write_index(desktop: Page) -> None:
    drive(desktop, Frames([PHOTO, 255 - PHOTO], ["plain", "negative"]))
    desktop.evaluate("model.set('index', 1)")
    assert desktop.locator(".label").inner_text() == "negative"
    desktop.get_by_role("button", name="Previous frame").click()
    assert desktop.evaluate("saved.at(-1).index") == 0
    desktop.evaluate("stop()")
    assert desktop.evaluate("listening()") == 0


def test_frames_step_slide_and_play(page: Page, tmp_path: Path) -> None:
    shades = [np.full((64, 64, 3), shade, np.uint8) for shade in (10, 120, 240)]
    page.clock.install()
    show(page, tmp_path, Frames(shades, ["dark", "middle", "light"], alt="A square,"))
    label, picture = page.locator(".label"), page.locator("img")

    def shade() -> int:
        return int(np.asarray(Image.open(io.BytesIO(picture.screenshot())))[150, 150, 0])

    assert (label.inner_text(), shade()) == ("dark", 10)
    page.get_by_role("button", name="Previous frame").click(force=True)  # says it is disabled
    assert label.inner_text() == "dark"
    page.get_by_role("button", name="Next frame").click()
    assert (label.inner_text(), shade()) == ("middle", 120)
    assert picture.get_attribute("alt") == "A square, middle"
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    assert (label.inner_text(), shade()) == ("light", 240)
    page.get_by_role("button", name="Play").click()  # from the last: starts over
    assert label.inner_text() == "dark"
    page.clock.run_for(1300)
    assert label.inner_text() == "middle"
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(5000)
    assert label.inner_text() == "middle"
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(5000)
    assert label.inner_text() == "light" and page.get_by_role("button", name="Play").count() == 1


def test_frames_without_javascript_unfold(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    frames = Frames([PHOTO, 255 - PHOTO], ["plain", "negative"], alt="A cat,")
    page.goto(frames.save(tmp_path / "page.html").as_uri())
    assert page.get_by_role("img", name="A cat, plain").is_visible()
    assert not page.get_by_role("img", name="A cat, negative").is_visible()
    page.get_by_text("The other pictures").click()
    assert page.get_by_role("img", name="A cat, negative").is_visible()
    context.close()
