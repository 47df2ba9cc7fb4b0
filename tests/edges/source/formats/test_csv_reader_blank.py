"""Tests of blank rows in CSV: a run of them is skipped at once, and every later row keeps its line number."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from purgeengine.edges.source import open_source
from purgeengine.edges.source.formats.csv_blank import blank_rows
from purgeengine.edges.source.formats.csv_records import CELLS_MAX, QuotingError, Scanner
from purgeengine.edges.source.rows.notes import NoteKind
from tests.support.source_fixtures import a_file, records

PIECES = [b"\n", b"\r\n", b"\r", b",", b";", b" ", b"\t", b"\v", b'""', b'"', b"x"]


def blank_by_scanner(data: bytes, delimiter: bytes) -> tuple[int, int, int]:
    """Return where the leading blank records end, how many they are, and how many of them have several cells."""
    scanner, at, count, with_cells = Scanner(delimiter, 1), 0, 0, 0
    try:
        while at < len(data):
            record, after = scanner.read(data, at)
            if record is None or not record.is_blank:
                break
            at, count, with_cells = after, count + 1, with_cells + (record.cell_count > 1)
    except QuotingError:
        pass
    return at, count, with_cells


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t"])
def test_a_run_of_blank_rows_is_what_the_scanner_reads_as_blank_records(delimiter: bytes) -> None:
    """On random text, the fast skip takes only rows that the scanner reads as blank, and counts them in the same way."""
    draw = random.Random(13)
    passed = 0
    for _ in range(5_000):
        data = b"".join(draw.choices(PIECES, weights=[6, 3, 3, 5, 2, 3, 2, 1, 3, 1, 1], k=draw.randrange(1, 25)))
        found = blank_rows(data, 0, len(data), delimiter)
        end, lines, with_cells = blank_by_scanner(data, delimiter)
        if found:
            passed += 1
            again = blank_by_scanner(data[: found.end], delimiter)
            assert again == (found.end, found.lines, found.with_cells)
            assert found.end <= end
            assert (found.lines, found.with_cells) <= (lines, with_cells)
        passed_to = found.end if found else 0
        if passed_to < end:  # the rows left over hold quotes
            assert b'"' in data[passed_to:end]
    assert passed > 1_000


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("block_bytes", [7, 64, 1 << 20])
def test_rows_after_blank_ones_keep_their_line_and_the_note_counts_them(
    tmp_path: Path, line_end: bytes, block_bytes: int
) -> None:
    """Rows after blank ones keep their line numbers, whatever the block size.

    Rows of empty cells are counted in a note; empty lines are not.
    """
    lines = [b"user,contact", b"", b"", b"ann@x,A", b"", b" ,\t", b'"",""', b'" ",', b"", b"ann@x,B", b",", b"bad", b""]
    source = open_source([a_file(tmp_path, line_end.join(lines) + line_end)], block_bytes=block_bytes)
    assert [(row["line"], row["contact"]) for row in records(source)] == [(4, "A"), (10, "B"), (12, "")]
    assert source.look.notes.counts[NoteKind.EMPTY_ROWS] == 4
    assert source.look.notes.first[NoteKind.EMPTY_ROWS][1].line == 6


def test_a_row_of_more_cells_than_any_file_has_is_not_blank(tmp_path: Path) -> None:
    """A row with more cells than the limit is invalid and not blank, and all of its cells are counted."""
    data = b"user,contact\n\n\n" + b"," * CELLS_MAX + b"\n" + b"x," * 50_000 + b"\nann@x,A\n"
    found = records(open_source([a_file(tmp_path, data)]))
    assert [(row["line"], row["reason"]) for row in found] == [
        (4, f"the row has {CELLS_MAX + 1} cells where the header has 2"),
        (5, "the row has 50001 cells where the header has 2"),
        (6, None),
    ]
