"""Property tests of reading: what Python's ``csv`` and pyarrow write comes back, and the fast and careful paths agree.

1. Random rows come out as they went in, in any delimiter, quoting, line end, encoding and compression, and cut into
   blocks of any size. So do rows of Parquet, whatever the type of their text.
2. For any bytes, both paths give the same rows, and raise nothing but `InputError`.
3. Only rows that Python's ``csv`` with strict quoting reads from the same text are sent, and all of them if the file is
   well formed.
"""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import assume, given
from hypothesis import strategies as st

from purgeengine.core.graph.identifier_causes import is_missing_word
from purgeengine.core.graph.identifiers import row_problem
from purgeengine.edges.source import open_source
from purgeengine.edges.source.formats import csv_reader
from purgeengine.errors import InputError
from tests.fuzz.targets import csv_files
from tests.support.csv_oracle import oracle_of
from tests.support.properties import examples
from tests.support.source_fixtures import a_file, records

block_sizes = st.sampled_from([1, 3, 16, 100, 1 << 20])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
tricky_texts = st.text(st.sampled_from(list(",;\t\"'\n\r a=é\u2028😀")), max_size=8)
extras = texts | tricky_texts
# A word for a missing value is no id: "-" is made of characters of an id, and means an empty cell.
ids = st.from_regex(r"[A-Za-z0-9_=-]{1,12}", fullmatch=True).filter(lambda text: not is_missing_word(text))
users = st.from_regex(r"[a-z]{1,5}@[a-z]{1,5}", fullmatch=True)

STYLES = [(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_ALL, "\r")]
"""Quoting and line end.

With few quotes, ``csv`` quotes only the characters of its own line end, which may not be ours.
"""


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def read(content: bytes, block_bytes: int, quick: bool = True) -> list[dict[str, Any]]:
    """Return all rows of a file with this content, with or without the fast path."""
    with tempfile.TemporaryDirectory() as folder:
        source = open_source([a_file(Path(folder), content, "contacts")], block_bytes=block_bytes)
        if quick:
            return records(source)
        with mock.patch.object(csv_reader, "plain_columns", return_value=None):
            return records(source)


@examples(75)
@given(
    rows=st.lists(st.tuples(users, extras, ids, extras), max_size=12),
    delimiter=st.sampled_from(",;\t"),
    style=st.sampled_from(STYLES),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    before=st.sampled_from(["", "#TYPE System.Object\n", "\r\n \n"]),
    packed=st.sampled_from([bytes, gzip.compress, zstd]),
    block_bytes=block_sizes,
)
def test_what_the_csv_module_writes_comes_back(
    rows: list[tuple[str, str, str, str]],
    delimiter: str,
    style: tuple[Any, str],
    encoding: str,
    before: str,
    packed: Callable[[bytes], bytes],
    block_bytes: int,
) -> None:
    """Rows that Python's csv writes come back in order with all cells, and line numbers count line ends inside cells."""
    text = io.StringIO(before, newline="")
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text, delimiter=delimiter, quoting=style[0], lineterminator=style[1])
    writer.writerow(["user", "first note", "contact", "second note"])
    lines = []
    for row in rows:
        lines.append(len(text.getvalue().encode().splitlines()) + 1)
        writer.writerow(row)
    found = read(packed(text.getvalue().encode(encoding)), block_bytes)
    assert [(r["user"], r["first note"], r["contact"], r["second note"]) for r in found] == rows
    assert [r["line"] for r in found] == lines
    assert [r["row"] for r in found] == list(range(len(rows)))
    assert {r["reason"] for r in found} <= {None}


any_lines = st.lists(
    st.sampled_from(
        [
            b"a@x,A,n",
            b"a@x,A",
            b"a@x,A,n,m",
            b'"a@x","A","n"',
            b'a@x,A,"n',
            b'a@x,"A,n',
            b'a@x,A,"n"m',
            b'n",A,m',
            b'a@x,A,"n ""m"""',
            b'""',
            b"",
            b" ",
            b",,",
            b"a@x,A,\xff",
            b"a@x,A,\x00",
            b"a@x,A,\xc3\xa9",
            b"a@x,A,\xed\xa0\x80",
        ]
    )
    | st.binary(max_size=6)
    | st.text(st.sampled_from(list('a,"\n\r')), max_size=10).map(str.encode),
    max_size=12,
)


@examples(150)
@given(
    lines=any_lines,
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"]), min_size=12, max_size=12),
    block_bytes=block_sizes,
)
def test_the_quick_and_the_careful_way_agree(lines: list[bytes], ends: list[bytes], block_bytes: int) -> None:
    """The fast and the careful path give the same rows for any bytes and block size."""
    content = b"user,contact,note\n" + b"".join(line + end for line, end in zip(lines, ends, strict=False))
    careful = accepted(content, 1 << 20, quick=False)
    assert accepted(content, block_bytes) == careful
    assert accepted(content, block_bytes, quick=False) == careful


def accepted(content: bytes, block_bytes: int, quick: bool = True) -> list[dict[str, Any]] | None:
    """Return the rows, or None if the file is refused."""
    try:
        return read(content, block_bytes, quick)
    except InputError:
        return None


look_alikes = st.sampled_from(
    [
        "eve@x,E1",
        "\neve@x,,E2,n\n",
        '\r\n"eve@x","","E3","n"\r\n',
        "user,folder,contact,note\n",
        "a\n" * 70,
        "#TYPE x\n",
    ]
)
slips = st.sampled_from(['"', '""', '\\"', ' "', '" ', 'a"b', '"x"y', "\r", "\n", "\0", "\ufeff", ",", ";;", "\n;;;\n"])


@examples(100)
@given(
    rows=st.lists(st.tuples(users, st.just("") | ids, ids, extras | look_alikes), min_size=1, max_size=8),
    slip=st.none() | st.tuples(st.integers(0, 400), slips),
    delimiter=st.sampled_from(",;\t"),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=9, max_size=9),
    quote_all=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]),
    packed=st.sampled_from([bytes, gzip.compress, zstd]),
    block_bytes=block_sizes,
)
def test_only_what_strict_quoting_reads_is_sent(
    rows: list[tuple[str, str, str, str]],
    slip: tuple[int, str] | None,
    delimiter: str,
    ends: list[str],
    quote_all: bool,
    encoding: str,
    packed: Callable[[bytes], bytes],
    block_bytes: int,
) -> None:
    """Only rows that Python's csv reads strictly are sent.

    Cells that look like rows, and one slip anywhere, change nothing of that.
    """
    lines = []
    for row, end in zip([("user", "folder", "contact", "note"), *rows], ends, strict=False):
        line = io.StringIO(newline="")
        style: Any = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
        if set(row[3]) & set("\r\n"):
            style = csv.QUOTE_ALL
        csv.writer(line, delimiter=delimiter, quoting=style, lineterminator=end).writerow(row)
        lines.append(line.getvalue())
    text = "".join(lines[1:])
    if slip:
        place = slip[0] % (len(text) + 1)
        # Behind a carriage return, a line feed would belong to the end of that line, and not be a line of its own.
        assume(not (slip[1].startswith("\n") and (lines[0] + text[:place]).endswith("\r")))
        text = text[:place] + slip[1] + text[place:]
    oracle = oracle_of(text, delimiter, 2)
    expected = [
        (row.line, row.cells[0].strip(), row.cells[1].strip(), row.cells[2].strip())
        for row in oracle.rows
        if len(row.cells) == 4 and not row_problem(*(cell.strip() for cell in row.cells[:3]))
    ]
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    content = packed((mark + lines[0] + text).encode(encoding))
    sent: list[tuple[int, str, str, str]] = []
    refused = False
    with tempfile.TemporaryDirectory() as folder:
        source = open_source([a_file(Path(folder), content, "contacts")], block_bytes=block_bytes)
        try:
            for batch in source.batches():
                sent += [
                    (r["line"], r["user"], r["folder"], r["contact"]) for r in batch.to_pylist() if r["reason"] is None
                ]
        except InputError:
            refused = True
    if refused:
        assert slip
        assert sent == expected[: len(sent)]
    else:
        assert not oracle.wrong
        assert sent == expected


@examples(75)
@given(good=st.integers(0, 5), bad=st.binary(max_size=20), after=st.integers(0, 5), block_bytes=block_sizes)
def test_one_bad_line_never_reaches_its_neighbours(good: int, bad: bytes, after: int, block_bytes: int) -> None:
    """A damaged line without quotes never changes the rows before and after it."""
    bad = bad.replace(b'"', b"").replace(b"\n", b"").replace(b"\r", b"")
    row = b"a@x,A,n\n"
    found = read(b"user,contact,note\n" + row * good + bad + b"\n" + row * after + row, block_bytes)
    around = [r for r in found if r["line"] != good + 2]
    expected = [(line, "a@x", "A", "n", None) for line in [*range(2, good + 2), *range(good + 3, good + 4 + after)]]
    assert [(r["line"], r["user"], r["contact"], r["note"], r["reason"]) for r in around] == expected


OF_EXPORT = b"row,outcome,client_request_id,user,contact\n"


@examples(100)
@given(
    mark=st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"#TYPE x\n", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"]),
    header=st.sampled_from([b"user,contact,note\n", b"contact;user\r", b'"user"\t"contact"\n', OF_EXPORT]) | st.binary(max_size=30),
    lines=any_lines,
)  # fmt: skip
def test_any_bytes_at_all_are_rows_or_a_sentence(mark: bytes, header: bytes, lines: list[bytes]) -> None:
    """Any bytes, header included, give rows or an `InputError`; ``csv_files.case`` checks what must hold."""
    csv_files.case(mark + header + b"\n".join(lines))


TYPES: list[Callable[[pa.Array], Any]] = [
    lambda column: column,
    lambda column: column.cast(pa.large_string()),
    lambda column: column.dictionary_encode(),
    lambda column: column.cast(pa.binary()),
    lambda column: column.cast(pa.large_binary()),
    lambda column: column.cast(pa.binary()).dictionary_encode(),
]


@examples(75)
@given(
    rows=st.lists(st.tuples(users, ids | st.just(""), ids, extras | st.none()), max_size=12),
    types=st.lists(st.sampled_from(TYPES), min_size=4, max_size=4),
    group_rows=st.sampled_from([1, 3, 100]),
)
def test_what_pyarrow_writes_comes_back(
    rows: list[tuple[str, str, str, str | None]], types: list[Callable[[pa.Array], Any]], group_rows: int
) -> None:
    """Rows that pyarrow writes come back, whatever the type of the text and the number of row groups."""
    columns = [kind(pa.array([row[place] for row in rows], pa.string())) for place, kind in enumerate(types)]
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, ["upn", "folderId", "contact", "note"]), sink, row_group_size=group_rows)
    found = read(sink.getvalue(), 1)
    assert [(r["user"], r["folder"], r["contact"], r["note"]) for r in found] == rows
    assert [r["line"] for r in found] == list(range(1, len(rows) + 1))
    assert {r["reason"] for r in found} <= {None}
