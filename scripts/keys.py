"""Recorded numbers in prose: `{{voc.phone.miou:.1p}}` becomes the value there, in per cent."""

from __future__ import annotations

import re

from segcore.course import results

BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
KEY = re.compile(r"([A-Za-z]\w*(?:\.[\w-]+)+)(?::(.+))?")


class KeyProblem(ValueError):
    """A key in the prose that cannot be filled in; the message says where and why."""


def fill(text: str, where: str, full_text: str | None = None) -> str:
    """`text` with every `{{key}}` or `{{key:format}}` replaced by its recorded value.

    `where` names the file in messages; line numbers count in `full_text` (default: `text`).
    Raises KeyProblem with file, line and key when the key or its format is wrong.
    """

    def value(match: re.Match[str]) -> str:
        place = f"{where}:{line_of(match.group(0), full_text or text)}"
        parts = KEY.fullmatch(match.group(1).strip())
        if parts is None:
            raise KeyProblem(
                f"{place}: {match.group(0)} is no results key; write {{{{file.key:.1f}}}} "
                "(in LaTeX put a space between double braces)"
            )
        try:
            return formatted(results.get(parts.group(1)), parts.group(2) or "")
        except (KeyError, ValueError, TypeError) as error:
            reason = error.args[0] if error.args else error
            raise KeyProblem(f"{place}: {match.group(0)} cannot be filled in: {reason}") from error

    return BRACES.sub(value, text)


def formatted(value: object, form: str) -> str:
    """`format`, and `p` for a fraction in per cent without the sign: 0.695 as `.1p` is 69.5."""
    if form.endswith("p") and isinstance(value, int | float):
        value, form = 100 * value, form[:-1] + "f"
    return format(value, form)


def line_of(part: str, text: str) -> int:
    """The line number, from 1, on which `part` first stands in `text`; 1 if it does not."""
    return text[: max(text.find(part), 0)].count("\n") + 1
