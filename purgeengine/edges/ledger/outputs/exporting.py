"""Write a ledger to a file: CSV for people and spreadsheets, Parquet for programs. The file is itself a valid input.

This module knows file formats. What the rows contain comes from `LedgerReader.rows`.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.store.new_file import NewFile
from purgeengine.edges.ledger.store.open_stream import OpenStream
from purgeengine.edges.ledger.store.storage import cause_of
from purgeengine.edges.ledger.views.rows import schema_of
from purgeengine.edges.paths import refuse_missing_folder, refuse_unspellable
from purgeengine.errors import LedgerError, UsageProblem

Format = Literal["csv", "csv.gz", "parquet"]
"""The formats of an export."""
FORMATS: dict[str, Format] = {".csv": "csv", ".csv.gz": "csv.gz", ".parquet": "parquet"}
"""The format that each ending of a name chooses."""
ENDINGS = tuple(FORMATS)
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


@dataclass(slots=True)
class Exported:
    """What an export wrote."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    """Rows written, by outcome."""
    without_outcome: int = 0
    """Rows written that have no outcome yet."""
    bytes: int = 0
    """The size of what was written, in bytes."""
    sha256: str | None = None
    """The SHA-256 of the file, in hexadecimal. None if it was not asked for."""

    @property
    def rows(self) -> int:
        """All rows written."""
        return self.outcomes.total() + self.without_outcome

    def count(self, batch: pa.RecordBatch) -> None:
        """Count the rows of a batch."""
        counts: Any = pc.value_counts(batch.column("outcome"))
        for found in counts.to_pylist():
            if found["values"] is None:
                self.without_outcome += found["counts"]
            else:
                self.outcomes[Outcome(found["values"])] += found["counts"]


def export(
    reader: LedgerReader,
    out: Path,
    only: Collection[Outcome] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Do what `export_file` does, and return how many rows were written."""
    return export_file(reader, out, only, on_progress).rows


def export_file(
    reader: LedgerReader,
    out: Path,
    only: Collection[Outcome] | None = None,
    on_progress: Callable[[int], None] | None = None,
    *,
    digest: bool = False,
) -> Exported:
    """Write the rows (those with an outcome in ``only``, or all) to ``out``. Return what was written, with its digest if asked.

    The ending of the name chooses the format: .csv, .csv.gz or .parquet. The file appears when it is whole.
    ``on_progress`` is called with the number of input rows read so far. Raises `UsageProblem` for another ending, a
    name that cannot be used or a folder that does not exist, and `LedgerError` if the file cannot be written.
    """
    out = Path(out)
    kind = format_of(out)
    if "\0" in str(out):
        raise UsageProblem(f"{str(out)!r} holds a NUL character, which no file has in its name. Name another.")
    refuse_unspellable(out)
    refuse_missing_folder(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    with appearing(temporary, out):
        found = _written(reader, NewFile(temporary), kind, only, on_progress, scratch=out.parent)
        found.bytes = temporary.stat().st_size
        if digest:
            with temporary.open("rb") as file:
                found.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def export_stream(
    reader: LedgerReader,
    stream: BinaryIO,
    kind: Format,
    only: Collection[Outcome] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write the rows to a stream, such as standard output, and leave it open. Otherwise it does what `export_file` does.

    Raises OSError if the stream cannot be written.
    """
    target = OpenStream(stream)
    found = _written(reader, target, kind, only, on_progress, scratch=None)
    found.bytes = target.tell()
    return found


def write_batches(out: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches of one schema to ``out``, in the format of its name, and return the number of rows.

    The file appears when it is whole. Raises `UsageProblem` and `LedgerError` as `export_file` does.
    """
    kind = format_of(out)
    refuse_unspellable(out)
    refuse_missing_folder(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.new")
    rows = 0
    with appearing(temporary, out):
        target = NewFile(temporary)
        writer: _Writer = (
            _ParquetFile(target, schema) if kind == "parquet" else _CsvFile(target, schema, compressed=kind == "csv.gz")
        )
        try:
            for batch in batches:
                writer.write(batch)
                rows += batch.num_rows
            writer.close()
        except BaseException:
            writer.give_up()
            raise
    return rows


def format_of(out: Path) -> Format:
    """Return the format that the ending of a name chooses. Raises `UsageProblem` for another ending."""
    name = out.name.lower()
    for ending in ENDINGS:
        if name.endswith(ending):
            return FORMATS[ending]
    raise UsageProblem(f"{out} ends in none of {', '.join(ENDINGS)}, which say the format. Name it accordingly.")


def _written(
    reader: LedgerReader,
    target: NewFile | OpenStream,
    kind: Format,
    only: Collection[Outcome] | None,
    on_progress: Callable[[int], None] | None,
    scratch: Path | None,
) -> Exported:
    found = Exported()
    schema = schema_of(reader.about["extra_columns"])
    writer: _Writer = (
        _ParquetFile(target, schema) if kind == "parquet" else _CsvFile(target, schema, compressed=kind == "csv.gz")
    )
    try:
        for batch in reader.rows(only, on_progress, scratch=scratch):
            writer.write(batch)
            found.count(batch)
        writer.close()
    except BaseException:
        writer.give_up()
        raise
    return found


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


class _ParquetFile:
    def __init__(self, target: NewFile | OpenStream, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self._file = target
        sink: Any = target  # its type stubs know only some of the files that it takes
        self._writer = self._file.hold(lambda: pq.ParquetWriter(sink, schema, compression="zstd"))
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

    def __init__(self, target: NewFile | OpenStream, schema: pa.Schema, *, compressed: bool) -> None:
        names = [_neutral_name(name) for name in schema.names]
        self._schema = pa.schema(
            [(name, pa.string() if _is_time(field) else field.type) for name, field in zip(names, schema, strict=True)]
        )
        self._file = target
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
