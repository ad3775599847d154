"""The rules that a chapter keeps, as functions from its source to a list of complaints."""

import re
from dataclasses import dataclass
from pathlib import Path

import jupytext
import words

VERBS = frozenset(
    "apply build calculate change choose classify compare compute convert count decide decode "
    "derive describe detect distinguish draw encode estimate evaluate explain find fix identify "
    "implement interpret judge list measure name plot predict read recognise repair replace say "
    "score show spot tell test time trace turn use write".split()
)
NUMBER = re.compile(
    r"(?<![\w.])\d[\d,]*\.\d+"  # a decimal
    r"|(?<![\w.])\d[\d,]*\s?(?:%|per cent|percent)"  # a percentage
    r"|(?<![\w.])\d[\d,]*\s?(?:ms|MB|KB|GB|mIoU|IoU|points|times faster|×\s)(?!\w)"
)
NOT_PROSE = re.compile(
    r"```.*?```"  # fences
    r"|\{\{.*?\}\}"  # keys
    r"|`[^`]*`"  # code
    r"|\$\$.*?\$\$|\$[^$\n]+\$"  # mathematics
    r"|\]\([^)]*\)|<[^>]+>|https?://\S+",  # links and tags
    re.DOTALL,
)

# Tags of cells whose code is folded or absent, and of those that show no answer by themselves.
FOLDED = frozenset("setup solution hide-cell hide-input remove-cell remove-input".split())
SILENT = frozenset("solution exercise hide-cell hide-output remove-output".split())
ASKS = re.compile(
    r"\bPredict\b|\*\*(?:Your )?[Pp]rediction|\b[Gg]uess(?: first)?[:,.]|\bGuess\b"
    r"|\b[Mm]ake (?:a|your) (?:guess|prediction)\b"
    r"|\b[Ww]rite (?:it |them )?down (?:a|your|the|what) "
    r"|\b[Yy]our (?:guess|prediction)\b|\b[Ww]hat do you expect\b|\bBefore you run\b[^.]*\?"
)


@dataclass(frozen=True)
class Chapter:
    """A chapter's source: its text, the words between its cells, and its code cells."""

    path: Path
    text: str
    prose: str
    cells: list[tuple[str, list[str]]]  # code and tags

    @property
    def visible(self) -> list[str]:
        """The code that a reader sees without unfolding anything."""
        return [source for source, tags in self.cells if not FOLDED.intersection(tags)]


def read(path: Path) -> Chapter:
    """The chapter at `path`."""
    text = path.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="md:markdown")
    prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    cells = [
        (cell.source, list(cell.metadata.get("tags", [])))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    return Chapter(path, text, prose, cells)


def length(chapter: Chapter) -> list[str]:
    """At most 2,600 words outside code; 10-16 visible cells, none above 15 lines."""
    words = len(re.sub(r"```.*?```|<[^>]+>|[#|*_>-]", " ", chapter.prose, flags=re.DOTALL).split())
    lines = [len(code.strip().splitlines()) for code in chapter.visible]
    complaints = []
    if words > 2600:
        complaints.append(f"{words} words, wanted at most 2,600")
    if not 10 <= len(lines) <= 16:
        complaints.append(f"{len(lines)} visible code cells, wanted 10-16")
    complaints += [
        f"a cell of {len(code.strip().splitlines())} lines, wanted at most 15: "
        f'{code.strip().splitlines()[0]!r} (fold plotting with tags=["hide-input"])'
        for code in chapter.visible
        if len(code.strip().splitlines()) > 15
    ]
    return complaints


def opening(chapter: Chapter) -> list[str]:
    """One title; objectives that start with measurable verbs; a question; minutes and seconds."""
    complaints = []
    if len(re.findall(r"^# ", chapter.prose, re.MULTILINE)) != 1:
        complaints.append("wanted exactly one title (# ...)")
    objectives = section(chapter.prose, "able to")
    points = re.findall(r"^[-*\d.]+ +(.+)$", objectives, re.MULTILINE)
    if not 2 <= len(points) <= 6:
        complaints.append(f"{len(points)} objectives after 'able to', wanted 2-6")
    for point in points:
        verb = re.sub(r"[^\w ]", "", point).split()[0].lower()
        if verb not in VERBS:
            complaints.append(f"objective {point!r} does not start with a measurable verb")
    return complaints + [
        f"the opening has no match for {what}"
        for what in (r"\d+ minutes", r"\d+ seconds", r"(?i)question\b[^?]+\?")
        if not re.search(what, chapter.prose[:4000])
    ]


def order(chapter: Chapter) -> list[str]:
    """Question, objectives, prerequisites, exercises, take-away, quiz, open experiment."""
    parts = {
        "the question": r"(?i)question\b[^?]+\?",
        "the objectives": r"(?im)^[^\n]*able to",
        "the prerequisites (with a link)": r"(?i)(?:prerequisite|you need)[^#]*?\]\(",
        "the first exercise": r"""check\(\s*["'][\w-]+["']""",
        "a heading with 'take away'": r"(?im)^#+ [^\n]*take away",
        "the heading 'Check yourself'": r"(?im)^#+ check yourself",
        "a heading with 'open experiment'": r"(?im)^#+ [^\n]*open experiment",
    }
    complaints, last, before = [], -1, ""
    for part, pattern in parts.items():
        match = re.search(pattern, chapter.text)
        if not match:
            complaints.append(f"there is no match for {part}")
        elif match.start() < last:
            complaints.append(f"{part} should come after {before}")
        else:
            last, before = match.start(), part
    return complaints


def exercises(chapter: Chapter) -> list[str]:
    """2-3 exercises, each with a checked answer and an executed solution; one open experiment."""
    text, _, rest = chapter.text.partition(heading(chapter.text, "open experiment"))
    number, check = chapter.path.name[:2], r"""check\(\s*["']([\w-]+)["']"""
    solutions = [code for code, tags in chapter.cells if "solution" in tags]
    checked, opened = set(re.findall(check, text)), set(re.findall(check, rest))
    complaints = []
    if not 2 <= len(checked) <= 3:
        complaints.append(f"{len(checked)} checked exercises, wanted 2-3")
    if len(opened - checked) != 1:
        complaints.append(f"{len(opened - checked)} checked open experiments, wanted 1")
    for name in sorted(checked | opened):
        if name[:2] != number:
            complaints.append(f"exercise {name} is not of this chapter")
        if name in checked and not any(name in solution for solution in solutions):
            complaints.append(f"no solution cell checks {name}")
    if not section(chapter.prose, "take away"):
        complaints.append("no section on what to take away")
    return complaints


def quiz(chapter: Chapter) -> list[str]:
    """5-8 questions under "Check yourself", each with choices, all explained in a folded block.

    A question with a list of choices (`- A. ...` or `- ...`), then `<details>` with a line or a
    letter for each choice.
    """
    text = section(chapter.prose, "check yourself")
    blocks = re.split(r"(<details>.*?</details>)", text, flags=re.DOTALL)
    questions, answers = blocks[0::2], blocks[1::2]
    complaints = []
    if not 5 <= len(answers) <= 8:
        complaints.append(f"{len(answers)} folded answers under 'Check yourself', wanted 5-8")
    for number, (question, answer) in enumerate(zip(questions, answers, strict=False), start=1):
        choices = len(re.findall(CHOICE, question))
        explained = max(
            len(re.findall(CHOICE, answer)), len(set(re.findall(r"\b([A-E])\b", answer)))
        )
        if choices < 2:
            complaints.append(f"question {number} offers {choices} choices, wanted 2 or more")
        if explained < choices:
            complaints.append(f"question {number} has {choices} choices, {explained} explained")
    return complaints


CHOICE = re.compile(r"(?m)^\s*(?:[-*] +|\(?[A-Ea-e][.)] )\S")


def folded(chapter: Chapter) -> list[str]:
    """Paragraphs that ask for a prediction, and whose answer does not follow in a folded block.

    What comes next, lists, tables and equations apart, must be `<details>` or a cell that shows
    no answer (tags solution, exercise, hide-cell, hide-output).
    """
    skip = re.compile(r"(?i)#+ .*(?:able to|take away|check yourself)")
    pieces, complaints, skipped = blocks(chapter.text), [], False
    for number, block in enumerate(pieces):
        if block.startswith("#"):
            skipped = bool(skip.match(block))
        if skipped or block.startswith(("```", "<details", "#", "|")) or not ASKS.search(block):
            continue
        rest = [b for b in pieces[number + 1 :] if not re.match(r"[-*|>$]|\d+\.|\s", b)]
        if not rest or not _hides(rest[0]):
            complaints.append(f"no folded answer follows {block[:70]!r}")
    return complaints


def _hides(block: str) -> bool:
    """Whether `block` is a folded answer, or a cell that shows none."""
    if block.startswith("<details>"):
        inside = re.sub(r"<summary>.*?</summary>|<[^>]+>", " ", block, flags=re.DOTALL)
        return "</details>" in block and len(inside.split()) >= 3
    tags = re.match(r"```python tags=\[([^\]]*)\]", block)
    return bool(tags and SILENT.intersection(re.findall(r"[\w-]+", tags.group(1))))


def blocks(text: str) -> list[str]:
    """The paragraphs of `text`; a fence and a `<details>` are one block each."""
    whole = re.compile(r"^```.*?^```|^<details>.*?^</details>", re.DOTALL | re.MULTILINE)
    found, at = [], 0
    for match in whole.finditer(text):
        found += [*re.split(r"\n\s*\n", text[at : match.start()]), match.group(0)]
        at = match.end()
    found += re.split(r"\n\s*\n", text[at:])
    return [block.strip("\n") for block in found if block.strip()]


def vocabulary(chapter: Chapter) -> list[str]:
    """Words of our own where the field has a term: see words.py."""
    return words.in_markdown(chapter.text)


def heading(text: str, name: str) -> str:
    """The heading line with `name`, or a text that occurs nowhere."""
    match = re.search(rf"(?im)^#+ [^\n]*{name}[^\n]*$", text)
    return match.group(0) if match else "\0"


def numbers(chapter: Chapter) -> list[str]:
    """Measured-looking numbers in the prose that do not come from results/ by key."""
    prose = NOT_PROSE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), chapter.text)
    return [
        f"line {prose[: match.start()].count(chr(10)) + 1}: {match.group(0).strip()!r} "
        "is typed in; write {{file.key:.1f}}"
        for match in NUMBER.finditer(prose)
    ]


def section(prose: str, words: str) -> str:
    """What follows a heading or a line with `words`, up to the next heading."""
    match = re.search(rf"(?ims)^[^\n]*{words}[^\n]*\n(.*?)(?=^#|\Z)", prose)
    return match.group(1).strip() if match else ""


RULES = (length, opening, order, exercises, folded, quiz, vocabulary, numbers)
