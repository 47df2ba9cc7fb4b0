"""Puts rows into the order of sending, however many: a counting sort whose buckets lie on the disk."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

BUCKET_BITS = 15
"""A bucket takes 32,768 neighbouring positions: about 10 MB with long ids, and twice that while it is sorted in memory."""
PENDING_BYTES_MAX = 20 << 20
"""Rows held before they are spread over the buckets, about 110,000 with long ids; an input within it never touches the disk."""

_COUNT: Any = pa.array(range(8_192), pa.int64())
_ROW: list[Any] = [pa.field("row", pa.int64()), pa.field("folder", pa.string()), pa.field("contact", pa.string())]
GROUPED = pa.schema(_ROW)
ARRIVING = pa.schema([pa.field("position", pa.int64()), *_ROW])


class Sink(Protocol):
    """Where the ordered rows go."""

    def write(self, table: pa.Table) -> None: ...  # noqa: D102


def first_positions(rows_by_mailbox: Sequence[int]) -> tuple[list[int], array[int]]:
    """The mailboxes, largest first (equal ones as they appear), and by mailbox the position of its first row."""
    order = sorted(range(len(rows_by_mailbox)), key=lambda number: -rows_by_mailbox[number])
    first = array("q", bytes(8 * len(order)))
    position = 0
    for number in order:
        first[number] = position
        position += rows_by_mailbox[number]
    return order, first


def numbers(first: int, count: int) -> Any:
    """So many consecutive numbers (int64), ten times as fast as out of a range."""
    if count > len(_COUNT):
        return pa.array(range(first, first + count), pa.int64())
    return pc.add(_COUNT.slice(0, count), pa.scalar(first, pa.int64()))


class Grouping:
    """Takes rows with their places in any order, gives them back by place: that is the first column of the ``schema``.

    What does not fit in memory lies in a nameless file in ``folder``, by default where temporary files are.
    """

    def __init__(
        self,
        folder: Path | None,
        pending_bytes_max: int | None = None,
        bucket_bits: int | None = None,
        schema: pa.Schema = ARRIVING,
    ) -> None:
        self._folder = folder
        self._pending_bytes_max = PENDING_BYTES_MAX if pending_bytes_max is None else pending_bytes_max
        self._bucket_bits = BUCKET_BITS if bucket_bits is None else bucket_bits
        self._schema = schema
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._file: IO[bytes] | None = None
        self._pieces: dict[int, list[tuple[int, int]]] = {}
        """By bucket, where its pieces stand in the file: offset and length."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows."""
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes > self._pending_bytes_max:
            self._spill()

    def tables(self) -> Iterator[pa.Table]:
        """All rows, by place."""
        if self._file is None:
            yield self._taken()
            return
        self._spill()
        for bucket in sorted(self._pieces):
            yield _sorted(pa.Table.from_batches(self._read(self._file, bucket), self._schema))
        self.close()

    def write_to(self, sink: Sink) -> None:
        """Hand over all rows to send (schema `GROUPED`)."""
        for table in self.tables():
            sink.write(table.select(GROUPED.names))

    def close(self) -> None:
        """Give the file back. Safe to call twice."""
        if self._file is not None:
            self._file.close()

    def _taken(self) -> pa.Table:
        """The pending rows by place. Whatever is copied on the way is let go at once: there are never more than two copies."""
        batches, self._pending, self._pending_bytes = self._pending, [], 0
        table = pa.Table.from_batches(batches, self._schema)
        del batches
        table = table.combine_chunks()
        return table.take(pc.sort_indices(table.column(0)))

    def _spill(self) -> None:
        """Cut the pending rows at the bounds of the buckets; the pieces go to the end of the file, and where they are is kept."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - open until `close`
        table = self._taken().combine_chunks()
        buckets: Any = pc.shift_right(table.column(0), self._bucket_bits)
        start, offset = 0, self._file.seek(0, os.SEEK_END)
        for found in pc.value_counts(buckets).to_pylist():
            bucket, rows = found["values"], found["counts"]
            (batch,) = table.slice(start, rows).to_batches()
            length = self._file.write(batch.serialize())
            self._pieces.setdefault(bucket, []).append((offset, length))
            start, offset = start + rows, offset + length

    def _read(self, file: IO[bytes], bucket: int) -> Iterator[pa.RecordBatch]:
        for offset, length in self._pieces[bucket]:
            file.seek(offset)
            yield pa.ipc.read_record_batch(pa.py_buffer(file.read(length)), self._schema)


def _sorted(table: pa.Table) -> pa.Table:
    table = table.combine_chunks()
    return table.take(pc.sort_indices(table.column(0)))
