"""The live page when something is missing: a sentence that helps, and what still works goes on."""

import json

import build_live
import live_site
import pytest
from live_site import sample, seen, status_begins, until

# As in a private window. Where registering only never ends, the page waits for seconds.
NO_WORKER = """
navigator.serviceWorker.register = async () => { throw new DOMException("no", "SecurityError"); };
"""
REFUSE = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NAME"); };
"""


@pytest.fixture(scope="module")
def url(book_url):
    return book_url + "book/live/"


@pytest.fixture
def context(browser):
    context = browser.new_context(service_workers="block")
    yield context
    context.close()


@pytest.fixture
def page(context):
    context.add_init_script(NO_WORKER)
    return context.new_page()


def test_denied_camera_is_explained(page, url):
    live_site.start(page, url)
    page.click("#camera")
    until(page, status_begins("This page may not use the camera."))
    assert "Allow it in the browser" in page.inner_text("#status")
    assert page.locator("#status.bad").count() == 1
    assert page.inner_text("#camera") == "Camera"
    sample(page, "Cat")
    assert seen(page) == {"cat"}


def test_runtime_from_the_cdn_where_it_could_not_be_vendored(page, url):
    config = json.loads((live_site.LIVE / "live.json").read_text())
    config["runtime"] = build_live.runtime(vendored=False)
    index = (live_site.LIVE / "index.html").read_text()
    index = index.replace(build_live.policy(True), build_live.policy(False))
    page.route("**/live.json", lambda route: route.fulfill(json=config))
    page.route(url, lambda route: route.fulfill(body=index, content_type="text/html"))
    asked = []

    def cdn(route):
        asked.append(route.request.url.removeprefix(build_live.CDN))
        name = asked[-1].rsplit("/", 1)[1].replace("+esm", "index.js")
        route.fulfill(
            path=live_site.LIVE / "litert" / name, headers={"Access-Control-Allow-Origin": "*"}
        )

    page.route(f"{build_live.CDN}**", cdn)
    live_site.start(page, url)
    sample(page, "Cat")
    assert seen(page) == {"cat"}
    assert all("@litertjs/core@2.5.3/" in address for address in asked)
    assert "The runtime comes from a CDN here" in page.inner_text("#why")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotFoundError", "No camera was found."),
        ("OverconstrainedError", "No camera was found."),
        ("NotReadableError", "The camera is taken by another program."),
        ("StrangeError", "The camera did not start: no"),
    ],
)
def test_other_troubles_with_the_camera_are_explained(page, url, name, words):
    page.add_init_script(REFUSE.replace("NAME", name))
    live_site.start(page, url)
    page.click("#camera")
    until(page, status_begins(words))


def test_insecure_address_is_explained(page, url):
    page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', {value: undefined});")
    live_site.start(page, url)
    page.click("#camera")
    until(page, status_begins("Browsers give the camera only to secure pages"))


def test_without_service_worker_one_thread_and_the_reason(context, url):
    page = context.new_page()
    live_site.start(page, url)
    assert not page.evaluate("crossOriginIsolated")
    assert "not cross-origin isolated" in page.inner_text("#why")
    enabled = page.locator("#threads input:enabled")
    assert [enabled.nth(i).get_attribute("value") for i in range(enabled.count())] == ["1"]
    sample(page, "Cat")
    assert seen(page) == {"cat"}
    assert page.inner_text("#offline") == "" or page.is_hidden("#offline")


def test_without_service_worker_the_policy_holds_too(page, url):
    live_site.start(page, url)
    blocked = """(address) => new Promise((told) => {
      addEventListener("securitypolicyviolation", (event) => told(event.effectiveDirective));
      fetch(address, { mode: "no-cors" }).then(() => told("sent"), () => 0);
    })"""
    elsewhere = url.replace("127.0.0.1", "localhost") + "live.json"
    assert page.evaluate(blocked, elsewhere) == "connect-src"


def test_old_browser_is_told_what_is_missing(page, url):
    page.add_init_script("WebAssembly.validate = () => false;")
    page.goto(url)
    until(page, status_begins("This browser is too old for the network"))
    assert page.is_disabled("#camera")


@pytest.mark.parametrize(
    "missing", ["models/int8.tflite", "litert/litert_wasm_internal.wasm", "live.json"]
)
def test_missing_file_is_named_with_what_to_do(page, url, missing):
    page.route(f"**/{missing}", lambda route: route.fulfill(status=404, body=""))
    page.goto(url)
    until(page, status_begins("The network could not be loaded"))
    assert "make book" in page.inner_text("#status")
    assert page.is_disabled("#camera")


def test_camera_that_goes_away_is_noticed(page, url):
    page.context.grant_permissions(["camera"])
    live_site.start(page, url)
    page.click("#camera")
    until(page, "live.result")
    page.evaluate(
        "document.querySelector('#video').srcObject.getVideoTracks()[0]"
        ".dispatchEvent(new Event('ended'))"
    )
    until(page, status_begins("The camera was switched off or unplugged."))
    assert page.inner_text("#camera") == "Camera"
