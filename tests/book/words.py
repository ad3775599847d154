"""The words of the course: which ones are out, and what stands in their place."""

import ast
import io
import re
import tokenize

# What must not stand in a sentence, and the field's own term. Only what cannot be meant otherwise:
# a notebook has cells, a hand taps a screen, two classes share a pixel.
OUT = {
    "weight of the kernel; for the decoder: low-level feature": (
        r"(?:live|dead|the|an?|each|every|one|its|of|outer|even|odd|nine|three|\d+) taps?",
        r"decoder(?:'s)? taps?",
    ),
    "spatial position, feature": (
        r"(?:half|quarter of) a cell",
        r"cells? of (?:(?:a|the|its|each) )?(?:feature )?maps?",
        r"cells? apart|(?:few|neighbouring|coarse) cells|encoder(?:'s)? cells?",
        r"places of (?:a|the) (?:feature )?map",
    ),
    "feature map": (r"(?:coarser?|finer?|last|whole|encoder's|padded|deep|deepest) maps?",),
    "receptive field; for values: range": (
        r"(?:the|a|its|whose|their|theoretical|effective) reach",
    ),
    "cumulative stride": (r"steps? of (?:a|the) (?:feature )?map",),
    "bottleneck, expanded": (r"(?:thin|wide|narrow) ends?",),
    "expand, project": (r"widen(?:s|ed|ing)?|thinned",),
    "bottleneck block, inverted residual block": (r"hourglass(?:es)?|barrels?",),
    "non-linearity": (r"bends?",),
    "branches": (r"(?:two|three|four|five|several|parallel) looks",),
    "void boundary": (r"rims?(?! of (?:the |a )?(?:cup|saucer|wheel|plate))",),
    "fraction, probability": (
        r"(?:the|a|its|their|what|which|small|large|larger|largest|into) shares?"
        r"(?! (?:an?|the|one|no|their|its|all)\b)",
    ),
    "probability, confidence": (r"\d+ % sure|how sure (?:the|a|this|our) network",),
    "upsample": (r"enlarg\w+",),
    "trimap": (
        r"(?:border|boundary) bands?",
        r"bands? (?:along|around|at) (?:a|the) (?:border|boundar|outl)\w*",
    ),
    "majority-class (all-background) baseline": (r"sees? nothing",),
    "corrupt": (r"spoil\w*",),
    "misalignment, half a feature": (r"slip(?:s|ped)? (?:of|by) half|half-cell",),
    "learning rate, or dilation rate": (r"(?:[\w'-]+\s+)?(?<![\w-])rates?(?!-)",),
    "root mean square (of the gradient)": (r"usual size",),
    "brightness jitter": (r"relit|relight\w*",),
    "clipped, saturated": (
        r"values? (?:(?:is|are|was|were|get|gets) )?cut off",
        r"cuts? off (?:values|outliers)",
    ),
    "quantisation step (LSB)": (r"steps? of (?:the |an )?integers?",),
    "mean shift": (
        r"leans|(?:the|its|their|a) lean(?! (?:file|network|decoder|head|DeepLab|one|export))",
    ),
    "post-training quantisation, quantisation-aware training": (
        r"rounded (?:afterwards|while training)",
    ),
    "resolution-specific batch norm and depthwise kernels": (r"layers of its own",),
    "ensemble": (r"opinions?",),
    "recalibrated (batch norm); corrected, repaired": (r"mended",),
    "pixel accuracy": (r"pixels right",),
    "used channels": (r"channels? (?:that )?(?:(?:is|are) )?(?:heard|speaks?)",),
    "the course paper": (
        r"the (?:student |project )?(?:paper|report)(?! (?:by|of|that introduced|behind)\b)",
        r"student (?:paper|report)",
    ),
}
# What a pattern above finds and may stay.
KEPT = re.compile(
    r"(?:(?:learning|dilation|atrous|frame|error|sampling|clock|dropout|refresh|compute|arithmetic"
    r"|success|positive|any)\s+rates?)",
    re.IGNORECASE,
)
PATTERNS = [
    (re.compile(rf"\b(?:{'|'.join(patterns)})\b".replace(" ", r"(?: +| *\n *)"), re.I), term)
    for term, patterns in OUT.items()
]
NOT_WORDS = re.compile(
    r"^```text.*?^```"  # commands
    r"|\{\{.*?\}\}"  # keys
    r"|\]\([^)]*\)|<[^>]+>|https?://\S+"  # links and tags
    r"|\*[^*\n]{20,}\*",  # titles of works
    re.DOTALL | re.MULTILINE,
)


def in_markdown(text: str) -> list[str]:
    """What is out in a page or chapter: its sentences, and the words inside its cells."""

    def cell(match: re.Match) -> str:
        return sentences(match.group(1))

    text = re.sub(r"^```python[^\n]*(\n.*?)^```", cell, text, flags=re.DOTALL | re.MULTILINE)
    return found(text)


def in_python(source: str) -> list[str]:
    """What is out in the comments and strings of a module."""
    return found(sentences(source))


def sentences(source: str) -> str:
    """`source` with all but comments and strings blanked, line for line.

    Strings that stand side by side are one sentence, broken over lines.
    """
    lines = [""] * (source.count("\n") + 1)
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                lines[token.start[0] - 1] += token.string.lstrip("# ")
            elif token.type == tokenize.STRING:
                text = str(value(token.string))
                for number, part in enumerate(text.split("\n")):
                    lines[min(token.start[0] - 1 + number, len(lines) - 1)] += part
            elif token.type == getattr(tokenize, "FSTRING_MIDDLE", None):
                lines[token.start[0] - 1] += token.string
    except (tokenize.TokenError, IndentationError):  # a cell that is wrong on purpose, or magic
        return source
    return "\n".join(lines)


def value(literal: str) -> str:
    """The text of a string literal; of an f-string, as it is written."""
    try:
        return ast.literal_eval(literal)
    except (ValueError, SyntaxError):
        return literal


def found(text: str) -> list[str]:
    """A complaint for each word in `text` that is out, with its line and the term to use."""
    text = NOT_WORDS.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)
    hits = [
        (hit.start(), hit.group(), term)
        for pattern, term in PATTERNS
        for hit in pattern.finditer(text)
        if not KEPT.fullmatch(hit.group())
    ]
    return [
        f"line {text[:start].count(chr(10)) + 1}: {' '.join(word.split())!r} is out; write {term}"
        for start, word, term in sorted(hits)
    ]
