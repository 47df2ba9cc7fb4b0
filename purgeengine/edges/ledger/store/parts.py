"""The Parquet files of a ledger: written durably, and checked when they are read.

Parquet pages carry checksums. The footer has none, so the database keeps a CRC-32 of it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from purgeengine.edges.ledger.store.new_file import NewFile
from purgeengine.edges.ledger.store.storage import translated
from purgeengine.edges.paths import opened
from purgeengine.errors import LedgerError

WORK_GROUP_ROWS = 512
"""Rows of one group in ``work``. A run reads few rows at a time for many mailboxes in turn: about 80 kB with long ids, 0.1 ms."""

PART_ROWS_MAX = 262_144
"""Rows of one file. A damaged file is a small loss, and 100 million rows are still only 400 files."""
TAIL_BYTES = 8
"""Length in bytes of the footer's size and the magic number, which end every Parquet file."""


class PartFile(NamedTuple):
    """A finished file: its name below the ledger's folder, its size in bytes, and the CRC-32 of its footer."""

    name: str
    bytes: int
    footer_crc: int


class PartWriter:
    """Writes a table as ``<kind>/part-NNNNN.parquet``. Each file appears only when it is whole and durable.

    Every file but the last has `PART_ROWS_MAX` rows, and every group but the last of a file has ``group_rows``. So
    the row's number tells where it stands. ``repetitive`` names the columns that get a dictionary.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        schema: pa.Schema,
        group_rows: int,
        repetitive: Sequence[str],
        compression: Literal["zstd", "lz4"] = "zstd",
    ) -> None:
        assert PART_ROWS_MAX % group_rows == 0
        self.files: list[PartFile] = []
        self._folder = folder
        self._kind = kind
        self._schema = schema
        self._group_rows = group_rows
        self._compression = compression
        self._repetitive: Any = list(repetitive)  # pyarrow's type stubs allow only True and False here
        self._counters = [
            field.name for field in schema if pa.types.is_integer(field.type) and field.name not in repetitive
        ]
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._file: NewFile | None = None
        self._writer: Any = None
        self._part_rows = 0
        (folder / kind).mkdir(exist_ok=True)

    def write(self, table: pa.Table) -> None:
        """Add the rows of a table."""
        self._pending.append(table)
        self._pending_rows += table.num_rows
        if self._pending_rows >= self._group_rows:
            self._flush(self._pending_rows - self._pending_rows % self._group_rows)

    def finish(self) -> None:
        """Write the rows that are left and close the last file."""
        self._flush(self._pending_rows)
        if self._writer is not None:
            self._close_part()

    def abandon(self) -> None:
        """Close the file that is being written, without giving it its name.

        Raises nothing. Safe to call twice and after `finish`.
        """
        writer, file = self._writer, self._file
        self._writer = self._file = None
        if file is not None:
            file.give_up(writer)

    def _flush(self, rows: int) -> None:
        if not rows:
            return
        table = pa.concat_tables(self._pending)
        rest = table.slice(rows)
        self._pending, self._pending_rows = [rest], rest.num_rows
        while rows:
            if self._writer is None:
                self._open_part()
            count = min(rows, PART_ROWS_MAX - self._part_rows)
            self._writer.write_table(table.slice(0, count), row_group_size=self._group_rows)
            table, rows, self._part_rows = table.slice(count), rows - count, self._part_rows + count
            if self._part_rows == PART_ROWS_MAX:
                self._close_part()

    def _open_part(self) -> None:
        name = part_name(self._kind, len(self.files))
        self._file = NewFile(self._folder / f"{name}.new")
        self._writer = pq.ParquetWriter(
            self._file,
            self._schema,
            compression=self._compression,
            use_dictionary=self._repetitive,
            column_encoding=dict.fromkeys(self._counters, "DELTA_BINARY_PACKED"),
            write_statistics=False,
            write_page_checksum=True,
        )
        self._part_rows = 0

    def _close_part(self) -> None:
        assert self._file is not None
        self._writer.close()
        name = part_name(self._kind, len(self.files))
        self._file.finish(self._folder / name)
        self._writer, self._file = None, None
        self.files.append(PartFile(name, *footer_of(self._folder / name)))


def part_name(kind: str, number: int) -> str:
    """Return the name of a file below the ledger's folder."""
    return f"{kind}/part-{number:05d}.parquet"


def footer_of(path: Path) -> tuple[int, int]:
    """Return the size of a Parquet file in bytes and the CRC-32 of its footer."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(0, size - TAIL_BYTES - length))
        return size, zlib.crc32(file.read())


class Parts:
    """Reads the Parquet files of a ledger. ``files`` maps a name to (size in bytes, CRC-32 of the footer)."""

    def __init__(self, folder: Path, files: dict[str, tuple[int, int]]) -> None:
        self._folder = folder
        self._files = files

    def names(self, kind: str) -> list[str]:
        """Return the names of the files of one kind, in order."""
        return sorted(name for name in self._files if name.startswith(f"{kind}/"))

    def open(self, name: str, dictionary: Sequence[str] = ()) -> pq.ParquetFile:
        """Open a file. ``dictionary`` names the columns to read as dictionaries.

        Raises `LedgerError` if the file is missing or not as it was written.
        """
        path = self._folder / name
        with reading(path):
            if footer_of(path) != self._files.get(name):
                raise _damaged(path)
            return pq.ParquetFile(
                opened(path), page_checksum_verification=True, read_dictionary=list(dictionary), pre_buffer=False
            )

    def batches(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file, one group at a time. Raises `LedgerError` if the file is damaged."""
        for table in self.tables(name, columns, 1):
            yield from table.to_batches()

    def tables(self, name: str, columns: Sequence[str] | None, groups: int) -> Iterator[pa.Table]:
        """Yield the rows of a file, ``groups`` groups at a time. Raises `LedgerError` if the file is damaged."""
        path = self._folder / name
        file = self.open(name)
        try:
            for first in range(0, file.num_row_groups, groups):
                some = range(first, min(first + groups, file.num_row_groups))
                with reading(path):
                    table = file.read_row_groups(
                        list(some), columns=list(columns) if columns else None, use_threads=False
                    ).combine_chunks()
                yield table
        finally:
            file.close(force=True)


def reading(path: Path) -> AbstractContextManager[None]:
    """Turn errors of reading a Parquet file into a `LedgerError` that names the file."""
    return _Reading(path)


class _Reading(AbstractContextManager[None]):
    def __init__(self, path: Path) -> None:
        self._path = path

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (PermissionError, FileNotFoundError)):
            with translated(f"{self._path} cannot be read"):
                raise error
        if isinstance(error, (OSError, pa.ArrowException)):
            raise _damaged(self._path) from error


def _damaged(path: Path) -> LedgerError:
    return LedgerError(f"{path} is damaged or was changed. Restore the ledger's folder from a copy.")
