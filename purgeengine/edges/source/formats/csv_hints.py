"""Guess, from the first lines of a CSV file, why a needed column seems to be missing.

This module knows what headers and rows look like. It ignores quotes, because a hint only explains: it never decides
what is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from purgeengine.core.graph.identifiers import is_id, is_user
from purgeengine.core.graph.unlikely_ids import unlikely
from purgeengine.edges.source.formats.csv_header import DELIMITERS, TITLE_ROWS_MAX, Header, has_roles
from purgeengine.edges.source.rows.column_names import plain_name
from purgeengine.edges.source.rows.columns import Roles

LINES_MAX = 2_000
"""Lines in which a header that stands too low is looked for. No title is longer."""
LINE_CHARS_MAX = 64 * 1024
"""Characters of a line that are looked at. The names of a header may be that long together."""
OTHER_DELIMITERS = ("|", ":", "^", "~")
"""Delimiters that a line ``sep=`` may name, besides those that are found without such a line."""
_RULE = re.compile(r"\s*-+(\s+-+)*\s*")
"""The line of hyphens under the names of a table."""
_PROPERTY = re.compile(r"\w+ +: ")
"""The beginning of a line in a list of properties, with one property on each line."""


def header_hint(header: Header, override: Mapping[str, str]) -> str:
    """Return a sentence about what is probably wrong with a file that lacks a needed column. Empty if there is no guess."""
    lines = [
        line[:LINE_CHARS_MAX].decode("utf-8", "replace")
        for line in (header.text + header.rest).split(b"\n", LINES_MAX)[:LINES_MAX]
    ]
    is_table = any(_RULE.fullmatch(line.rstrip("\r")) for line in lines[1 : TITLE_ROWS_MAX + 2])
    if is_table or sum(_PROPERTY.match(line) is not None for line in lines[: TITLE_ROWS_MAX + 1]) > 1:
        return (
            "This is what PowerShell shows on the screen, and no CSV: make the list with Export-Csv -NoTypeInformation."
        )
    delimiter = header.delimiter.decode()
    if _is_row(header.names, override):
        return f"Line {header.lines:,} looks like a row: the header is missing. Put the names of the columns above it."
    for other in OTHER_DELIMITERS:
        if other != delimiter and any(has_roles(_names(line, other), override) for line in lines[: TITLE_ROWS_MAX + 1]):
            return (
                f"The cells seem to be separated by '{other}': write sep={other} into the first line, above the header."
            )
    for number, line in enumerate(lines[TITLE_ROWS_MAX + 1 :], start=TITLE_ROWS_MAX + 2):
        if any(has_roles(_names(line, one.decode()), override) for one in DELIMITERS):
            return (
                f"Line {number:,} looks like a header, and only the first {TITLE_ROWS_MAX} lines are searched for one. Remove the "
                "lines above it."
            )
    return ""


def _names(line: str, delimiter: str) -> list[str]:
    return [plain_name(cell.strip().strip('"')) for cell in line.split(delimiter)]


def _is_row(names: Sequence[str], override: Mapping[str, str]) -> bool:
    """True if the cells in place of the header are a user and an id. An id alone is enough if ``--user`` names the user."""
    cells = [name.strip() for name in names]
    users = [cell for cell in cells if is_user(cell)]
    if users:
        return any(is_id(cell) for cell in cells if cell != users[0])
    given = isinstance(override, Roles) and override.user is not None
    return given and any(is_id(cell) and unlikely(cell) is None for cell in cells)
