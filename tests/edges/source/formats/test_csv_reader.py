"""Tests of the CSV reader: delimiters, quotes, encodings, compression and blocks."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pyarrow as pa
import pytest

from purgeengine.edges.source import open_source
from purgeengine.edges.source.formats import csv_reader
from purgeengine.edges.source.rows.notes import NoteKind
from purgeengine.errors import InputError
from tests.support.source_fixtures import CONTACT, FOLDER, USER, a_file, notes_of, records, rows, rows_of

TEXT = f'user,folder,contact,name\n{USER},{FOLDER},{CONTACT},"Zoë, Ltd."\nbob@x,,A=,\n'
FOUND = [(2, USER, FOLDER, CONTACT, None), (3, "bob@x", "", "A=", None)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, end: str) -> None:
    """The header decides the delimiter. LF, CR LF and CR end a line, and the last line needs no end."""
    lines = [f"user,contact,name|{USER},{CONTACT},x", f'bob@x,A=,"a,b;c\td|{USER},{CONTACT}"']
    text = end.join(lines[0].split("|") + lines[1].replace(",b", "\0").split("|")[:1]) + '"'
    text = text.replace(",", delimiter).replace("\0", ",b")
    source = open_source([a_file(tmp_path, text)])
    assert [(r["line"], r["user"], r["contact"], r["name"], r["reason"]) for r in records(source)] == [
        (2, USER, CONTACT, "x", None),
        (3, "bob@x", "A=", "a,b;c\td", None),
    ]


def test_the_delimiter_is_the_one_that_yields_known_names(tmp_path: Path) -> None:
    """The delimiter is the one that gives known column names, even if another one is more frequent in the header."""
    source = open_source([a_file(tmp_path, f"user;contact;a,b,c,d,e\n{USER};{CONTACT};1,2\n")])
    assert source.extra_columns == ("a,b,c,d,e",)
    assert [(r["user"], r["a,b,c,d,e"]) for r in records(source)] == [(USER, "1,2")]


def test_the_bar_is_no_delimiter(tmp_path: Path) -> None:
    """A bar is not a delimiter: the whole header counts as one column, which the message shows."""
    with pytest.raises(InputError, match=r"the column 'user\|contact'"):
        open_source([a_file(tmp_path, "user|contact\n")])


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")],
)
@pytest.mark.parametrize("type_line", ["", "#TYPE System.Management.Automation.PSCustomObject\r\n", "\r\n\r\n"])
@pytest.mark.parametrize("block_bytes", [7, 1 << 20])
def test_encodings_and_what_stands_before_the_header(
    tmp_path: Path, encoding: str, mark: bytes, type_line: str, block_bytes: int
) -> None:
    """UTF-16 and UTF-8 give the same rows, and UTF-8 needs no byte order mark.

    Lines before the header count in the line numbers.
    """
    path = a_file(tmp_path, mark + (type_line + TEXT).encode(encoding))
    offset = type_line.count("\n")
    assert rows(path, block_bytes=block_bytes) == [(line + offset, *rest) for line, *rest in FOUND]
    assert [r["name"] for r in records(open_source([path]))] == ["Zoë, Ltd.", ""]


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_compressed_files(tmp_path: Path, codec: str, encoding: str) -> None:
    """Gzip and Zstandard files are unpacked, whatever their name and the encoding inside."""
    path = tmp_path / "input.dat"
    with pa.output_stream(str(path), compression=codec) as stream:
        stream.write(TEXT.encode(encoding))
    assert rows(path) == FOUND


def test_a_gzip_file_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    """A gzip file of several members is read to its end."""
    head, tail = TEXT[:30].encode(), TEXT[30:].encode()
    assert rows_of(tmp_path, gzip.compress(head) + gzip.compress(tail)) == FOUND


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("harm", ["cut", "flipped"])
def test_a_damaged_stream_gives_its_readable_rows_and_then_an_error(tmp_path: Path, codec: str, harm: str) -> None:
    """A damaged compressed file gives its readable rows and then an error, which names the file and how far it was readable."""
    path = tmp_path / "input.csv.packed"
    lines = [f"user{n}@contoso.example,{zlib.crc32(b'%d' % n):x}{n:09d}\n" for n in range(40_000)]
    with pa.output_stream(str(path), compression=codec) as stream:
        stream.write(("user,contact\n" + "".join(lines)).encode())
    packed = bytearray(path.read_bytes())
    middle = len(packed) * 2 // 3
    if harm == "cut":
        del packed[middle:]
    else:
        packed[middle : middle + 200] = bytes(200)
    path.write_bytes(packed)
    source = open_source([path])
    found = []
    with pytest.raises(
        InputError, match=r"input\.csv\.packed is damaged or cut short.*readable up to line [\d,]+\."
    ) as caught:
        found.extend(row for batch in source.batches() for row in batch.to_pylist())
    assert 1_000 < len(found) < 40_000
    if harm == "cut":
        assert all(row["reason"] is None for row in found)
        assert [f"{row['user']},{row['contact']}\n" for row in found] == lines[: len(found)]
        assert f"up to line {len(found) + 1:,}." in str(caught.value)


def test_a_stream_that_is_damaged_at_once_is_refused_at_opening(tmp_path: Path) -> None:
    """A compressed file that is damaged before its header ends is refused at opening."""
    with pytest.raises(InputError, match="damaged or cut short"):
        open_source([a_file(tmp_path, gzip.compress(TEXT.encode())[:12])])


def test_spaces_around_the_three_are_removed_and_nothing_else_is(tmp_path: Path) -> None:
    """Spaces around user, folder and contact are removed.

    The ids keep their case, and extra cells keep every character.
    """
    source = open_source(
        [a_file(tmp_path, f" user ,folder,contact,name\n  {USER}\t,\u00a0{FOLDER} , {CONTACT}\u2003, a  b \n")]
    )
    (record,) = records(source)
    assert (record["user"], record["folder"], record["contact"]) == (USER, FOLDER, CONTACT)
    assert (record["name"], record["reason"]) == (" a  b ", None)


def test_quoted_cells_may_hold_line_ends_quotes_and_delimiters(tmp_path: Path) -> None:
    """A quoted cell may hold line ends, quotes and delimiters.

    Its row has the number of its first line, and later rows are numbered correctly.
    """
    note = 'one,\r\ntwo "2";\nthree\r'
    text = f'user,contact,note\n{USER},{CONTACT},"{note.replace(chr(34), chr(34) * 2)}"\nbob@x,A=,n\n"c@x",B=,""\n'
    for block_bytes in (1 << 20, 5):
        found = records(open_source([a_file(tmp_path, text)], block_bytes=block_bytes))
        assert [(r["line"], r["user"], r["note"], r["reason"]) for r in found] == [
            (2, USER, note, None),
            (6, "bob@x", "n", None),
            (7, "c@x", "", None),
        ]


def test_empty_rows_are_no_rows(tmp_path: Path) -> None:
    """Rows of empty cells, which Excel leaves below a list, are not numbered as rows and are counted in a note."""
    for rest in ("", "short\n"):  # the second text takes the slow path
        text = f"user;folder;contact\n;;\n{USER};;{CONTACT}\n;;\n;;;;\n ; ;\n{rest}{USER};;{CONTACT}\n"
        source = open_source([a_file(tmp_path, text)])
        assert [(r["row"], r["line"]) for r in records(source) if not r["reason"]] == [
            (0, 3),
            (1 + bool(rest), 7 + bool(rest)),
        ]
        assert notes_of(source) == {NoteKind.EMPTY_ROWS: (4, 2, "")}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("sep=;", ";"),
        ("SEP=,", ","),
        ('"sep=;"', ";"),
        ("sep=\t", "\t"),
        ("sep=|", "|"),
        ("Sep=^", "^"),
        ("sep=;;", ";"),
        ("sep=", ";"),
    ],
)
def test_the_line_for_excel_names_the_delimiter(tmp_path: Path, mark: str, line: str, delimiter: str) -> None:
    """A ``sep=`` line for Excel sets the delimiter and is not the header."""
    rows = [["user", "contact", "a,b;c"], [USER, CONTACT, "x"]]
    text = "".join(delimiter.join(f'"{cell}"' for cell in row) + "\r\n" for row in rows)
    source = open_source([a_file(tmp_path, f"{mark}{line}\r\n{text}".encode())])
    assert [(r["line"], r["user"], r["contact"], r["a,b;c"]) for r in records(source)] == [(3, USER, CONTACT, "x")]
    assert notes_of(source)[NoteKind.SEP_LINE][:2] == (1, 1)


def test_a_delimiter_that_stands_in_ids_is_refused(tmp_path: Path) -> None:
    """A ``sep=`` line with a character that occurs in ids is refused, because cells could not be told apart."""
    with pytest.raises(InputError, match="names a delimiter that cannot separate"):
        open_source([a_file(tmp_path, f"sep=-\nuser-contact\n{USER}-{CONTACT}\n")])


def test_titles_above_the_header_are_passed_over(tmp_path: Path) -> None:
    """The first row that names user and contact is the header.

    Lines above it are noted, and count in the line numbers.
    """
    text = f'Contacts to delete;;\n"Made by Zo\u00eb\non Monday";;\n;;\nuser;contact;name\n{USER};{CONTACT};x\n'
    source = open_source([a_file(tmp_path, text)])
    assert [(r["line"], r["user"], r["contact"], r["name"]) for r in records(source)] == [(6, USER, CONTACT, "x")]
    assert notes_of(source) == {NoteKind.TITLE_LINES: (2, 1, "Contacts to delete")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{USER},{CONTACT}\nuser,contact\n", "line 1 looks like a row of the list"),
        ("user,name\nuser,contact\n", "no column for the contact"),
        ("a title\n" * 21 + f"user,contact\n{USER},{CONTACT}\n", "no column for the user"),
        (f'A "title"\nuser,contact\n{USER},{CONTACT}\n', "line 1 a quote stands inside a cell"),
    ],
)
def test_a_header_that_is_not_certain_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """An uncertain header is refused: a row or another header above it, too many titles, or a quote inside a cell."""
    with pytest.raises(InputError, match=said):
        open_source([a_file(tmp_path, text)])


@pytest.mark.parametrize(
    "again", ["user,contact\n", "\ufeffUSER , contact\n", '#TYPE System.Object\n"user","contact"\n']
)
def test_the_header_of_a_file_that_was_put_behind_is_no_row(tmp_path: Path, again: str) -> None:
    """A repeated header, as in files that were joined, is skipped and noted."""
    row = f"{USER},{CONTACT}\n"
    source = open_source([a_file(tmp_path, f"user,contact\n{row}{again}{row}".encode())])
    assert [(r["row"], r["reason"]) for r in records(source)] == [(0, None), (1, None)]
    assert notes_of(source)[NoteKind.HEADER_AGAIN][:2] == (again.count("\n"), 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f'"user","contact"\n"1","{USER}","{CONTACT}"\n',
            "the only row has 3 cells. The header is one name short: are there row names",
        ),
        (
            f"user,contact\n{USER},{CONTACT},\n{USER},{CONTACT},\n",
            "each of the 2 rows has 3 cells. .*a delimiter at the end of each line",
        ),
        (f"user,contact,\n{USER},{CONTACT}\n", "one name too long"),
        (
            f"user,contact,note\n{USER}\n{USER},{CONTACT}\n",
            "the header has 3 names, but none of the 2 rows has 3 cells; the one in line 2 has 1",
        ),
    ],
)
def test_a_header_that_fits_no_row_refuses_the_file(tmp_path: Path, text: str, said: str) -> None:
    """A file whose header fits none of its rows is refused, because nobody knows which cell belongs to which column."""
    for block_bytes in (5, 1 << 20):
        with pytest.raises(InputError, match=said):
            records(open_source([a_file(tmp_path, text)], block_bytes=block_bytes))


def test_empty_lines_are_no_rows_but_are_counted(tmp_path: Path) -> None:
    """Empty lines are not rows, but count in the line numbers, so that these agree with an editor."""
    text = f"user,contact\n\n{USER},{CONTACT}\n\r\n   \n{USER},{CONTACT}\n\n"
    assert [row.line for row in rows_of(tmp_path, text)] == [3, 6]


def test_a_header_alone_is_an_input_without_rows(tmp_path: Path) -> None:
    """A file with a header and no rows is a valid input without rows."""
    for text in ("user,contact", "user,contact\n"):
        source = open_source([a_file(tmp_path, text)])
        assert (records(source), source.rows_estimate) == ([], 0)


@pytest.mark.parametrize("cell", ["", "NULL", "NA", "null", "nan", "true", "007", "1e5"])
def test_no_cell_is_taken_for_anything_but_text(tmp_path: Path, cell: str) -> None:
    """A cell is always text: words that other programs read as missing values or numbers are kept."""
    (record,) = records(
        open_source([a_file(tmp_path, f'user,contact,note,quoted\n{USER},{CONTACT},{cell},"{cell}"\n')])
    )
    assert (record["note"], record["quoted"]) == (cell, cell)


def test_a_large_file_crosses_real_blocks(tmp_path: Path) -> None:
    """A file of three blocks with a bad row in the second gives every row once, in order, with its line number."""
    line = f"{USER},{{:08d}},{'x' * 200}\n"
    lines = ["user,contact,note\n", *(line.format(number) for number in range(12_000))]
    lines[7_000] = "short\n"
    found = rows_of(tmp_path, "".join(lines))
    assert [row.line for row in found] == list(range(2, 12_002))
    assert [row.line for row in found if row.reason] == [7_001]
    assert [row.contact for row in found if not row.reason] == [f"{n:08d}" for n in range(12_000) if n != 6_999]


@pytest.mark.parametrize(
    ("quote", "end", "encoding"), [("", "\n", "utf-8"), ('"', "\r\n", "utf-8"), ('"', "\r\n", "utf-16")]
)
def test_ordinary_files_take_the_quick_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quote: str, end: str, encoding: str
) -> None:
    """An ordinary file takes the fast path only, whatever its quotes, encoding and number of blocks."""
    monkeypatch.setattr(csv_reader, "rows_of", None)
    header = csv_reader.Header(("user", "contact", "name"), b",", b"", 0, b"")
    monkeypatch.setattr(csv_reader, "read_header", lambda *_: header)
    line = ",".join(f"{quote}{cell}{quote}" for cell in (USER, CONTACT, "Zoë")) + end
    path = a_file(tmp_path, (line * 500).encode(encoding))
    assert len(rows(path, block_bytes=5_000)) == 500
