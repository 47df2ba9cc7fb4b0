"""Bad rows stay in their place with a reason and a line number, and the rows around them are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.edges.source import open_source
from tests.source_fixtures import CONTACT, USER, a_file, records, rows_of

GOOD = f"{USER},,{CONTACT},fine\n".encode()
HEADER = b"user,folder,contact,note\n"
BLOCKS = pytest.mark.parametrize("block_bytes", [11, 1 << 20])

BAD_LINES = [
    (b"ann@x,,A\n", "the row has 3 cells where the header has 4"),
    (b"ann@x,,A,n,m\n", "the row has 5 cells where the header has 4"),
    (b"just text\n", "the row has 1 cell where the header has 4"),
    (b"ann@x,,A,caf\xe9\n", "the row holds bytes that are not UTF-8 text"),
    (b"ann\xff@x,,A,n\n", "the row holds bytes that are not UTF-8 text"),
    (b"ann@x,,A,\xed\xa0\x80\n", "the row holds half of a surrogate pair, which is no character"),
    (b"ann@x,,A\x00,n\n", "the row holds a NUL character"),
    (b"ann@x,,A,\x00\n", "the row holds a NUL character"),
    (b"ann@x,,A\x07,n\n", "the contact id holds a character that no Graph id has"),
    (b"ann@x,..,A,n\n", "the folder id holds a character that no Graph id has"),
    (b",,A,n\n", "the user is empty"),
    (b"ann@x,,,n\n", "the contact id is empty"),
    (b"ann@x,,A," + b"n" * 32_769 + b"\n", "the row has a cell of more than 32 KiB"),
    (b"ann@x,,A," + b"n" * 262_145 + b"\n", "the row is longer than 256 KiB"),
    (b"n" * 3_000_000 + b"\n", "the row is longer than 256 KiB"),
    (b'ann@x,,A,"' + b"n" * 262_145 + b'"\n', "the row is longer than 256 KiB"),
    (b'ann@x,,A,"open\n', "the row opens a quote that is not closed within 64 lines"),
    (b'ann@x,"open,A,n\n', "the row opens a quote that is not closed within 64 lines"),
]


@BLOCKS
@pytest.mark.parametrize(("bad", "reason"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_row_stays_in_its_place(tmp_path: Path, bad: bytes, reason: str, block_bytes: int) -> None:
    """The good rows before and after it keep their text and their line numbers."""
    if block_bytes < 100 and len(bad) > 300_000:
        block_bytes = 60_000  # smaller ones take seconds to no other effect
    found = rows_of(tmp_path, HEADER + GOOD * 2 + bad + GOOD * 2, block_bytes=block_bytes)
    assert [row.line for row in found] == [2, 3, 4, 5, 6]
    assert found[2].reason == reason
    assert {row[1:] for row in found[:2] + found[3:]} == {(USER, "", CONTACT, None)}


def test_the_limits_themselves_are_allowed(tmp_path: Path) -> None:
    """A cell of exactly 32 KiB, in a block of its own or not, is no mistake."""
    text = HEADER + b"ann@x,,A," + b"n" * 32_768 + b"\n" + GOOD
    for block_bytes in (1_000, 1 << 20):
        assert [row.reason for row in rows_of(tmp_path, text, block_bytes=block_bytes)] == [None, None]


def test_a_bad_row_shows_what_it_holds(tmp_path: Path) -> None:
    """Cells are taken by position, bad bytes replaced, long ones cut, missing ones empty or null: enough to find the row."""
    bad = [b"ann@x\n", b"b\xff@x,,A,n\n", b"c@x,,A\x00,n\n", b"d@x,,A,%s\n" % (b"n" * 40_000), b"e@x,f,A,n,too,many\n"]
    found = records(open_source([a_file(tmp_path, HEADER + b"".join(bad))]))
    assert [(r["user"], r["folder"], r["contact"], r["note"]) for r in found] == [
        ("ann@x", "", "", None),
        ("b\ufffd@x", "", "A", "n"),
        ("c@x", "", "A\ufffd", "n"),
        ("d@x", "", "A", "n" * 1_000 + "…"),
        ("e@x", "f", "", "n"),
    ]
    assert all(r["reason"] for r in found)


@BLOCKS
def test_a_quote_never_closed_costs_only_its_row(tmp_path: Path, block_bytes: int) -> None:
    """A hundred good rows follow an open quote: all of them are read."""
    found = rows_of(tmp_path, HEADER + b'ann@x,,A,"open\n' + GOOD * 100, block_bytes=block_bytes)
    assert [row.line for row in found] == list(range(2, 103))
    assert [row.reason is None for row in found] == [False] + [True] * 100


@BLOCKS
def test_a_quote_closed_by_another_rows_quote_pairs_nothing(tmp_path: Path, block_bytes: int) -> None:
    """The mailbox of one row never meets the contact of another: both rows are invalid, the third is not."""
    text = b'user,note,contact\na@x,"one,A1\nb@x,"two,B2\nc@x,three,C3\n'
    found = rows_of(tmp_path, text, block_bytes=block_bytes)
    assert [(row.line, row.user, row.reason) for row in found] == [
        (2, "a@x", "the row opens a quote that is closed in the middle of a later line"),
        (3, "b@x", "the row opens a quote that is not closed within 64 lines"),
        (4, "c@x", None),
    ]


def test_an_open_quote_in_the_second_line_of_a_row_costs_those_two_lines(tmp_path: Path) -> None:
    """Reading goes on after the line in which the quote was opened."""
    text = b'user,note,contact,note2\na@x,"one\ntwo",A1,"open\nb@x,n,B2,m\n'
    found = rows_of(tmp_path, text)
    assert [(row.line, row.user, row.contact, bool(row.reason)) for row in found] == [
        (2, "a@x", "A1", True),
        (4, "b@x", "B2", False),
    ]


def test_sixty_four_lines_are_a_note_and_sixty_five_are_a_slip(tmp_path: Path) -> None:
    """The bound of a quoted cell is exact, whether or not the quote is closed later."""
    for lines, expected in ((64, [None]), (65, ["the row opens a quote that is not closed within 64 lines"])):
        note = b"\n".join([b"n"] * lines)
        found = rows_of(tmp_path, HEADER + b'ann@x,,A,"' + note + b'"\n')
        assert [row.reason for row in found][:1] == expected


def test_a_note_of_many_bytes_is_bounded_too(tmp_path: Path) -> None:
    """A quoted cell over few long lines ends at 256 KiB, and one of more than 32 KiB is still one row."""
    open_quote = HEADER + b'ann@x,,A,"open\n' + (b"ann@x,,A," + b"n" * 30_000 + b"\n") * 12
    assert [bool(row.reason) for row in rows_of(tmp_path, open_quote)] == [True] + [False] * 12
    closed = HEADER + b'ann@x,,A,"' + (b"n" * 20_000 + b"\n") * 2 + b'"\n' + GOOD
    assert [(row.line, row.reason) for row in rows_of(tmp_path, closed)] == [
        (2, "the row has a cell of more than 32 KiB"),
        (5, None),
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
def test_half_a_surrogate_pair_in_utf16_is_a_bad_row(tmp_path: Path, encoding: str, block_bytes: int) -> None:
    """In the middle of a file and at its very end, also where the pieces of the stream split a pair."""
    text = "\ufeffuser,contact,note" + "".join(
        f"\n{USER},{CONTACT},{note}" for note in ("\U0001f600", "\ud83d", "x", "\ud83d")
    )
    path = a_file(tmp_path, text.encode(encoding, "surrogatepass"))
    found = records(open_source([path], block_bytes=block_bytes))
    half = "the row holds half of a surrogate pair, which is no character"
    assert [(r["line"], r["reason"]) for r in found] == [(2, None), (3, half), (4, None), (5, half)]
    assert found[0]["note"] == "\U0001f600"


def test_half_a_character_at_the_end_of_utf16_is_a_bad_row(tmp_path: Path) -> None:
    """A file cut between two bytes loses its last row and says so."""
    text = f"\ufeffuser,contact\n{USER},{CONTACT}\n{USER},{CONTACT}".encode("utf-16-le")
    found = rows_of(tmp_path, text + b"A")
    assert [row.reason for row in found] == [None, "the row holds bytes that are not UTF-8 text"]


def test_every_kind_at_once(tmp_path: Path) -> None:
    """All bad lines in one file, good ones between them: the order and the numbers hold."""
    short = [(bad, reason) for bad, reason in BAD_LINES if b'"' not in bad and len(bad) < 100_000]
    content = HEADER + b"".join(GOOD + bad for bad, _ in short) + GOOD
    found = rows_of(tmp_path, content)
    assert [row.line for row in found] == list(range(2, 2 * len(short) + 3))
    assert [row.reason for row in found] == [text for _, reason in short for text in (None, reason)] + [None]


@pytest.mark.parametrize("row", [b"ann@x,A,B\n", b"ann@x,hello, world,A,B\n"], ids=["short", "long"])
def test_a_row_of_shifted_cells_has_no_contact(tmp_path: Path, row: bytes) -> None:
    """Its export has the right number of cells again, and must not be taken for a row that names another contact."""
    (found,) = rows_of(tmp_path, b"user,note,contact,earlier contact\n" + row)
    assert (found.user, found.contact) == ("ann@x", "")
    assert "cells where the header has 4" in (found.reason or "")
