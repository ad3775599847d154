"""What every explorer owes its page: words, small size, same bytes, nothing from a server."""

import re

import pytest
from explorer_samples import SAMPLES

from segcore.display.widget import script

pytestmark = pytest.mark.parametrize("name", SAMPLES)
BAD = "</script><img src=x onerror=alert(1)>"


def test_page_is_small_and_the_same_each_time(name: str) -> None:
    first, again = (SAMPLES[name](title="A").to_html() for _ in "ab")
    assert first == again and len(first.encode()) < 60_000


def test_without_a_script_it_has_words_and_alt_text(name: str) -> None:
    still = SAMPLES[name](alt="What there is to see.").to_html().split("<script")[0]
    assert "<table>" in still and "What there is to see." in still
    assert still.count("<img") == len(re.findall(r'<img [^>]*alt="', still))


def test_texts_are_escaped(name: str) -> None:
    text = SAMPLES[name](title=BAD, alt=BAD).to_html()
    assert text.count("</script>") == 1 and "<img src=x" not in text


def test_nothing_is_asked_of_any_server(name: str) -> None:
    text = SAMPLES[name]().to_html().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//cdn|@import|url\(", text)
    assert "</script" not in script(*SAMPLES[name]()._scripts).lower()


def test_notebook_gets_widget_and_page(name: str) -> None:
    widget = SAMPLES[name]()
    bundle, _ = widget._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "text/html", "text/plain"} == {*bundle}
    assert bundle["text/plain"].startswith(type(widget).__name__ + "(")


def test_page_keeps_the_traits_that_python_set(name: str) -> None:
    widget = SAMPLES[name]()
    before = widget.to_html()
    trait = widget._state[-1]
    value = getattr(widget, trait)
    setattr(widget, trait, not value if isinstance(value, bool) else value - 1)
    assert widget.to_html() != before
