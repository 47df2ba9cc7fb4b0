"""Tests of the Parquet reader: which types are read as text, which are refused, and how other columns become text."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purgeengine.edges.source import open_source
from purgeengine.errors import InputError
from tests.support.source_fixtures import CONTACT, FOLDER, USER, a_file, records, rows

NOT_TEXT = "the row holds bytes that are not UTF-8 text"


def a_parquet(folder: Path, columns: dict[str, Any], name: str = "input.parquet", **options: Any) -> Path:
    """Write a Parquet file with these columns and return its path."""
    pq.write_table(pa.table(columns), folder / name, **options)
    return folder / name


def raw_strings(*cells: bytes) -> pa.Array:
    """Return an array of strings with unchecked bytes, as other writers may leave them."""
    return pa.StringArray.from_buffers(len(cells), *pa.array(cells, pa.binary()).buffers()[1:])


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
    ids=str,
)
def test_every_type_of_text_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    """Every type of string, dictionary or bytes is read as text.

    Null is an empty cell, and line numbers count rows from 1.
    """
    cells = {"user": [USER, None, USER], "folder": [None, FOLDER, FOLDER], "contact": [CONTACT, CONTACT, None]}
    path = a_parquet(tmp_path, {name: pa.array(cell, pa.string()).cast(kind) for name, cell in cells.items()})
    source = open_source([path])
    assert source.rows_estimate == 3
    assert rows(path) == [
        (1, USER, "", CONTACT, None),
        (2, "", FOLDER, CONTACT, "the user is empty"),
        (3, USER, FOLDER, "", "the contact id is empty"),
    ]


def test_bytes_of_a_fixed_size_and_a_column_of_nulls_are_read(tmp_path: Path) -> None:
    """Bytes of a fixed size are read as ids, and a column of nulls as empty folders, as some writers store them."""
    path = a_parquet(tmp_path, {"id": pa.array([b"AAMk"], pa.binary(4)), "upn": [USER], "folder": pa.nulls(1)})
    assert rows(path) == [(1, USER, "", "AAMk", None)]


@pytest.mark.parametrize(
    ("column", "kind"),
    [(pa.array([7]), "int64"), (pa.array([1.5]), "double"), (pa.array([True]), "bool"), (pa.array([["A"]]), "list<")],
)
def test_an_id_that_is_no_text_is_refused(tmp_path: Path, column: pa.Array, kind: str) -> None:
    """A contact column that is not text is refused before any row is read, with the column's name and type."""
    with pytest.raises(InputError, match=f"The column 'contactId' of .* holds {kind}.*the contact is text"):
        open_source([a_parquet(tmp_path, {"user": [USER], "contactId": column})])


def test_names_and_aliases_are_those_of_csv(tmp_path: Path) -> None:
    """Column names follow the rules of CSV.

    Case and order do not matter, and a missing column is refused with the existing ones.
    """
    path = a_parquet(tmp_path, {"a.b": ["x"], "CONTACTID": [CONTACT], "Mailbox": [USER]})
    source = open_source([path])
    assert [(r["user"], r["contact"], r["a.b"]) for r in records(source)] == [(USER, CONTACT, "x")]
    with pytest.raises(InputError, match=r"no column for the contact\. It has the columns 'user', 'x'"):
        open_source([a_parquet(tmp_path, {"user": [USER], "x": ["y"]})])


def test_other_columns_become_text(tmp_path: Path) -> None:
    """Extra columns become text: numbers and times as written, nested values as JSON, and bytes that are not UTF-8 as base64."""
    when = datetime.datetime(2025, 3, 14, 9, 26, 53)
    extras = {
        "number": pa.array([42]),
        "price": pa.array([decimal.Decimal("1.50")]),
        "flag": pa.array([True]),
        "when": pa.array([when], pa.timestamp("s")),
        "span": pa.array([datetime.timedelta(seconds=90)], pa.duration("s")),
        "list": pa.array([["é", None]]),
        "struct": pa.array([{"a": 1, "b": [when]}], pa.struct({"a": pa.int8(), "b": pa.list_(pa.timestamp("s"))})),
        "bytes": pa.array([b"caf\xe9"]),
        "text": pa.array([b"caf\xc3\xa9"]),
        "word": pa.array(["w"]).dictionary_encode(),
        "none": pa.array([None], pa.int64()),
        "status": pa.array([204]),
    }
    (record,) = records(open_source([a_parquet(tmp_path, {"user": [USER], "contact": [CONTACT], **extras})]))
    assert record["reason"] is None
    assert {name: record[name] for name in extras if name != "status"} == {
        "number": "42",
        "price": "1.50",
        "flag": "true",
        "when": "2025-03-14 09:26:53.000",
        "span": "90",
        "list": '["é", null]',
        "struct": '{"a": 1, "b": ["2025-03-14 09:26:53"]}',
        "bytes": "Y2Fm6Q==",
        "text": "café",
        "word": "w",
        "none": None,
    }
    assert record["input_status"] == "204"


def test_bad_rows_stay_in_their_place(tmp_path: Path) -> None:
    """Bad bytes in a needed column make their row invalid. NUL and long cells in an extra column do not."""
    user = raw_strings(USER.encode(), b"caf\xe9@x", USER.encode(), USER.encode(), USER.encode())
    note = pa.array(["a", "b", "c\0", "d" * 32_769, "e"])
    path = a_parquet(tmp_path, {"user": user, "contact": [CONTACT] * 5, "note": note})
    found = records(open_source([path]))
    assert [(r["line"], r["reason"]) for r in found] == [
        (1, None),
        (2, NOT_TEXT),
        (3, None),
        (4, None),
        (5, None),
    ]
    assert [r["user"] for r in found[:2]] == [USER, "caf\ufffd@x"]
    assert [r["note"] for r in found] == ["a", "b", "c\ufffd", "d" * 1_000 + "…", "e"]


def test_bytes_that_are_no_text_are_no_id(tmp_path: Path) -> None:
    """A contact column of bytes is decoded as UTF-8, and bytes that are not UTF-8 make only their row invalid."""
    path = a_parquet(tmp_path, {"user": [USER] * 2, "contact": pa.array([b"\xff\xfe", CONTACT.encode()])})
    assert [(row.contact, row.reason) for row in rows(path)] == [("\ufffd\ufffd", NOT_TEXT), (CONTACT, None)]


def test_an_export_in_parquet_has_nothing_neutralised(tmp_path: Path) -> None:
    """A Parquet export keeps an apostrophe at the start of a cell: only CSV exports add one, against formulas."""
    columns = {
        "row": [1],
        "outcome": ["refused"],
        "client_request_id": ["c"],
        "user": [USER],
        "contact": [CONTACT],
        "n": ["'=1"],
    }
    assert [r["n"] for r in records(open_source([a_parquet(tmp_path, columns)]))] == ["'=1"]


def test_row_groups_and_other_files_are_numbered_on(tmp_path: Path) -> None:
    """Rows are numbered over row groups and over a CSV and a Parquet file in one input, and no batch has over 8,192 rows."""
    table = {"user": [USER] * 20_000, "contact": [f"A{n:05d}" for n in range(20_000)]}
    path = a_parquet(tmp_path, table, row_group_size=7_000)
    source = open_source([a_file(tmp_path, f"user,contact\n{USER},{CONTACT}\n"), path])
    found = records(source)
    assert [r["row"] for r in found] == list(range(20_001))
    assert [r["line"] for r in found] == [2, *range(1, 20_001)]
    assert [r["contact"] for r in found[1:]] == table["contact"]
    assert source.rows_estimate == 20_001
    assert max(batch.num_rows for batch in source.batches()) <= 8_192


def test_rows_of_many_bytes_come_in_smaller_batches(tmp_path: Path) -> None:
    """Rows with many bytes come in smaller batches: 8,192 rows with notes of 4 KiB would take 32 MiB."""
    notes = [f"{number:04d}" * 1_024 for number in range(3_000)]
    columns = {"user": [USER] * 3_000, "contact": [CONTACT] * 3_000, "note": notes}
    path = a_parquet(tmp_path, columns, compression="none", use_dictionary=False)
    batches = list(open_source([path]).batches())
    assert sum(batch.num_rows for batch in batches) == 3_000
    assert max(batch.nbytes for batch in batches) < 5 << 20


def test_a_table_without_rows_is_an_input_without_rows(tmp_path: Path) -> None:
    """A table without rows is a valid input without rows."""
    path = a_parquet(tmp_path, {"user": pa.array([], pa.string()), "contact": pa.array([], pa.string())})
    assert (records(open_source([path])), open_source([path]).rows_estimate) == ([], 0)


def test_a_cut_file_is_refused_at_opening(tmp_path: Path) -> None:
    """A Parquet file that was cut is refused at opening, because its schema stands at the end."""
    path = a_parquet(tmp_path, {"user": [USER], "contact": [CONTACT]})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged or unfinished Parquet"):
        open_source([path])


def test_damaged_pages_are_told_after_the_rows_before_them(tmp_path: Path) -> None:
    """A damaged row group raises an error after the rows of the groups before it."""
    contacts = [f"A{n:05d}" for n in range(20_000)]
    options = {"row_group_size": 10_000, "compression": "zstd", "use_dictionary": False}
    path = a_parquet(tmp_path, {"user": [USER] * 20_000, "contact": contacts}, **options)
    group = pq.ParquetFile(path).metadata.row_group(1).column(1)
    content = bytearray(path.read_bytes())
    start = group.data_page_offset
    content[start : start + group.total_compressed_size] = bytes(group.total_compressed_size)
    path.write_bytes(content)
    found: list[str] = []
    source = open_source([path])
    with pytest.raises(InputError, match=r"is damaged after row [\d,]+; copy it again"):
        found.extend(record["contact"] for batch in source.batches() for record in batch.to_pylist())
    assert found
    assert found == contacts[: len(found)]
