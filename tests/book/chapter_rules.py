"""The rules that a chapter keeps, as functions from its source to a list of complaints."""

import re
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import jupytext

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


@dataclass(frozen=True)
class Chapter:
    """A chapter's source: its text, the words between its cells, and its code cells."""

    path: Path
    text: str
    prose: str
    cells: list[tuple[str, list[str]]]  # code and tags

    @property
    def code(self) -> list[str]:
        return [source for source, tags in self.cells if "setup" not in tags]


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
    """1,200-1,800 words outside code; 10-16 cells; median at most 5 lines, none above 25."""
    words = len(re.sub(r"```.*?```|<[^>]+>|[#|*_>-]", " ", chapter.prose, flags=re.DOTALL).split())
    lines = [len(code.strip().splitlines()) for code in chapter.code]
    complaints = []
    if not 1200 <= words <= 1800:
        complaints.append(f"{words} words, wanted 1,200-1,800")
    if not 10 <= len(chapter.cells) <= 16:
        complaints.append(f"{len(chapter.cells)} code cells, wanted 10-16")
    if lines and median(lines) > 5:
        complaints.append(f"the median cell has {median(lines):g} lines, wanted at most 5")
    if lines and max(lines) > 25:
        complaints.append(f"a cell has {max(lines)} lines, wanted at most 25")
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


def exercises(chapter: Chapter) -> list[str]:
    """2-3 exercises, each with a checked answer and an executed solution; then what to keep."""
    complaints = []
    solutions = [code for code, tags in chapter.cells if "solution" in tags]
    checked = {
        name
        for code, tags in chapter.cells
        if "solution" not in tags
        for name in re.findall(r"""check\(\s*["']([\w-]+)["']""", code)
    }
    number = chapter.path.name[:2]
    if not 2 <= len(checked) <= 3:
        complaints.append(f"{len(checked)} checked exercises, wanted 2-3")
    if len(solutions) < len(checked):
        complaints.append(f"{len(solutions)} solutions for {len(checked)} exercises")
    complaints += [
        f"exercise {name} is not of this chapter" for name in checked if name[:2] != number
    ]
    for name in sorted(checked):
        if not any(name in solution for solution in solutions):
            complaints.append(f"no solution cell checks {name}")
    if not section(chapter.prose, "take away"):
        complaints.append("no section on what to take away")
    return complaints


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
