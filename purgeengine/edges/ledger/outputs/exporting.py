"""Write a ledger to a file: CSV for people and spreadsheets, Parquet for programs. The file is itself a valid input.

This module knows file formats. What the rows contain comes from `LedgerReader.rows`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.store.new_file import NewFile
from purgeengine.edges.ledger.store.storage import cause_of
from purgeengine.edges.ledger.views.rows import schema_of
from purgeengine.edges.paths import refuse_unspellable
from purgeengine.errors import LedgerError, UsageProblem

ENDINGS = (".csv", ".csv.gz", ".parquet")
FORMULA = r"^[=+\-@\t\r']"
"""Cells that a spreadsheet would run as a formula (OWASP's list), and cells that begin like a neutralised one."""
GROUP_ROWS = 32_768

# pyarrow looks for pandas, which takes 100 µs, whenever a scalar is made without a type.
_JOIN: Any = pc.binary_join_element_wise
_NOTHING, _QUOTE, _UTC = (pa.scalar(text, pa.string()) for text in ("", "'", "Z"))


class _Writer(Protocol):
    def write(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...
    def give_up(self) -> None: ...


def export(
    reader: LedgerReader,
    out: Path,
    only: Collection[Outcome] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Write the rows (those with an outcome in ``only``, or all) to ``out``. Return how many were written.

    The ending of the name chooses the format: .csv, .csv.gz or .parquet. The file appears when it is whole.
    ``on_progress`` is called with the number of input rows read so far. Raises `UsageProblem` for another ending or a
    name that cannot be used, and `LedgerError` if the file cannot be written.
    """
    out = Path(out)
    if not out.name.lower().endswith(ENDINGS):
        raise UsageProblem(f"{out} ends in none of {', '.join(ENDINGS)}, which say the format. Name it accordingly.")
    if "\0" in str(out):
        raise UsageProblem(f"{str(out)!r} holds a NUL character, which no file has in its name. Name another.")
    refuse_unspellable(out)
    written = 0
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    with appearing(temporary, out):
        writer = _open(temporary, out.name.lower(), schema_of(reader.about["extra_columns"]))
        try:
            for batch in reader.rows(only, on_progress, scratch=out.parent):
                writer.write(batch)
                written += batch.num_rows
            writer.close()
        except BaseException:
            writer.give_up()
            raise
    return written


@contextmanager
def appearing(temporary: Path, out: Path) -> Iterator[None]:
    """Rename the finished file to ``out``. If an error comes first, delete it and raise `LedgerError`."""
    try:
        yield
        temporary.replace(out)
    except (OSError, pa.ArrowException) as error:
        raise LedgerError(f"{out} cannot be written: {_cause(error, out)}") from error
    finally:
        with suppress(OSError):  # a disk that cannot be written has no such file either
            temporary.unlink(missing_ok=True)


def _cause(error: Exception, out: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no folder {out.parent}."
    return cause_of(error).replace("give the same command again", "export again")


def _open(path: Path, name: str, schema: pa.Schema) -> _Writer:
    if name.endswith(".parquet"):
        return _ParquetFile(path, schema)
    return _CsvFile(path, schema, compressed=name.endswith(".gz"))


class _ParquetFile:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._file = NewFile(path)
        self._writer = self._file.hold(lambda: pq.ParquetWriter(self._file, schema, compression="zstd"))
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        if self._pending_rows >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()
        self._file.close()

    def give_up(self) -> None:
        self._file.give_up(self._writer)

    def _flush(self) -> None:
        if self._pending_rows:
            self._writer.write_table(pa.Table.from_batches(self._pending))
        self._pending, self._pending_rows = [], 0


class _CsvFile:
    """A CSV file in UTF-8. Every text is quoted, so that any reader takes it. Times look like 2026-01-31T12:00:00.000Z."""

    def __init__(self, path: Path, schema: pa.Schema, *, compressed: bool) -> None:
        names = [_neutral_name(name) for name in schema.names]
        self._schema = pa.schema(
            [(name, pa.string() if _is_time(field) else field.type) for name, field in zip(names, schema, strict=True)]
        )
        self._file = NewFile(path)
        self._stream: Any = self._file
        if compressed:
            self._stream = self._file.hold(lambda: pa.CompressedOutputStream(self._file, "gzip"))
        self._writer: Any = self._file.hold(lambda: csv.CSVWriter(self._stream, self._schema))

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_cell(column, field) for column, field in zip(batch.columns, batch.schema, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()
        self._stream.close()
        self._file.close()

    def give_up(self) -> None:
        self._file.give_up(self._writer, self._stream)


def as_text(column: Any, field: Any) -> Any:
    """Return a column of an export as text, as it stands in CSV but with formulas unchanged."""
    if _is_time(field):
        plain = column.cast(pa.timestamp("ms")).cast(pa.string())
        return _JOIN(pc.replace_substring(plain, " ", "T"), _UTC, _NOTHING)
    return column.cast(pa.string())


def _cell(column: Any, field: Any) -> Any:
    if _is_time(field):
        return as_text(column, field)
    if not pa.types.is_string(field.type) or not len(column):
        return column
    risky = pc.match_substring_regex(column, FORMULA)
    if not pc.any(risky).as_py():
        return column
    return pc.if_else(risky, _JOIN(_QUOTE, column, _NOTHING), column)


def _is_time(field: Any) -> bool:
    return bool(pa.types.is_timestamp(field.type))


def _neutral_name(name: str) -> str:
    """Make a column name safe in a spreadsheet: names come from the input as well."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r", "'") else name
