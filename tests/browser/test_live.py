"""The live page in a real browser: cameras, precisions, threads, no network, no word to anybody."""

import io
from pathlib import Path

import live_site
import numpy as np
import pytest
from live_site import mask, picture, pythons_mask, sample, seen, status_begins, until
from PIL import Image

MAY = ["camera", "clipboard-read", "clipboard-write"]
POLICY = "Content Security Policy"
TOLD = """addEventListener("securitypolicyviolation",
  (event) => told(`blocked by ${event.effectiveDirective}`), { once: true });"""
ATTEMPT = f"""(address) => new Promise((told) => {{
  self.{TOLD}
  const failed = () => setTimeout(told, 500, "failed");
  fetch(address, {{ mode: "no-cors" }}).then(() => told("sent"), failed);
}})"""
BEACON = f"""(address) => new Promise((told) => {{
  self.{TOLD}
  const picture = new Image();
  picture.onload = picture.onerror = () => setTimeout(told, 500, "sent");
  picture.src = address;
}})"""
NAME_AT = """(() => {
  const { left, top } = document.querySelector("#names span").style;
  return [parseFloat(left), parseFloat(top)];
})()"""
SAMPLES = {"Cat": "cat", "Astronaut": "person", "Motorbike": "motorbike"}


@pytest.fixture(scope="module")
def url(book_url):
    return book_url + "book/live/"


@pytest.fixture(scope="module")
def profile(browser):
    """A visitor who lets pages use the camera and comes again: the service worker is there."""
    context = browser.new_context(permissions=MAY)
    yield context
    context.close()


@pytest.fixture
def visit(profile, url):
    """`visit()` → the live page, ready, in the shared profile or in the `context` given.

    Afterwards: no request went elsewhere, and the console holds only what was `expected`.
    """
    visits = []

    def opened(context=profile, expected="nothing"):
        page = context.new_page()
        requests, complaints = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        visits.append((page, requests, complaints, expected))
        live_site.start(page, url)
        return page

    yield opened
    for page, requests, complaints, expected in visits:
        page.close()
        away = [address for address in requests if not local(address, url)]
        assert set(away) <= {elsewhere(url)} if expected == POLICY else away == []
        assert [text for text in complaints if expected not in text] == []


def elsewhere(url: str) -> str:
    """An address that would answer, were it not for the policy."""
    return url.replace("127.0.0.1", "localhost") + "live.json"


def local(address: str, url: str) -> bool:
    return address.startswith((url.split("book/")[0], "blob:", "data:"))


def test_film_is_segmented_and_timed(visit):
    page = visit()
    sample(page, "Coffee")
    page.click("#camera")
    found = set()
    for name in (*SAMPLES.values(), "cat"):  # the film goes on: what was seen goes away again
        until(page, f"document.querySelector('#classes').textContent.includes('{name}')")
        found |= seen(page)
    assert set(SAMPLES.values()) <= found
    for step in ("preprocess", "network", "mask", "total"):
        p50, p90 = (float(page.inner_text(f"#{step}-{p}")) for p in ("p50", "p90"))
        assert 0 < p50 <= p90
    assert float(page.inner_text("#rate").split()[0]) > 0
    page.click("#pause")
    until(page, status_begins("Paused"))
    assert page.get_attribute("#pause", "aria-pressed") == "true"
    assert mask(page).shape == (480, 640)
    assert (mask(page) == pythons_mask(picture(page), "int8")).mean() >= 0.99
    page.click("#pause")
    until(page, "live.result.width < 640")  # it films again
    page.click("#camera")
    assert page.inner_text("#status") == "The camera is off."
    assert page.evaluate("document.querySelector('#video').srcObject") is None


@pytest.mark.parametrize("precision", ["int8", "float16", "sharp"])
def test_masks_are_those_of_python(visit, precision):
    page = visit()
    if precision != "int8":
        page.get_by_label(precision).check(force=True)
        until(page, status_begins(f"The {precision} network"))
    for label, name in SAMPLES.items():
        sample(page, label)
        assert name in seen(page)
        assert (mask(page) == pythons_mask(picture(page), precision)).mean() >= 0.99


def test_comparison_shows_the_pixels_that_differ(visit):
    page = visit()
    sample(page, "Cat")
    page.get_by_label("compare").check(force=True)
    until(page, "live.result.difference !== null")
    photo = picture(page)
    differ = pythons_mask(photo, "int8") != pythons_mask(photo, "float16")
    assert page.evaluate("live.result.difference") == pytest.approx(differ.mean(), abs=0.005)
    assert page.inner_text("#difference output").endswith("%")
    layer = live_site.layer(page, "#mask")
    grey = (np.ptp(layer[..., :3], axis=-1) == 0) & (layer[..., 3] == 255)
    assert (grey == differ).mean() > 0.98
    page.get_by_label("int8", exact=True).check(force=True)
    until(page, "live.result.difference === null")
    assert page.is_hidden("#difference")


def test_threads_can_be_chosen_and_change_no_pixel(visit):
    page = visit()
    assert page.evaluate("crossOriginIsolated")
    sample(page, "Motorbike")
    before = mask(page)
    for threads in (1, 4, 2, 3):
        page.evaluate("live.result = null")
        page.locator("#threads").get_by_label(str(threads)).check(force=True)
        until(page, f"live.result && {status_begins(f'Running on {threads}')}")
        assert page.evaluate("live.segmenter.threads") == threads
        for _ in range(100):  # the browser reports new and ended workers with a delay
            pool = [worker for worker in page.workers if "threaded" in worker.url]
            if len(pool) >= threads if threads > 1 else not pool:
                break
            page.wait_for_timeout(100)
        assert len(pool) >= threads if threads > 1 else not pool
        assert (mask(page) == before).mean() > 0.999


def test_all_networks_share_four_threads(visit):
    page = visit()
    sample(page, "Cat")
    page.locator("#threads").get_by_label("4").check(force=True)
    until(page, status_begins("Running on 4"))
    for choice, holds in (("compare", "live.result.difference !== null"),
                          ("sharp", status_begins("The sharp network"))):  # fmt: skip
        page.get_by_label(choice).check(force=True)
        until(page, holds)
    assert "cat" in seen(page)


def test_camera_is_switched(browser, visit):
    two = live_site.launch(browser, f"{live_site.FAKE}=device-count=2")
    device = "document.querySelector('#video').srcObject.getVideoTracks()[0].getSettings().deviceId"
    page = visit(two.new_context(permissions=MAY))
    page.click("#camera")
    until(page, "live.result && !document.querySelector('#other').disabled")
    first = page.evaluate(device)
    page.click("#other")
    second = until(page, f"{device} !== '{first}' && {device}")
    page.evaluate("live.result = null")
    until(page, "live.result")
    page.click("#other")
    assert until(page, f"{device} !== '{second}' && {device}") == first
    page.close()
    two.close()


def test_without_a_network_it_still_segments(visit, browser):
    page = visit(browser.new_context())
    until(page, "document.querySelector('#offline').textContent.startsWith('Kept')")
    page.context.set_offline(True)
    for address in (page.url, page.url + "index.html"):
        live_site.start(page, address)
        assert page.evaluate("crossOriginIsolated")
        sample(page, "Astronaut")
        assert seen(page) == {"person"}
    page.get_by_label("float16").check(force=True)
    until(page, status_begins("The float16 network"))
    page.context.close()


def test_nothing_can_leave_even_if_it_wanted(visit, url):
    page = visit(expected=POLICY)
    worker = next(worker for worker in page.workers if worker.url.endswith("worker.js"))
    for place in (page, worker):
        assert place.evaluate(ATTEMPT, url + "live.json") == "sent"
        assert place.evaluate(ATTEMPT, elsewhere(url)) == "blocked by connect-src"
    assert page.evaluate(BEACON, elsewhere(url)) == "blocked by img-src"


def test_picture_is_saved_as_it_looks(visit):
    page = visit()
    sample(page, "Cat")
    photo, ids = picture(page), mask(page)
    saved = download(page)
    assert saved.shape == photo.shape
    same = np.abs(saved.astype(int) - photo).max(-1) <= 2
    assert same[ids == 0].mean() > 0.95
    assert same[ids == 8].mean() < 0.6
    page.evaluate("live.result = null")
    page.click("#camera")
    until(page, "live.result")
    page.click("#pause")
    until(page, status_begins("Paused"))
    photo, ids = picture(page)[:, ::-1], mask(page)[:, ::-1]  # a camera at the front is a mirror
    saved = download(page)
    same = np.abs(saved.astype(int) - photo).max(-1) <= 2
    assert same[ids == 0].mean() > 0.95
    left, top = page.evaluate(NAME_AT)  # percent, on the screen
    x, y = round(left * 6.4), round(top * 4.8)
    name = saved[max(y - 9, 0) : y + 9, max(x - 20, 0) : x + 20]
    assert (name == 255).all(-1).sum() > 20 and (name == 0).all(-1).sum() > 20  # white on black


def download(page) -> np.ndarray:
    with page.expect_download() as waited:
        page.click("#save")
    return np.asarray(Image.open(Path(waited.value.path())).convert("RGB"))


def test_own_photo_is_segmented_and_another_file_explained(visit):
    page = visit()
    content = io.BytesIO()
    Image.fromarray(live_site.photos()[0]).save(content, "PNG")
    own = {"name": "me.png", "mimeType": "image/png", "buffer": content.getvalue()}
    page.set_input_files("#file", own)
    until(page, f"live.result && {status_begins('Done')}")
    assert np.array_equal(picture(page), live_site.photos()[0])
    assert seen(page) == {"cat"}
    page.set_input_files("#file", {"name": "me.txt", "mimeType": "text/plain", "buffer": b"no"})
    until(page, status_begins("me.txt is no picture"))


def test_measuring_gives_thirty_runs_and_text(visit):
    page = visit()
    sample(page, "Coffee")
    page.click("#measure")
    until(page, status_begins("30 runs"))
    assert page.inner_text("#frames") == "30"
    page.click("#copy")
    until(page, status_begins("Copied"))
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("int8, threads: ") and "network: p50 " in text


def test_page_can_be_installed(visit):
    page = visit()
    session = page.context.new_cdp_session(page)
    troubles = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {trouble["errorId"] for trouble in troubles} <= {"in-incognito"}  # as all test profiles
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == [] and '"standalone"' in manifest["data"]
