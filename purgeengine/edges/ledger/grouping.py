"""Puts rows into the order of sending, however many: a counting sort whose buckets lie on the disk."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

BUCKET_BITS = 15
"""A bucket takes 32,768 neighbouring positions: about 10 MB with long ids, and twice that while it is sorted in memory."""
PENDING_ROWS_MAX = 49_152
"""Rows held before they are spread over the buckets; an input within it never touches the disk."""

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


class Grouping:
    """Takes rows with their positions in any order, gives them back by position. ``folder`` is scratch space."""

    def __init__(self, folder: Path, pending_rows_max: int = PENDING_ROWS_MAX, bucket_bits: int = BUCKET_BITS) -> None:
        self._folder = folder
        self._pending_rows_max = pending_rows_max
        self._bucket_bits = bucket_bits
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._buckets: set[int] = set()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows (schema `ARRIVING`)."""
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        if self._pending_rows > self._pending_rows_max:
            self._spill()

    def write_to(self, sink: Sink) -> None:
        """Hand over all rows, by position (schema `GROUPED`)."""
        if not self._buckets:
            sink.write(self._taken().select(GROUPED.names))
            return
        self._spill()
        for bucket in sorted(self._buckets):
            sink.write(_sorted(pa.Table.from_batches(self._read(bucket), ARRIVING)).select(GROUPED.names))
            self._file(bucket).unlink()

    def _taken(self) -> pa.Table:
        table = _sorted(pa.Table.from_batches(self._pending, ARRIVING))
        self._pending, self._pending_rows = [], 0
        return table

    def _spill(self) -> None:
        """Cut the pending rows at the bounds of the buckets; each piece is a stream of its own behind those of its bucket."""
        table = self._taken()
        buckets: Any = pc.shift_right(table.column("position"), self._bucket_bits)
        start = 0
        for found in pc.value_counts(buckets).to_pylist():
            bucket, rows = found["values"], found["counts"]
            self._buckets.add(bucket)
            with self._file(bucket).open("ab") as file, pa.ipc.new_stream(file, ARRIVING) as stream:
                stream.write_table(table.slice(start, rows))
            start += rows

    def _read(self, bucket: int) -> Iterator[pa.RecordBatch]:
        with self._file(bucket).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while file.tell() < size:
                yield from pa.ipc.open_stream(file)

    def _file(self, bucket: int) -> Path:
        return self._folder / f"bucket-{bucket:06d}"


def _sorted(table: pa.Table) -> pa.Table:
    table = table.combine_chunks()
    return table.take(pc.sort_indices(table.column("position")))
