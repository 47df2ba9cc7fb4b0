"""Tests of bad rows: each keeps its place with a reason and a line number, and the rows around it are read correctly."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from purgeengine.cli.main import run
from purgeengine.edges.source import open_source
from purgeengine.edges.source.rows.notes import NoteKind
from purgeengine.errors import InputError
from tests.support.source_fixtures import CONTACT, USER, a_file, notes_of, records, rows_of

GOOD = f"{USER},,{CONTACT},fine\n".encode()
HEADER = b"user,folder,contact,note\n"
BLOCKS = pytest.mark.parametrize("block_bytes", [11, 1 << 20])

BAD_LINES = [
    (b"ann@x,,A\n", "the row has 3 cells where the header has 4"),
    (b"ann@x,,A,n,m\n", "the row has 5 cells where the header has 4"),
    (b"just text\n", "the row has 1 cell where the header has 4"),
    (b"ann\xff@x,,A,n\n", "the row holds bytes that are not UTF-8 text"),
    (b"ann\xe9@x,,A,n\n", "the row holds bytes that are not UTF-8 text but look like ANSI: save the list as CSV UTF-8"),
    (b"ann@x,\xed\xa0\x80,A,n\n", "the row holds half of a surrogate pair, which is no character"),
    (b"ann@x,,A\x00,n\n", "the row holds a NUL character"),
    (b"ann@x,,A,a\x00\x00b\n", "the row holds a NUL character"),
    (b"ann@x,,A," + b"a" * 40_000 + b"\x00\x00b\n", "the row holds a NUL character"),
    (b"ann@x,,A\x07,n\n", "the contact id holds a character that no Graph id has"),
    (b"ann@x,..,A,n\n", "the folder id holds a character that no Graph id has"),
    (b",,A,n\n", "the user is empty"),
    (b"ann@x,,,n\n", "the contact id is empty"),
    (b"ann@x,," + b"A" * 32_769 + b",n\n", "the row has a cell of more than 32 KiB"),
    (b'"' + b"n" * 300_000 + b'",,A,n\n', "the row has a cell of more than 32 KiB"),
    (b"n" * 3_000_000 + b"\n", "the row has 1 cell where the header has 4"),
    (b"," * 50_000 + b"\n", "the row has 50001 cells where the header has 4"),
]


@BLOCKS
@pytest.mark.parametrize(("bad", "reason"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_row_stays_in_its_place(tmp_path: Path, bad: bytes, reason: str, block_bytes: int) -> None:
    """A bad row has its reason, and the good rows before and after it keep their text and line numbers."""
    if block_bytes < 100 and len(bad) > 300_000:
        block_bytes = 60_000  # smaller blocks take seconds and prove nothing more
    found = rows_of(tmp_path, HEADER + GOOD * 2 + bad + GOOD * 2, block_bytes=block_bytes)
    assert [row.line for row in found] == [2, 3, 4, 5, 6]
    assert found[2].reason == reason
    assert {row[1:] for row in found[:2] + found[3:]} == {(USER, "", CONTACT, None)}


def test_the_limits_themselves_are_allowed(tmp_path: Path) -> None:
    """A cell of exactly 32 KiB is valid, whatever the block size."""
    text = HEADER + b"ann@x,,A," + b"n" * 32_768 + b"\n" + GOOD
    for block_bytes in (1_000, 1 << 20):
        assert [row.reason for row in rows_of(tmp_path, text, block_bytes=block_bytes)] == [None, None]


def test_a_bad_row_shows_what_it_holds(tmp_path: Path) -> None:
    """A bad row shows what it holds, so that people can find it: bad bytes are replaced, long cells cut, missing cells empty."""
    bad = [b"ann@x\n", b"b\xff@x,,A,n\n", b"c@x,,A\x00,n\n", b"d@x,,%s,n\n" % (b"A" * 40_000), b"e@x,f,A,n,too,many\n"]
    found = records(open_source([a_file(tmp_path, HEADER + b"".join(bad))]))
    assert [(r["user"], r["folder"], r["contact"], r["note"]) for r in found] == [
        ("ann@x", "", "", None),
        ("b\ufffd@x", "", "A", "n"),
        ("c@x", "", "A\ufffd", "n"),
        ("d@x", "", "A" * 1_000 + "…", "n"),
        ("e@x", "f", "", "n"),
    ]
    assert all(r["reason"] for r in found)


CELLS_OF_NO_MATTER = [
    (b"M\xfcller", "M\ufffdller", NoteKind.CELLS_REPLACED),
    (b"a\x00b", "a\ufffdb", NoteKind.CELLS_REPLACED),
    (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd", NoteKind.CELLS_REPLACED),
    (b"n" * 32_769, "n" * 1_000 + "…", NoteKind.CELLS_CUT),
    (b'"' + b"n\n" * 3_000_000 + b'"', "n\n" * 500 + "…", NoteKind.CELLS_CUT),
    (b'"' + "😀".encode() * 100_000 + b'"', "😀" * 1_000 + "…", NoteKind.CELLS_CUT),
]


@pytest.mark.parametrize("block_bytes", [60_000, 1 << 20])
@pytest.mark.parametrize(("cell", "shown", "kind"), CELLS_OF_NO_MATTER, ids=range(len(CELLS_OF_NO_MATTER)))
def test_a_cell_that_nobody_needs_spoils_no_row(
    tmp_path: Path, cell: bytes, shown: str, kind: NoteKind, block_bytes: int
) -> None:
    """A bad cell in an extra column does not make its row invalid. It is replaced or cut, and noted with its line."""
    source = open_source(
        [a_file(tmp_path, HEADER + GOOD + b"bob@x,,B," + cell + b"\n" + GOOD)], block_bytes=block_bytes
    )
    found = records(source)
    assert [(r["user"], r["contact"], r["note"], r["reason"]) for r in found] == [
        (USER, CONTACT, "fine", None),
        ("bob@x", "B", shown, None),
        (USER, CONTACT, "fine", None),
    ]
    assert found[2]["line"] == 4 + cell.count(b"\n")
    noted = notes_of(source)
    assert {found: (one.times, one.line) for found, one in noted.items()} == {kind: (1, 3)}


def test_a_row_that_is_too_long_in_all_is_sent_with_its_other_cells_cut(tmp_path: Path) -> None:
    """A row that is too long in all is sent, and its extra cells are cut, even if each of them is short enough."""
    header = b"user,contact," + b",".join(b"n%d" % n for n in range(20)) + b"\n"
    source = open_source([a_file(tmp_path, header + b"ann@x,A" + (b"," + b"n" * 30_000) * 20 + b"\n")])
    (found,) = records(source)
    assert (found["user"], found["contact"], found["reason"], found["n7"]) == ("ann@x", "A", None, "n" * 1_000 + "…")
    assert notes_of(source)[NoteKind.CELLS_CUT].times == 20


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_cell_of_many_mebibytes_is_not_held(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """A quoted cell of 64 MiB is not held in memory, and the rows around it are read."""
    cell = b'"' + (b"eve@x,,E,n\n" + b'""' + b"n" * 1_000) * 64_000 + b'"'
    path = a_file(tmp_path, compress(HEADER + GOOD + b"bob@x,,B," + cell + b"\n" + GOOD))
    tracemalloc.start()
    found = records(open_source([path]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(row["user"], row["reason"]) for row in found] == [(USER, None), ("bob@x", None), (USER, None)]
    assert peak < 24 << 20


FAULTS = [
    (b'ann@x,,A,"open\n' + GOOD * 3, "line 3 a cell opens a quote that is never closed"),
    (b'"ann@x,,A,n\n' + GOOD * 3, "line 3 a cell opens a quote that is never closed"),
    (b'"\n' + GOOD * 3, "line 3 a cell opens a quote that is never closed"),
    (b'ann@x,,A,"n\nm","k', "line 4 .*never closed"),
    (b'ann@x,,A,"n"m\n', "line 3 text follows the closing quote"),
    (b'ann@x,,A,"n" \n', "line 3 text follows the closing quote"),
    (b'ann@x,,"A,n\n"bob@x",,B,n\n', r"line 4 text follows .*the cell begins in line 3"),
    (b'ann@x,,A,5" pipe\n', "line 3 a quote stands inside a cell"),
    (b'ann@x,,A,a"b"\n', "line 3 a quote stands inside a cell"),
    (b'ann@x,,A, "b"\n', "line 3 spaces stand between a delimiter and the quote"),
    (b'ann@x,,A,"a\\"b"\n', r"line 3 a quote is escaped with a backslash"),
    (b'ann@x,,A,"12\\", wide"\n', r"line 3 a quote is escaped with a backslash"),
    (b'ann@x,,A,a\\"b\n', r"line 3 a quote is escaped with a backslash"),
    (b"user,contact,folder,note\n", "line 3 is a header again, with other columns"),
    (b"user,contact\n", "line 3 is a header again, with other columns"),
]


@BLOCKS
@pytest.mark.parametrize(("text", "said"), FAULTS, ids=range(len(FAULTS)))
def test_a_file_that_cannot_be_read_with_certainty_is_refused(
    tmp_path: Path, text: bytes, said: str, block_bytes: int
) -> None:
    """A file with misplaced quotes or a second header is refused with the line and the fault, and no row after it is read."""
    source = open_source([a_file(tmp_path, HEADER + GOOD + text + GOOD)], block_bytes=block_bytes)
    found: list[dict[str, object]] = []
    with pytest.raises(InputError, match=said):
        found.extend(row for batch in source.batches() for row in batch.to_pylist())
    assert [row["line"] for row in found] in ([], [2])


@pytest.mark.parametrize("command", ["plan", "check", "dry-run", "run"])
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_nothing_is_sent_of_an_input_with_such_a_file(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    packed: Callable[[bytes], bytes],
) -> None:
    """An input with one unreadable file ends every command with exit code 2, and no row of the other file is sent or staged."""
    monkeypatch.setenv("PURGEENGINE_ACCESS_TOKEN", "never.looked.at")
    good = a_file(tmp_path, HEADER + GOOD * 3, "a.csv")
    bad = a_file(tmp_path, packed(HEADER + GOOD * 3 + b'ann@x,,A,"open\n' + GOOD), "b.dat")
    ledger = ["--ledger", str(tmp_path / "L"), "--yes"]
    words = {
        "plan": ["plan"],
        "check": ["check", "--strict"],
        "dry-run": ["run", *ledger, "--dry-run"],
        "run": ["run", *ledger],
    }
    name, *options = words[command]
    assert run([name, str(good), str(bad), *options]) == 2
    said = capsys.readouterr()
    assert "in line 5 a cell opens a quote that is never closed" in " ".join((said.out + said.err).split())
    assert not (tmp_path / "L" / "ledger.sqlite").exists()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
def test_half_a_surrogate_pair_in_utf16_is_a_bad_row(tmp_path: Path, encoding: str, block_bytes: int) -> None:
    """Half a surrogate pair in UTF-16 is a bad row, also at the end of the file and where a block splits a pair."""
    text = "\ufeffnote,user,contact" + "".join(
        f"\n{note},{USER},{CONTACT}{note[1:]}{note if ord(note[0]) == 0xD83D else chr(0)[:0]}"
        for note in ("\U0001f600", "\ud83d", "x", "\ud83d")
    )
    path = a_file(tmp_path, text.encode(encoding, "surrogatepass"))
    found = records(open_source([path], block_bytes=block_bytes))
    half = "the row holds half of a surrogate pair, which is no character"
    assert [(r["line"], r["reason"]) for r in found] == [(2, None), (3, half), (4, None), (5, half)]
    assert found[0]["note"] == "\U0001f600"


def test_half_a_character_at_the_end_of_utf16_is_a_bad_row(tmp_path: Path) -> None:
    """A UTF-16 file that was cut within a character has a bad last row."""
    text = f"\ufeffuser,contact\n{USER},{CONTACT}\n{USER},{CONTACT}".encode("utf-16-le")
    found = rows_of(tmp_path, text + b"A")
    assert [row.reason for row in found] == [None, "the row holds bytes that are not UTF-8 text"]


def test_utf16_whose_bytes_do_not_pair_up_is_refused(tmp_path: Path) -> None:
    """UTF-16 text with a lost byte is refused, because the beginning of one row joins the end of another."""
    text = f"\ufeffuser,note,contact\n{USER},n,{CONTACT}\n".encode("utf-16-le")
    row = f"{USER},note,{CONTACT}\n".encode("utf-16-le")
    for broken in (row * 3 + row[:30] + row[31:] + row * 3, row + row.decode("utf-16-le").encode("utf-16-be")):
        with pytest.raises(InputError, match="bytes do not pair up"):
            rows_of(tmp_path, text + broken)


def test_every_kind_at_once(tmp_path: Path) -> None:
    """A file with every kind of bad row between good ones keeps the order and the line numbers."""
    content = HEADER + b"".join(GOOD + bad for bad, _ in BAD_LINES) + GOOD
    found = rows_of(tmp_path, content)
    assert [row.line for row in found] == list(range(2, 2 * len(BAD_LINES) + 3))
    assert [row.reason for row in found] == [text for _, reason in BAD_LINES for text in (None, reason)] + [None]


@pytest.mark.parametrize("row", [b"ann@x,A,B\n", b"ann@x,hello, world,A,B\n"], ids=["short", "long"])
def test_a_row_of_shifted_cells_has_no_contact(tmp_path: Path, row: bytes) -> None:
    """A row with too few or too many cells has no contact.

    Its export cannot be mistaken for a row with another contact.
    """
    found = rows_of(tmp_path, b"user,note,contact,earlier contact\n" + row + b"ann@x,n,A,B\n")[0]
    assert (found.user, found.contact) == ("ann@x", "")
    assert "cells where the header has 4" in (found.reason or "")
