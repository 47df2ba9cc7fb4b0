"""The beginning of a CSV file: what separates its cells, and what its columns are called.

It knows headers and the lines that may stand before one. It must not know rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from purgeengine.edges.source.columns import plain_name, recognised
from purgeengine.edges.source.csv_lines import LineBlocks
from purgeengine.edges.source.csv_records import QUOTED_LINES_MAX, split_records
from purgeengine.edges.source.rows import bytes_problem
from purgeengine.errors import InputError

DELIMITERS = (b",", b";", b"\t")
"""What may stand between cells; the header tells which."""


class Header(NamedTuple):
    """The column names, what separates them, all ``text`` before the first row, its ``lines``, and what was read beyond it."""

    names: tuple[str, ...]
    delimiter: bytes
    text: bytes
    lines: int
    rest: bytes


class _Names(NamedTuple):
    """The header as one delimiter splits it: its names, or what is wrong with it, and the lines it takes."""

    names: tuple[str, ...]
    delimiter: bytes
    lines: int
    problem: str | None


def read_header(path: Path, blocks: LineBlocks, override: Mapping[str, str]) -> Header:
    """Read on to the end of the header. Raises `InputError` when there is none, or what stands there is no text."""
    data = blocks.take(b"")
    while True:
        lines = data.splitlines(keepends=True)
        before = _lines_before(lines)
        found = _best([_names(lines[before:], delimiter, blocks.ended) for delimiter in DELIMITERS], override)
        if found and found.problem:
            raise InputError(f"{path} does not begin with a CSV header: {found.problem}. {_advice(data)}")
        if found:
            end = before + found.lines
            text = b"".join(lines[:end])
            return Header(found.names, found.delimiter, text, end, data[len(text) :])
        if blocks.ended:
            raise blocks.failure or InputError(
                f"{path} holds no header line. It needs one with at least user and contact."
            )
        data = blocks.take(data)


def _lines_before(lines: Sequence[bytes]) -> int:
    """Count the ``#TYPE`` line of PowerShell's Export-Csv, and empty lines."""
    count = 1 if lines and lines[0].startswith(b"#TYPE") else 0
    while count < len(lines) and not lines[count].strip():
        count += 1
    return count


def _names(lines: Sequence[bytes], delimiter: bytes, final: bool) -> _Names | None:
    """Split the first record; None where it needs more lines than there are."""
    for count in range(1, min(len(lines), QUOTED_LINES_MAX + 1) + 1):
        records, used = split_records(lines[:count], delimiter, final=final and count == len(lines))
        if records:
            record = records[0]
            problem = record.problem or bytes_problem(delimiter.join(record.fields))
            names = tuple(_decoded(field) for field in record.fields)
            if any(ord(character) < 32 or ord(character) == 127 for name in names for character in name):
                problem = problem or "the row holds control characters"
            return _Names(names, delimiter, used, problem)
    return None


def _best(candidates: Sequence[_Names | None], override: Mapping[str, str]) -> _Names | None:
    """The delimiter that yields most names we know, then most names at all; all three wait when one needs more lines."""
    found = [candidate for candidate in candidates if candidate]
    if len(found) < len(candidates):
        return None
    return max(found, key=lambda names: (recognised(names.names, override), len(names.names), not names.problem))


def _decoded(field: bytes) -> str:
    """A name in one line, without surrounding spaces and the byte order mark of a file that was pasted into another."""
    return plain_name(field.decode("utf-8", "replace"))


def _advice(data: bytes) -> str:
    if b"\0" in data[:4096]:
        return "If it is UTF-16 text without a byte order mark, save it as UTF-8; otherwise it is no text at all."
    return "Save it as CSV in UTF-8, with the column names in the first line."
