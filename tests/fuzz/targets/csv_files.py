"""The CSV reader: the input is the file, compressed or not.

1. Rows, or `InputError` with a sentence.
2. The same rows wherever blocks end, by the quick way and by the careful one.
3. Every line behind the header is accounted for once: it begins a row, is empty, or lies in a quoted cell of the row above.
4. User, folder and contact of a row that would be sent stand in the lines of that row, so that none is put together from two.
"""

from __future__ import annotations

import codecs
from typing import Any
from unittest import mock

from purgeengine.edges.source import csv_reader
from tests.fuzz.targets.inputs import Reading, a_file_of, check_rows, read

TOKENS = (
    b"user,contact\n", b"user;folder;contact\n", b"ann@x.example,A\n", b'"', b'""', b'",', b',"', b"\r\n", b"\r", b"\n", b"\t", b";", b"\x00",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"#TYPE x\n", b"\xed\xa0\x80", b"\xc3", b"\xe2\x80\xa8", b"row,outcome,client_request_id,",
    b"'=1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"   ", b"\x85",
)  # fmt: skip
BLOCK_SIZES = (3, 64)
"""Of files as they lie; an archive of a few bytes may unpack to millions, and is read in larger pieces."""
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def case(data: bytes) -> None:
    """One file."""
    if data.startswith(b"PAR1"):
        return
    with a_file_of(data) as path:
        whole = read(path)
        blocks = (1 << 16,) if data.startswith(_COMPRESSED) else BLOCK_SIZES
        others = [read(path, block_bytes) for block_bytes in blocks]
        with mock.patch.object(csv_reader.CsvTable, "_plain", return_value=None):
            others.append(read(path))
    check_rows(whole.rows)
    for other in others:
        assert (other.refused is None) == (whole.refused is None), (whole.refused, other.refused)
        if whole.refused is None:  # where an archive breaks off, blocks decide how much of it can be read
            assert other.rows == whole.rows
    if whole.refused is None and not data.startswith(_COMPRESSED):
        check_lines(text_of(data), whole)


def text_of(data: bytes) -> bytes | None:
    """The text as UTF-8, or None where it holds half characters."""
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-16").encode()
    except UnicodeDecodeError:
        return None


def check_lines(text: bytes | None, reading: Reading) -> None:
    """See 3 and 4 above."""
    if text is None:
        return
    lines = text.splitlines()
    begins: dict[int, dict[str, Any]] = {row["line"]: row for row in reading.rows}
    assert all(reading.header_lines < line <= len(lines) for line in begins)
    first = latest = 0
    for number in range(reading.header_lines + 1, len(lines) + 2):
        if (number in begins or number > len(lines)) and latest:
            check_cells(begins[latest], b"\n".join(lines[first : number - 1]))
        if number in begins:
            assert lines[number - 1].strip(b" "), f"line {number} is empty and a row"
            first, latest = number - 1, number
        elif number <= len(lines) and lines[number - 1].strip(b" "):
            assert latest, f"line {number} is lost"
            assert b'"' in lines[latest - 1], f"line {number} is lost"


def check_cells(row: dict[str, Any], text: bytes) -> None:
    """What would be sent stands in the row's own lines, quotes apart."""
    if row["reason"] is None:
        assert all(row[role].encode() in text.replace(b'"', b"") for role in ("user", "folder", "contact")), row
