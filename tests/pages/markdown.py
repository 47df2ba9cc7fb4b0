"""Tables and escaped text for generated parts of pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_OPTION = re.compile(r"(?<![\w`/=-])(--[a-z][a-z0-9-]*|-o)(?![\w-])")
_SPECIAL = re.compile(r"([\\`*<>|]|\b_|_\b|\[(?=[^\]]*\]\())")
"""What Markdown would read. Underscores within words and brackets that are no links are text."""
_QUOTED = re.compile(r"(`[^`]*`)")


def escaped(text: str) -> str:
    """Return running text that Markdown shows as it is. Options become code."""
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    parts = _OPTION.split(text)
    return "".join(f"`{part}`" if number % 2 else _SPECIAL.sub(r"\\\1", part) for number, part in enumerate(parts))


def code(text: str) -> str:
    """Return text as code that may stand in a cell of a table."""
    return "`" + text.replace("|", "\\|") + "`"


def from_docstring(text: str) -> str:
    """Return a docstring as one line of Markdown: double backquotes become single ones, and the rest is escaped."""
    parts = _QUOTED.split(" ".join(text.replace("``", "`").split()))
    return "".join(part if number % 2 else _escaped(part) for number, part in enumerate(parts))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. The cells are Markdown already."""
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:], ""])


def between(page: str, name: str) -> str:
    """Return what stands between the marks of a generated part. Raises `ValueError` if the page has not exactly one such place."""
    begin, end = _marks(name)
    inside, found, _ = page.partition(begin)[2].partition(end)
    if page.count(begin) != 1 or not found:
        raise ValueError(f"The page needs one {begin.strip()} and one {end.strip()}.")
    return inside


def replaced(page: str, name: str, text: str) -> str:
    """Return the page with this text between the marks of a generated part."""
    begin, end = _marks(name)
    return page.replace(f"{begin}{between(page, name)}{end}", f"{begin}{text}{end}")


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- generated: {name} -->\n\n", f"\n<!-- end of {name} -->\n"
