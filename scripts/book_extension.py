"""What the book does beyond Jupyter Book; a small Sphinx extension, listed in _config.yml.

- Numbers: `{{key:format}}` in the pages of book/ is filled in from results/ (scripts/keys.py).
- `[[api data.voc]]` becomes the reference of segcore.data.voc, read from its docstrings.
- `[[repository]]` becomes the address in _config.yml.
- `[[chapters]]` becomes the table of the chapters that exist, `[[path]]` their path as a drawing.
- `[[chapter 01]]` becomes a link to that chapter, with its title.
- `[[drawing convolution]]` becomes the drawing of that name in segcore.display.basics.
- A `mask` directive puts an interactive mask of a committed PNG on a page.
- Every page gets a description, no Thebe, and an edit button that leads to Markdown.
"""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path
from typing import Any, ClassVar

import nbformat
import skimage.data
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from keys import KeyProblem, fill
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from segcore.data import voc
from segcore.display import basics, diagrams
from segcore.display.overlay import MaskOverlay
from segcore.display.svg import Diagram

ROOT = Path(__file__).resolve().parent.parent
API_LINE = re.compile(r"^\[\[api ([\w.]+)\]\]$", re.MULTILINE)
DRAWING_LINE = re.compile(r"^\[\[drawing (\w+)\]\]$", re.MULTILINE)
CHAPTER = re.compile(r"\[\[chapter (\d\d)\]\]")
GIVES = {  # what each chapter adds on the path from a photo to a phone
    "01": "a photo becomes a mask, a mask a score",
    "02": "labels that a network can learn from",
    "03": "layers that a phone can afford",
    "04": "the encoder, MobileNetV2",
    "05": "a wide view on a fine feature map",
    "06": "features that stand on the right pixels",
    "07": "the whole network",
    "08": "weights, and what a comparison proves",
    "09": "a file of 8-bit integers",
    "10": "a network that was trained for its file",
    "11": "masks on your own phone, timed",
}
DESCRIPTION_LENGTH = 160  # characters; search engines show about so many


def setup(app: Sphinx) -> dict[str, Any]:
    """Registers everything with Sphinx."""
    app.add_directive("mask", MaskDirective)
    app.connect("source-read", fill_page)
    app.connect("html-page-context", complete_page, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def fill_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Fills in keys, the API and the chapter table of the pages in book/."""
    if not name.startswith("book/"):
        return
    try:
        text = fill(source[0], f"{name}.md")
    except KeyProblem as problem:
        raise ExtensionError(str(problem)) from problem
    address = app.config.html_theme_options["repository_url"]
    text = API_LINE.sub(lambda match: api(match.group(1), f"{address}/blob/main/"), text)
    text = text.replace("[[repository]]", address)
    text = DRAWING_LINE.sub(lambda match: drawing(getattr(basics, match.group(1))()), text)
    text = CHAPTER.sub(lambda match: chapter_link(match.group(1)), text)
    if "[[path]]" in text:
        text = text.replace("[[path]]", drawing(diagrams.course_path(stations())))
    source[0] = text.replace("[[chapters]]", chapter_table())


def chapter_link(number: str) -> str:
    """A link to chapter `number`, its title alone while it was never executed.

    Raises ExtensionError when there is no such chapter.
    """
    for source in (ROOT / "chapters").glob(f"{number}-*.md"):
        title, notebook = chapter_title(source), source.with_suffix(".ipynb")
        return f"[{title}](../chapters/{notebook.name})" if notebook.exists() else title
    raise ExtensionError(f"[[chapter {number}]]: there is no chapters/{number}-*.md")


def chapter_title(source: Path) -> str:
    """The first line of a chapter's source, without its mark."""
    return source.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").strip()


def drawing(diagram: Diagram) -> str:
    """`diagram` as a block of HTML in a Markdown page."""
    return f"<div>{diagram.svg}</div>"


def stations() -> list[tuple[str, str]]:
    """The title of each chapter and what it gives, for the path of the course."""
    found = []
    for source in sorted((ROOT / "chapters").glob("[0-9][0-9]-*.md")):
        if (number := source.name[:2]) not in GIVES:
            raise ExtensionError(f"GIVES in book_extension.py does not know chapter {number}")
        found.append((chapter_title(source), GIVES[number]))
    return found


class MaskDirective(Directive):
    """`{mask} PNG` with :photo: (a name in skimage.data), :title: and :alt:."""

    required_arguments = 1
    option_spec: ClassVar = dict.fromkeys(("photo", "title", "alt"), directives.unchanged_required)

    def run(self) -> list[nodes.Node]:
        path = ROOT / self.arguments[0]
        self.state.document.settings.record_dependencies.add(str(path))
        photo = getattr(skimage.data, self.options["photo"])()
        overlay = MaskOverlay(
            photo, voc.read_mask(path), title=self.options["title"], alt=self.options["alt"]
        )
        overlay.safe_palette = True  # the first picture of the book, in colours for everybody
        return [nodes.raw("", f'<div class="play">{overlay.to_html()}</div>', format="html")]


def chapter_table() -> str:
    """A Markdown table of the executed chapters: title, its question, minutes and seconds."""
    rows = ["| Chapter | The question | To read | To run |", "|---|---|---|---|"]
    for path in sorted((ROOT / "chapters").glob("[0-9][0-9]-*.ipynb")):
        about = chapter_facts(path)
        rows.append(
            f"| [{about['title']}](../chapters/{path.name}) | {about['question']} "
            f"| {about['minutes']} min | {about['seconds']} s |"
        )
    return "\n".join(rows)


def chapter_facts(path: Path) -> dict[str, str]:
    """Title, core question, minutes to read and seconds to run that notebook `path` states."""
    notebook = nbformat.read(path, as_version=4)
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    wanted = {
        "title": r"^# (.+)$",
        "question": r"(?is)\bquestion(?: of this chapter)?\b[^\w?]+([^?]+\?)",
        "minutes": r"(\d+) minutes",
        "seconds": r"(\d+) seconds",
    }
    facts = {}
    for fact, pattern in wanted.items():
        match = re.search(pattern, text, re.MULTILINE)
        if match is None:
            raise ExtensionError(f"{path.name} states no {fact} (looked for {pattern})")
        facts[fact] = " ".join(match.group(1).strip(" *_").split())
    facts["question"] = facts["question"][0].upper() + facts["question"][1:]
    return facts


def api(module: str, address: str) -> str:
    """Markdown reference of `segcore.module`, read from the file without importing it."""
    file = f"segcore/{module.replace('.', '/')}.py"
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = [f"({module.replace('.', '-')})=", f"## segcore.{module}", docstring(tree)]
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            link = f"[source]({address}{file}#L{node.lineno})"
            call = signature(node)
            parts += [
                f"### {node.name}",
                f"```python\n{call}\n```",
                f"{docstring(node)}\n\n{link}",
            ]
    return "\n\n".join(parts)


def docstring(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    """The docstring of `node` as Markdown; `$` is escaped, angle brackets too."""
    text = ast.get_docstring(node) or ""
    return re.sub(r"([$<{])(?=[^`]*(?:`[^`]*`[^`]*)*$)", r"\\\1", text)


def signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    """How `node` is called, over several lines when it is long."""
    if isinstance(node, ast.FunctionDef):
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        return wrap(node.name, arguments(node.args), returns)
    for child in node.body:
        if isinstance(child, ast.FunctionDef) and child.name == "__init__":
            return wrap(node.name, arguments(child.args)[1:], "")
    fields = [
        ast.unparse(child)
        for child in node.body
        if isinstance(child, ast.AnnAssign) and not ast.unparse(child.target).startswith("_")
    ]
    return wrap(node.name, fields, "")


def arguments(args: ast.arguments) -> list[str]:
    """The arguments as written, one string each."""
    names = [*args.posonlyargs, *args.args]
    padding: list[ast.expr | None] = [None] * (len(names) - len(args.defaults))
    found = [
        one(arg, default) for arg, default in zip(names, [*padding, *args.defaults], strict=True)
    ]
    if args.vararg:
        found.append(f"*{ast.unparse(args.vararg)}")
    elif args.kwonlyargs:
        found.append("*")
    found += [one(arg, value) for arg, value in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    return found + ([f"**{ast.unparse(args.kwarg)}"] if args.kwarg else [])


def one(arg: ast.arg, default: ast.expr | None) -> str:
    """One argument: `size: int = 513`."""
    return ast.unparse(arg) + (f" = {ast.unparse(default)}" if default is not None else "")


def wrap(name: str, parts: list[str], returns: str) -> str:
    """`name(parts) -> returns`, an argument a line when longer than 72 characters."""
    line = f"{name}({', '.join(parts)}){returns}"
    if len(line) <= 72:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def complete_page(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Adds the description, mends the edit button, and drops the scripts of Thebe.

    Jupyter Book adds Thebe (twice, with the address of a CDN) even where it is switched off.
    """
    for kind in ("script_files", "css_files"):
        if kind in context:
            context[kind] = [file for file in context[kind] if not is_thebe(file)]
    if name in ("search", "genindex"):
        about = "Search the course" if name == "search" else "Index of the course"
        add_description(context, f"{about} Segmentation in Your Pocket.")
    elif doctree is not None:
        paragraphs = [node.astext() for node in doctree.findall(nodes.paragraph)]
        first = next((text for text in paragraphs if len(text) > 40), "")
        add_description(context, first or str(context.get("title", "")))
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if name.startswith("chapters/") and "/edit/" in str(button.get("url", "")):
                button["url"] = button["url"].removesuffix(".ipynb") + ".md"


def is_thebe(file: Any) -> bool:
    """Whether a script or style sheet of the page belongs to Thebe."""
    text = f"{file} {getattr(file, 'attributes', '')}"
    return "thebe" in text.lower()


def add_description(context: dict[str, Any], text: str) -> None:
    """Puts `text`, shortened at a word, into the page's description."""
    text = " ".join(text.split())
    if len(text) > DESCRIPTION_LENGTH:
        text = text[: DESCRIPTION_LENGTH - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"
    context["metatags"] = (
        context.get("metatags", "")
        + f'\n<meta name="description" content="{html.escape(text, quote=True)}">\n'
    )
