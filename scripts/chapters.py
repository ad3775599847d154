"""Turns chapters/NN-slug.md into the executed chapters/NN-slug.ipynb.

    python scripts/chapters.py            execute the chapters whose source changed
    python scripts/chapters.py --force    execute all of them (or those named: 01 02)
    python scripts/chapters.py --check    execute nothing; say whether sources and notebooks agree

The source is plain CommonMark. Its ```python fences become code cells; a fence may carry
`tags=["setup"]`, `["solution"]`, `["exercise"]`, `["raises-exception"]` or any tag that Jupyter
Book knows. Numbers in the prose are keys into results/, see scripts/keys.py.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from keys import KeyProblem, fill, line_of
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
CELL_TIMEOUT = 300  # seconds
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}  # no version: it would change
SETUP = """\
# In Colab this installs segcore and leaves what is there alone. Elsewhere it does nothing.
import importlib.util
if importlib.util.find_spec("segcore") is None:
    !pip list --format=freeze > /tmp/installed.txt
    %pip install -q -c /tmp/installed.txt "segcore @ git+{repository}"
"""
# What a tag of the source means to Jupyter Book (tags), Jupyter (source_hidden) and Colab (form).
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}
MEANING: dict[str, dict[str, Any]] = {
    "setup": {
        "tags": ["setup", "hide-cell"],
        "mystnb": {
            "code_prompt_show": "Show the set-up cell",
            "code_prompt_hide": "Hide the set-up cell",
        },
    },
    "solution": {
        "tags": ["solution", "hide-cell"],
        "mystnb": {
            "code_prompt_show": "Show the solution",
            "code_prompt_hide": "Hide the solution",
        },
        **FOLDED,
    },
}


def main(arguments: list[str]) -> int:
    """The command: returns 0 when all is well, 1 after saying what is not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="*", help="chapter numbers such as 01; default: all")
    parser.add_argument("--force", action="store_true", help="execute even what did not change")
    parser.add_argument("--check", action="store_true", help="execute nothing, compare only")
    parser.add_argument("--folder", type=Path, default=ROOT / "chapters", help="the chapters")
    options = parser.parse_args(arguments)
    sources = [
        path
        for path in sorted(options.folder.glob("[0-9][0-9]-*.md"))
        if not options.only or path.name[:2] in options.only
    ]
    try:
        if options.check:
            return report([line for path in sources for line in disagreements(path)], len(sources))
        for path in sources:
            refresh(path, force=options.force)
    except (KeyProblem, CellProblem) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


class CellProblem(ValueError):
    """A cell that cannot be read or did not run; the message says which and why."""


def refresh(source: Path, force: bool = False) -> None:
    """Executes `source` into its notebook, unless that already holds these very cells."""
    notebook = build(source)
    if not force and not disagreements(source):
        print(f"{source.stem}: unchanged")
        return
    started = time.perf_counter()
    execute(notebook, source)
    tidy(notebook)
    write(notebook, source.with_suffix(".ipynb"))
    print(f"{source.stem}: executed in {time.perf_counter() - started:.0f} s")


def build(source: Path) -> NotebookNode:
    """The notebook of chapter `source`, not yet executed: keys filled in, tags given meaning."""
    text = source.read_text(encoding="utf-8")
    form = {"extension": ".md", "format_name": "markdown", "split_at_heading": True}
    notebook = jupytext.reads(text, fmt=form)
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"{source.stem[:40]}-{number:02d}"
        if cell.cell_type == "markdown":
            cell.source = fill(cell.source, source.name, text)
            cell.metadata = NotebookNode()
        else:
            prepare_code(cell, f"{source.name}:{line_of(cell.source, text)}")
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": LANGUAGE,
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def prepare_code(cell: NotebookNode, where: str) -> None:
    """Gives a code cell the metadata of its tag; fills in the setup cell."""
    if cell.cell_type != "code" or cell.source.startswith("%%"):
        raise CellProblem(f"{where}: only ```python fences become cells; use ```text for the rest")
    tags = list(cell.metadata.get("tags", []))
    unknown = set(cell.metadata) - {"tags", "lines_to_next_cell"}
    if unknown:
        raise CellProblem(f'{where}: a fence may only carry tags=["..."], not {sorted(unknown)}')
    meaning: dict[str, Any] = {"tags": tags} if tags else {}
    for tag in tags:
        if tag in MEANING:
            extra = [other for other in tags if other not in MEANING]
            meaning = {**MEANING[tag], "tags": [*MEANING[tag]["tags"], *extra]}
    if "setup" in tags:
        cell.source = SETUP.format(repository=repository()).rstrip()
    if "solution" in tags:
        cell.source = f"# @title Solution\n{cell.source}"
    cell.metadata = nbformat.from_dict(meaning)


def repository() -> str:
    """The repository's address, as _config.yml has it."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return config["repository"]["url"]


def execute(notebook: NotebookNode, source: Path) -> None:
    """Runs every cell in an empty folder. Raises CellProblem for an error or text on stderr."""
    # Quiet, and the same arithmetic on every machine: see `make test`, which compares outputs.
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=len(code), desc=source.stem, unit="cell", leave=False) as bar,
    ):
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            store_widget_state=False,
            on_cell_executed=lambda **_: bar.update(),
            extra_arguments=["--log-level=ERROR"],
        )
        try:
            client.execute()
        except CellExecutionError as error:
            raise CellProblem(f"{source.name}: a cell failed\n{error}") from error
    for number, cell in enumerate(code, start=1):
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise CellProblem(f"{source.name}: cell {number} wrote to stderr: {output.text}")


def tidy(notebook: NotebookNode) -> None:
    """Removes what changes from run to run or only means something on this machine."""
    notebook.metadata["language_info"] = LANGUAGE
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                output.traceback = [f"{output.ename}: {output.evalue}"]
            data = output.get("data", {})
            if "text/html" in data:  # a page without a kernel shows this instead of the widget
                data.pop("application/vnd.jupyter.widget-view+json", None)
            if "metadata" in output:
                output.metadata = NotebookNode()


def write(notebook: NotebookNode, path: Path) -> None:
    """Writes `notebook` in one go, the same bytes for the same cells."""
    nbformat.validate(notebook)
    temporary = path.with_suffix(".ipynb.part")
    temporary.write_text(nbformat.writes(notebook).rstrip() + "\n", encoding="utf-8")
    temporary.replace(path)


def disagreements(source: Path) -> list[str]:
    """What differs between `source` and its notebook, a sentence each; empty when they agree."""
    path = source.with_suffix(".ipynb")
    if not path.exists():
        return [f"{path.name} does not exist"]
    stored = nbformat.read(path, as_version=4)
    wanted = build(source)
    if len(stored.cells) != len(wanted.cells):
        return [f"{path.name} has {len(stored.cells)} cells, its source {len(wanted.cells)}"]
    found = []
    if stored.metadata != wanted.metadata:
        found.append(f"{path.name}: the notebook's metadata differs")
    pairs = zip(stored.cells, wanted.cells, strict=True)
    for number, (old, new) in enumerate(pairs, start=1):
        found += [
            f"{path.name}: cell {number} differs in its {part} from the source"
            for part in ("cell_type", "source", "metadata", "id")
            if old[part] != new[part]
        ]
    return found + unfinished(stored, path.name)


def unfinished(notebook: NotebookNode, name: str) -> list[str]:
    """Code cells that were not executed in order, or hold an error that nobody expects."""
    found = []
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        if cell.execution_count != number:
            found.append(f"{name}: code cell {number} was not executed in its turn")
        expected = "raises-exception" in cell.metadata.get("tags", [])
        if any(output.output_type == "error" for output in cell.outputs) and not expected:
            found.append(f"{name}: code cell {number} holds an error")
    return found


def report(problems: list[str], count: int) -> int:
    """Prints the problems, or that there are none; returns the exit status."""
    for line in problems:
        print(line, file=sys.stderr)
    if problems:
        print("Run `make chapters`, then look at what changed.", file=sys.stderr)
        return 1
    print(f"Chapters: {count} sources agree with their notebooks.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
