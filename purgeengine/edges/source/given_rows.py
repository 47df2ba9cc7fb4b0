"""Rows that a program hands over, copied into a Parquet file: from there on they are an input like any other.

An input is read more than once (its columns, its rows, its digest), and what a program iterates over may be gone after the first
time. The copy also keeps memory from growing with the rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from purgeengine.core.graph.text import printable
from purgeengine.errors import InputError

ROWS_AT_ONCE = 8_192
"""Rows held in memory while they are copied."""
NAMES = ("user", "folder", "contact")
_TEXT = pa.string()


def copied(rows: Iterable[Sequence[str | None]] | pa.Table, path: Path) -> str:
    """Write the rows, or a Table with all of its columns, to ``path``; answers a digest that the same rows always have.

    The digest is of the values: the file's bytes depend on the version of pyarrow. Raises `InputError` for a row that is not
    three texts, and for a column that cannot be text.
    """
    whole = hashlib.sha256()
    batches = _of_table(rows) if isinstance(rows, pa.Table) else _of_rows(rows)
    schema = rows.schema if isinstance(rows, pa.Table) else pa.schema([(name, _TEXT) for name in NAMES])
    texts = pa.schema([(name, _TEXT) for name in schema.names])
    whole.update(f"purgeengine rows {schema.names!r}\n".encode("utf-8", "backslashreplace"))
    with pq.ParquetWriter(path, texts, compression="zstd") as writer:
        for batch in batches:
            _add(whole, batch)
            writer.write_batch(batch)
    return whole.hexdigest()


def _of_rows(rows: Iterable[Sequence[str | None]]) -> Iterator[pa.RecordBatch]:
    remaining, done = iter(rows), 0
    while some := list(islice(remaining, ROWS_AT_ONCE)):
        for number, row in enumerate(some, start=done):
            if isinstance(row, str) or not _is_row(row):
                raise InputError(
                    f"Row {number:,} of the rows given is {printable(repr(row), 200)}. Each must be three texts: user, folder (or "
                    "None), contact. Nothing was sent."
                )
        done += len(some)
        yield _batch([list(column) for column in zip(*some, strict=True)], NAMES)


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, Sequence)
        and len(row) == len(NAMES)
        and all(isinstance(cell, str) or cell is None for cell in row)
    )


def _of_table(table: pa.Table) -> Iterator[pa.RecordBatch]:
    for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
        yield _batch(batch.columns, table.schema.names)


def _batch(columns: Sequence[Any], names: Sequence[str]) -> pa.RecordBatch:
    made = []
    for name, column in zip(names, columns, strict=True):
        try:
            made.append(column.cast(_TEXT) if isinstance(column, pa.Array) else pa.array(column, _TEXT))
        except (pa.ArrowException, UnicodeEncodeError) as error:
            raise InputError(
                f"The column {printable(name, 100)!r} of the rows given cannot be text: {printable(str(error), 200)}. Nothing was "
                "sent. Convert it, or leave it out."
            ) from error
    return pa.RecordBatch.from_arrays(made, names=list(names))


def _add(whole: Any, batch: pa.RecordBatch) -> None:
    """Each value with its length, so that no two sets of rows run together to the same bytes."""
    for column in batch.columns:
        for value in column.to_pylist():
            text = b"" if value is None else value.encode()
            whole.update(b"-\n" if value is None else b"%d:%b\n" % (len(text), text))
