"""Each chapter keeps the rules of the course, and its notebook is its source, executed."""

import re
from pathlib import Path

import chapter_rules
import nbformat
import pytest
import words
from bs4 import BeautifulSoup

import chapters as generator

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "chapters").glob("[0-9][0-9]-*.md"))
MACHINE_PATH = re.compile(r"(?<![\w/])/(?:home|root|tmp|Users|work|private|var)/\w")


def test_there_are_chapters():
    assert len(SOURCES) >= 2
    notebooks = [path.with_suffix(".md") for path in (ROOT / "chapters").glob("*.ipynb")]
    assert sorted(notebooks) == SOURCES


@pytest.mark.parametrize("rule", chapter_rules.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_rule(source, rule):
    assert rule(chapter_rules.read(source)) == []


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_words_of_a_page(page):
    assert words.in_markdown(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "module",
    sorted((ROOT / "segcore/course/exercises").glob("chapter*.py")),
    ids=lambda path: path.stem,
)
def test_words_of_an_exercise(module):
    assert words.in_python(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_notebook_is_its_source_executed(source):
    assert generator.disagreements(source) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_outputs_hold_no_path_and_every_picture_has_words(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = "\n".join(
                [output.get("text", ""), output.get("evalue", ""), data.get("text/plain", "")]
            )
            assert not MACHINE_PATH.search(text), f"cell {number}: {text[:200]}"
            assert "image/png" not in data, f"cell {number}: show figures with plots, with alt text"
            images = BeautifulSoup(data.get("text/html", ""), "html.parser").find_all("img")
            # The layers of a mask lie on its photo, whose words speak for the whole.
            words = [image.get("alt", "").strip() for image in images]
            assert not images or any(words), f"cell {number} has a picture without words"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_first_cell_is_the_short_setup(source):
    cells = chapter_rules.read(source).cells
    assert cells[0][1] == ["setup"]
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    setup = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert len(setup.source.splitlines()) <= 6
    assert f"git+{generator.repository()}" in setup.source
    assert setup.outputs == []
