"""The CSV reader. The input is the file, compressed or not.

1. The result is rows, or `InputError` with a sentence.
2. The rows are equal wherever blocks end, in the quick and in the careful way.
3. What would be sent is what Python's ``csv`` with strict quoting reads: the same rows in the same lines if the file is accepted, and
   only such rows if it is refused after some of them.
4. A file whose quoting that reader refuses is refused.
"""

from __future__ import annotations

import codecs
import re
from unittest import mock

from purgeengine.core.graph.identifiers import row_problem
from purgeengine.edges.source.formats import csv_reader
from purgeengine.edges.source.formats.csv_header import has_roles
from purgeengine.edges.source.formats.csv_reader import CsvTable
from tests.fuzz.targets.inputs import Reading, a_file_of, check_rows, read
from tests.support.csv_oracle import OracleRow, oracle_of

TOKENS = (
    b"user,contact\n", b"user;folder;contact\n", b"ann@x.example,A\n", b'"', b'""', b'",', b',"', b"\r\n", b"\r", b"\n", b"\t", b";", b"\x00",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"#TYPE x\n", b"\xed\xa0\x80", b"\xc3", b"\xe2\x80\xa8", b"row,outcome,client_request_id,",
    b"'=1", b"sep=;\n", b";;\n", b'\\"', b'"x" ', b'a"b', b"ann@x.example,A,\"a\nbob@x.example,B\n", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"   ", b"\x85",
)  # fmt: skip
BLOCK_SIZES = (3, 64)
"""Block sizes in bytes for files as they are.

An archive of a few bytes may unpack to millions, and is read in larger pieces.
"""
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def case(data: bytes) -> None:
    """Check one file."""
    if data.startswith(b"PAR1"):
        return
    with a_file_of(data) as path:
        whole = read(path)
        blocks = (1 << 16,) if data.startswith(_COMPRESSED) else BLOCK_SIZES
        others = [read(path, block_bytes) for block_bytes in blocks]
        with mock.patch.object(csv_reader, "plain_columns", return_value=None):
            others.append(read(path))
    check_rows(whole.rows)
    for other in others:
        assert (other.refused is None) == (whole.refused is None), (whole.refused, other.refused)
        if whole.refused is None:  # if an archive breaks off, blocks decide how much of it can be read
            assert other.rows == whole.rows
    if whole.table and not data.startswith(_COMPRESSED):
        check_oracle(data, whole, whole.table)


def text_of(data: bytes) -> bytes | None:
    """Return the text as UTF-8. None if it has half characters."""
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-16").encode()
    except UnicodeDecodeError:
        return None


def check_oracle(data: bytes, reading: Reading, table: CsvTable) -> None:
    """Check promises 3 and 4 above."""
    text = text_of(data)
    if text is None:
        return
    header = table._header
    oracle = oracle_of(text[len(header.text) :].decode("utf-8", "replace"), header.delimiter.decode(), header.lines + 1)
    rows = [row for row in oracle.rows if not is_no_row(row, table)]
    sendable = [found for row in rows if (found := sendable_of(row, table))]
    sent = [(row["line"], row["user"], row["folder"], row["contact"]) for row in reading.rows if row["reason"] is None]
    if reading.refused is None:
        assert not oracle.wrong, "a file was accepted whose quoting is wrong"
        assert [row["line"] for row in reading.rows] == [row.line for row in rows]
        assert sent == sendable
    else:
        assert sent == sendable[: len(sent)]


def is_no_row(row: OracleRow, table: CsvTable) -> bool:
    """True if files were put together here: a repeated header, or the line before it."""
    names = [name.replace("\ufeff", "") for name in row.cells]
    return (len(names) == 1 and names[0].startswith("#TYPE ")) or has_roles(names, table._override)


def sendable_of(row: OracleRow, table: CsvTable) -> tuple[int, str, str, str] | None:
    """Return line, user, folder and contact if all three may be sent and the row has no hole."""
    layout = table.layout
    if len(row.cells) != len(layout.names) or any("\0\0" in cell for cell in row.cells):
        return None
    cells = [re.sub(r"^'([=+\-@\t\r'])", r"\1", cell) if layout.is_export else cell for cell in row.cells]
    user, contact = cells[layout.user].strip(), cells[layout.contact].strip()
    folder = cells[layout.folder].strip() if layout.folder is not None else ""
    return None if row_problem(user, folder, contact) else (row.line, user, folder, contact)
