r"""Tests of CSV that has different rows if a backslash escapes a quote: such a file is refused, and any other is read."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from purgeengine.edges.source import open_source
from purgeengine.errors import InputError
from tests.support.properties import examples
from tests.support.source_fixtures import a_file, records

HEADER = "user,contact,note\n"
HIDDEN = 'ann@x,A1,"a\\"\nvictim@x,V9,"\nann@x,A2,x\\"\n'
"""With doubled quotes the second row is the victim's; with backslash escapes it is part of Ann's note."""
PIECES = ['"', '\\"', '"a\\"\n', "\n", "ann@x,A1,", 'bob@x,B2,"', 'victim@x,V9,"\n', 'x\\"\n', "x\n", '"b"\n']


def rows_of(text: str, escape: str | None = None) -> list[tuple[str, ...]] | None:
    """Return what Python's csv reads: the number of cells, user and contact of each row; None if it refuses the text."""
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), strict=True, escapechar=escape))
    except csv.Error:
        return None
    return [(str(len(row)), *row[:2]) for row in found if row]


def test_a_row_that_is_hidden_in_a_note_of_the_other_kind_is_not_sent(tmp_path: Path) -> None:
    """A file that hides a row in a note is refused with the line, the character found there and the remedy."""
    with pytest.raises(
        InputError,
        match=r"in line 3 a backslash stands before .* each gives different rows\. Save the list again",
    ):
        records(open_source([a_file(tmp_path, HEADER + HIDDEN)]))


@pytest.mark.parametrize(
    "rows",
    ['ann@x,A1,"C:\\dir\\"\nbob@x,B2,c\n', 'ann@x,A1,"C:\\a\\"\nbob@x,B2,"D:\\b\\"\n', 'ann@x,A1,"\\\\"\nbob@x,B2,c\n'],
)
def test_a_cell_may_end_with_a_backslash(tmp_path: Path, rows: str) -> None:
    """A cell may end with a backslash if the other kind of CSV cannot be read or gives the same rows."""
    assert [row["user"] for row in records(open_source([a_file(tmp_path, HEADER + rows)]))] == ["ann@x", "bob@x"]


@examples(150)
@example(pieces=HIDDEN.splitlines(keepends=True), block_bytes=1)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=10), block_bytes=st.sampled_from([1, 7, 1 << 20]))
def test_only_what_both_kinds_read_alike_is_read(pieces: list[str], block_bytes: int) -> None:
    """Text that Python's csv reads in two ways is refused, as is text that it cannot read."""
    text = "".join(pieces)
    first, other = rows_of(text), rows_of(text, escape="\\")
    if first is None or (other is not None and first != other):
        with TemporaryDirectory() as folder, pytest.raises(InputError):
            records(open_source([a_file(Path(folder), HEADER + text)], block_bytes=block_bytes))
