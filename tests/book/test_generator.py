"""scripts/chapters.py and scripts/keys.py: what they write, and what they refuse."""

import json

import keys
import nbformat
import pytest

import chapters

SOURCE = """\
# Trial

Some words, {{trial.score:.1f}} of them.

```python tags=["setup"]
```

```text
no cell
```

```python
print("{{not.a_key}}", 1 + 1)
```

```python tags=["raises-exception"]
raise ValueError("as planned")
```

```python tags=["solution"]
answer = 2
```
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A small chapter with a record to quote from."""
    monkeypatch.setattr("segcore.course.results.folder", lambda: tmp_path)
    (tmp_path / "trial.json").write_text(json.dumps({"values": {"score": 76.04, "name": "x"}}))
    path = tmp_path / "99-trial.md"
    path.write_text(SOURCE, encoding="utf-8")
    return path


@pytest.fixture
def executed(source):
    chapters.refresh(source)
    return source


def test_number_is_filled_in_and_code_is_left_alone(source):
    cells = chapters.build(source).cells
    assert "Some words, 76.0 of them." in cells[0].source
    assert 'print("{{not.a_key}}", 1 + 1)' in [cell.source for cell in cells]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("{{trial.missing}}", "'missing'"),
        ("{{nowhere.score}}", "nowhere"),
        ("{{trial.name:.1f}}", "format"),
        ("{{score}}", "no results key"),
    ],
)
def test_bad_key_names_chapter_line_and_key(source, key, reason):
    source.write_text(SOURCE.replace("{{trial.score:.1f}}", key), encoding="utf-8")
    with pytest.raises(keys.KeyProblem) as caught:
        chapters.build(source)
    said = str(caught.value)
    assert said.startswith(f"99-trial.md:3: {key} ")
    assert reason in said


def test_tags_get_their_meaning(source):
    code = [cell for cell in chapters.build(source).cells if cell.cell_type == "code"]
    assert code[0].source.count("\n") <= 5
    assert chapters.repository() in code[0].source
    solution = code[-1]
    assert solution.source == "# @title Solution\nanswer = 2"
    assert solution.metadata["cellView"] == "form"
    assert solution.metadata["jupyter"] == {"source_hidden": True}
    assert solution.metadata["tags"] == ["solution", "hide-cell"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("```text", "```bash", "only ```python fences become cells"),
        ('tags=["solution"]', 'colour="red"', "may only carry tags"),
    ],
)
def test_unusable_fence_is_refused(source, old, new, said):
    source.write_text(SOURCE.replace(old, new), encoding="utf-8")
    with pytest.raises(chapters.CellProblem, match=said):
        chapters.build(source)


def test_execution_is_deterministic_and_complete(executed):
    notebook = executed.with_suffix(".ipynb")
    first = notebook.read_bytes()
    chapters.refresh(executed, force=True)
    assert notebook.read_bytes() == first
    stored = nbformat.read(notebook, as_version=4)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert code[1].outputs[0].text == "{{not.a_key}} 2\n"
    assert code[2].outputs[0].traceback == ["ValueError: as planned"]
    assert chapters.disagreements(executed) == []


def test_a_fraction_may_be_written_in_per_cent():
    assert [keys.formatted(0.6951, form) for form in (".1p", "+.0p", ".3f")] == [
        "69.5",
        "+70",
        "0.695",
    ]
    with pytest.raises(ValueError, match="format"):
        keys.formatted("better", ".1p")


def test_unchanged_chapter_is_not_executed_again(executed, monkeypatch):
    monkeypatch.setattr(chapters, "execute", lambda *_: pytest.fail("executed again"))
    chapters.refresh(executed)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Some words", "Other words", "differs in its source"),
        ('tags=["solution"]', "", "differs in its"),
        (
            "answer = 2\n```\n",
            "answer = 2\n```\n\nMore.\n\n```python\n3\n```\n",
            "cells, its source",
        ),
    ],
)
def test_drift_is_seen(executed, old, new, said):
    executed.write_text(SOURCE.replace(old, new), encoding="utf-8")
    assert said in " ".join(chapters.disagreements(executed))


def test_changed_record_is_seen(executed, tmp_path):
    (tmp_path / "trial.json").write_text(json.dumps({"values": {"score": 77.0}}))
    assert "differs in its source" in " ".join(chapters.disagreements(executed))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda cells: cells[1].update(execution_count=None), "was not executed in its turn"),
        (lambda cells: cells[2]["metadata"].update(tags=[]), "holds an error"),
    ],
)
def test_unfinished_notebook_is_seen(executed, spoil, said):
    path = executed.with_suffix(".ipynb")
    content = json.loads(path.read_text())
    spoil([cell for cell in content["cells"] if cell["cell_type"] == "code"])
    path.write_text(json.dumps(content))
    assert said in " ".join(chapters.disagreements(executed))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; print('loud', file=sys.stderr)", "wrote to stderr: loud"),
    ],
)
def test_failing_chapter_leaves_no_notebook(source, capsys, code, said):
    source.write_text(SOURCE.replace("answer = 2", code), encoding="utf-8")
    assert chapters.main(["--folder", str(source.parent)]) == 1
    assert said in capsys.readouterr().err
    assert not source.with_suffix(".ipynb").exists()


def test_check_tells_by_its_status(executed, capsys):
    assert chapters.main(["--check", "--folder", str(executed.parent)]) == 0
    executed.with_suffix(".ipynb").unlink()
    assert chapters.main(["--check", "--folder", str(executed.parent)]) == 1
    assert "make chapters" in capsys.readouterr().err
