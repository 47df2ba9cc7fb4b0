"""An input as a whole: its files in order, its columns, its size, and its rows as often as they are needed.

This module knows the readers of formats. It does not know what is done with the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from purgeengine.edges.source.files.folders import LeftAlone, Partition
from purgeengine.edges.source.files.foreign_files import HEAD_BYTES, refuse_foreign_text
from purgeengine.edges.source.files.found_files import Kind, digest_of, find_files, kind_of, size_of, some_of
from purgeengine.edges.source.files.streams import text_pieces
from purgeengine.edges.source.looks import Look, as_plain
from purgeengine.edges.source.rows.checked_rows import Cells, batches_of, bounded, schema_with
from purgeengine.edges.source.rows.columns import Layout, checked_override, united
from purgeengine.edges.source.rows.mending import Mender
from purgeengine.errors import InputError

BLOCK_BYTES = 1 << 20
"""Bytes of text of a CSV file read at once.

Larger blocks cost memory and time: 2.6 million rows/s at 1 MiB, 1.8 million at 8.
"""


class Table(Protocol):
    """One file of the input, of any format, whose columns are known. Its rows can be read several times."""

    @property
    def path(self) -> Path:
        """Path of the file."""

    @property
    def layout(self) -> Layout:
        """Which columns the file has, and which of them hold the user, the folder and the contact."""

    @property
    def rows_estimate(self) -> int | None:
        """About how many rows the file has. None if that is not known before it is read."""

    def cells(self) -> Iterator[Cells]:
        """Yield the rows from the first one on, in order. Raises `InputError` if the file cannot be read further."""


@dataclass(frozen=True, slots=True)
class Source:
    """An input in which every file has the needed columns. No row has been read yet.

    ``files`` are resolved paths in the order of the rows; ``left_alone`` is what was ignored in their folders.
    ``extra_columns`` are the other columns of all files, under names that no ledger column has. ``rows_estimate`` is
    exact for Parquet, JSON and small files, and None if nobody knows. ``size_bytes`` is the size of the files on the
    disk.
    """

    files: tuple[Path, ...]
    left_alone: tuple[LeftAlone, ...]
    extra_columns: tuple[str, ...]
    rows_estimate: int | None
    size_bytes: int
    user: str | None
    """The user of every row, if ``--user`` names one."""
    clean: bool
    """True if names and ids are mended where their meaning is certain."""
    _tables: tuple[Table, ...]
    _partitions: tuple[Partition, ...]
    _looks: list[Look] = field(default_factory=list)
    """The look of the latest reading, once a reading has begun."""
    _needs_rows: bool = False
    _digest: str | None = None

    def needing_rows(self) -> Source:
        """Return a copy whose `batches` raises `InputError` if there is no row at all: a list without rows is a mistake."""
        return replace(self, _needs_rows=True)

    def with_digest(self, digest: str) -> Source:
        """Return a copy with this digest. Its files are themselves copies of other data, so their bytes do not count."""
        return replace(self, _digest=digest)

    @property
    def ignored(self) -> tuple[Path, ...]:
        """Entries of folders that are not read, apart from hidden ones."""
        return tuple(path for left in self.left_alone for path in left.entries)

    @property
    def look(self) -> Look:
        """What the latest reading saw. Empty if no row was read yet."""
        return self._looks[0] if self._looks else Look()

    def reading(self) -> dict[str, Any]:
        """Return what the latest reading saw as plain values, with the columns used and what was ignored (see `looks.as_plain`)."""
        return as_plain(self.look, self.files, [table.layout for table in self._tables], self.left_alone)

    @property
    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        with_doubt = any(table.layout.in_doubt is not None for table in self._tables)
        return schema_with(self.extra_columns, with_doubt=with_doubt)

    @property
    def earlier(self) -> None:
        """None: the files may be exports, but nothing is known of their ledgers."""

    def digest(self) -> str:
        """SHA-256, in hex, over all files in order; names do not count, except those of partitions, which are values.

        Reads everything, unless it is known already (see `with_digest`). Raises `InputError` as reading does.
        """
        return self._digest or digest_of(self.files, self._partitions)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of at most 8,192, in constant memory. Each call reads the files again.

        The columns of a batch are:

        - ``row``: number over all files, from 0, bad rows included.
        - ``line``: line in its file, from 1. For Parquet, the number of the row.
        - ``source``: index of the file.
        - ``user``, ``folder``, ``contact``: never null, without surrounding white space.
        - ``reason``: why the row cannot be sent, or null.
        - the extra columns, and ``in_doubt`` if a file is an export.

        Raises `InputError` if a file cannot be read further, after every readable row before that place. The caller
        must send nothing of such an input. `look` tells afterwards what was seen.
        """
        schema, row, look = self.schema, 0, Look()
        self._looks[:] = [look]
        for number, table in enumerate(self._tables):
            mender = Mender(table.layout, self.clean)
            for read in table.cells():
                cells = bounded(mender.mend(read))
                look.notes.add(number, cells.notes)
                for batch in batches_of(cells, schema, number, row):
                    look.see(number, batch)
                    yield batch
                    row += batch.num_rows
        if self._needs_rows and not row:
            named = self.files[0] if len(self.files) == 1 else "The list"
            raise InputError(f"{named} holds no row. Nothing was sent. Look at how the list was made.")


def open_source(
    paths: Sequence[str | Path],
    columns: Mapping[str, str] | None = None,
    *,
    user: str | None = None,
    clean: bool = False,
    block_bytes: int = BLOCK_BYTES,
) -> Source:
    """Open an input: files and folders of CSV, JSON or Parquet, in the given order.

    - ``columns`` names the columns for the roles user, folder and contact, if they have unusual names. An empty name
      leaves the folder out.
    - ``user`` is the user of every row, for files without such a column.
    - ``clean`` mends names and ids where their meaning is certain (see
      `purgeengine.core.graph.identifier_causes.mended`).
    - ``block_bytes`` is for tests.

    The header of every file is read, but no row. JSON has no header and is read to its end. Raises `InputError`, with
    a sentence for the user, if a file is missing, unreadable, damaged, or lacks a column. Raises `UsageProblem` if
    ``columns`` names another role.
    """
    found = find_files(paths)
    override = checked_override(columns, user)
    try:
        tables = tuple(
            _table(path, override.within(partition), block_bytes)
            for path, partition in zip(found.files, found.partitions, strict=True)
        )
    except InputError as error:
        names = [name for left in found.left_alone for name in left.names()]
        if not names:
            raise
        raise InputError(f"{error} Besides, {some_of(names)} would not be read.") from error
    estimates = [table.rows_estimate for table in tables]
    known = [estimate for estimate in estimates if estimate is not None]
    return Source(
        files=found.files,
        left_alone=found.left_alone,
        extra_columns=united([table.layout for table in tables]),
        rows_estimate=sum(known) if len(known) == len(estimates) else None,
        size_bytes=sum(map(size_of, found.files)),
        user=user,
        clean=clean,
        _tables=tables,
        _partitions=found.partitions,
    )


def _table(path: Path, override: Mapping[str, str], block_bytes: int) -> Table:
    """Open a file with its reader. Only that reader is imported, because the one for Parquet takes 90 ms."""
    kind = kind_of(path)
    if kind is Kind.PARQUET:
        from purgeengine.edges.source.formats.parquet_reader import ParquetTable

        return ParquetTable.opened(path, override)
    from purgeengine.edges.source.formats.json_text import looks_like_json

    head = _head(path, kind)
    refuse_foreign_text(path, head)
    if looks_like_json(path, head):
        from purgeengine.edges.source.formats.json_reader import JsonTable

        return JsonTable.opened(path, kind, override, block_bytes)
    from purgeengine.edges.source.formats.csv_reader import CsvTable

    return CsvTable.opened(path, kind, override, block_bytes)


def _head(path: Path, kind: Kind) -> bytes:
    """Return the beginning of the file's text. Errors are left to the file's reader."""
    head = b""
    try:
        for piece in text_pieces(path, kind, 1 << 12):
            head += piece
            if len(head) >= HEAD_BYTES:
                break
    except InputError:
        pass
    return head
