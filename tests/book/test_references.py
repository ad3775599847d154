"""What is cited stands in the list of references, and the basics in the glossary."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "book").glob("*.md"), *(ROOT / "chapters").glob("*.md")])
CITATION = re.compile(r"\[([^\]]*\d{4})\]\((?:\.\./book/)?references\.md[^)]*\)")
LISTED = re.compile(
    r"author = \{(.*?)\},\n.*?year = \{(\d+)\},(?:.*?)keywords = \{(\w+)\}", re.DOTALL
)


def references() -> list[tuple[list[str], str]]:
    """The surnames and the year of each reference."""
    text = (ROOT / "book/references.bib").read_text("utf-8")
    return [
        ([name.split(",")[0].strip() for name in authors.split(" and ")], year)
        for authors, year, _ in LISTED.findall(text)
    ]


def known(citation: str) -> bool:
    """Whether a reference has the names of `citation` ("Chen et al. 2018"), in order, and year."""
    said = re.sub(r" (?:et al\.|and others),?|[()]", "", citation)
    *names, year = re.split(r",? and | (?=\d{4}$)", said)
    return any(
        year == other and authors[: len(names)] == names and (len(authors) > 2 or said == citation)
        for authors, other in references()
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_is_cited_is_listed(page):
    cited = CITATION.findall(page.read_text("utf-8"))
    assert [citation for citation in cited if not known(citation)] == []


def test_a_wrong_citation_is_seen():
    right = ("Chen et al. 2018", "Yu and Koltun 2016", "Krishnamoorthi 2018", "Nagel et al. 2021")
    wrong = ("Chen et al. 2019", "Yu et al. 2016", "Yu and Kolton 2016", "Nobody 2018")
    assert [known(citation) for citation in right + wrong] == [True] * 4 + [False] * 4


def test_every_reference_is_on_the_page_once_and_whole():
    text = (ROOT / "book/references.bib").read_text("utf-8")
    keys = re.findall(r"^@misc\{(\w+),$", text, re.MULTILINE)
    fields = LISTED.findall(text)
    assert len(keys) == len(set(keys)) == len(fields) == text.count("title = {{")
    page = (ROOT / "book/references.md").read_text("utf-8")
    shown = re.findall(r':filter: keywords % "(\w+)"', page)
    assert {keyword for _, _, keyword in fields} == set(shown) and len(shown) == len(set(shown))


def test_the_basics_stand_in_the_glossary():
    basics = (ROOT / "book/basics.md").read_text("utf-8")
    glossary = (ROOT / "book/glossary.md").read_text("utf-8")
    words = re.findall(r"^## (.+)$", basics, re.MULTILINE)
    assert len(words) == 9
    for word in words:
        link = f"(basics.md#{word.lower().replace(' ', '-')})"
        assert re.search(rf"^{word}.*\n: .*{re.escape(link)}", glossary, re.MULTILINE), word


def test_prerequisites_agree():
    wanted = (
        "Python with NumPy arrays, what a gradient is, and one small neural network that",
        "[basics](basics.md)",
    )
    for name in ("intro", "instructor-guide"):
        page = (ROOT / f"book/{name}.md").read_text("utf-8")
        assert all(words in page for words in wanted), name


def test_the_glossary_is_in_order():
    glossary = (ROOT / "book/glossary.md").read_text("utf-8")
    terms = re.findall(r"^(\S.*)\n: ", glossary, re.MULTILINE)
    assert terms == sorted(terms, key=str.lower) and len(terms) == len(set(terms)) > 70
