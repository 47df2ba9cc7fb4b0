"""Puts rows in order, however many: a counting sort whose buckets lie on the disk, as far as rows have to wait for others."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

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


def numbers(first: int, count: int) -> Any:
    """So many consecutive numbers (int64), ten times as fast as out of a range."""
    if count > len(_COUNT):
        return pa.array(range(first, first + count), pa.int64())
    return pc.add(_COUNT.slice(0, count), pa.scalar(first, pa.int64()))


def in_order(batches: Iterable[pa.RecordBatch], grouping: Grouping) -> Iterator[pa.Table]:
    """All rows by place, each as soon as those before it have come."""
    for batch in batches:
        grouping.add(batch)
        yield from grouping.whole()
    yield from grouping.tables()


class Grouping:
    """Takes rows with their places in any order, gives them back by place: that is the first column of the ``schema``.

    What does not fit in memory lies in a nameless file in ``folder``, by default where temporary files are. Where the places are
    known to be all numbers below ``places``, rows need not wait for the last one.
    """

    def __init__(
        self,
        folder: Path | None,
        pending_bytes_max: int | None = None,
        bucket_bits: int | None = None,
        schema: pa.Schema = ARRIVING,
        places: int = 0,
    ) -> None:
        self._folder = folder
        self._pending_bytes_max = PENDING_BYTES_MAX if pending_bytes_max is None else pending_bytes_max
        self._bucket_bits = BUCKET_BITS if bucket_bits is None else bucket_bits
        self._schema = schema
        self._places = places
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._file: IO[bytes] | None = None
        self._pieces: dict[int, list[tuple[int, int]]] = {}
        """By bucket, where its pieces stand in the file: offset and length."""
        self._next = 0
        """The bucket that is given back next."""
        self._missing: dict[int, int] = {}
        """By bucket, how many of its rows have not come, where some have."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows."""
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._places:
            for bucket, rows in self._buckets_of(batch.column(0)):
                self._missing[bucket] = self._missing.get(bucket, self._size(bucket)) - rows
        if self._pending_bytes > self._pending_bytes_max:
            self._spill()

    def whole(self) -> Iterator[pa.Table]:
        """The next rows by place, a bucket at a time, as far as no row is missing from it."""
        if self._missing.get(self._next) != 0:
            return
        if self._pieces:
            self._spill()  # some of its rows may lie there, and none stays in memory while it is read
        pending = self._taken()
        while self._missing.get(self._next) == 0:
            del self._missing[self._next]
            if pieces := self._pieces.pop(self._next, None):
                yield _sorted(self._read(pieces), self._schema)
            else:
                rows = self._size(self._next)
                yield pending.slice(0, rows)
                pending = pending.slice(rows)
            self._next += 1
        self._pending, self._pending_bytes = pending.to_batches(), pending.nbytes

    def tables(self) -> Iterator[pa.Table]:
        """All rows that have not been given back, by place."""
        if self._pieces:
            self._spill()
            for bucket in sorted(self._pieces):
                yield _sorted(self._read(self._pieces[bucket]), self._schema)
        elif self._pending:
            yield self._taken()
        self.close()

    def close(self) -> None:
        """Give the file back. Safe to call twice."""
        if self._file is not None:
            self._file.close()

    def _size(self, bucket: int) -> int:
        return min(self._places - (bucket << self._bucket_bits), 1 << self._bucket_bits)

    def _buckets_of(self, places: Any) -> list[tuple[int, int]]:
        """The buckets of these places with their rows, in the order in which they come."""
        found: Any = pc.value_counts(pc.shift_right(places, self._bucket_bits))
        return list(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))

    def _taken(self) -> pa.Table:
        """The pending rows by place."""
        self._pending_bytes = 0
        return _sorted(self._pending, self._schema)

    def _spill(self) -> None:
        """Cut the pending rows at the bounds of the buckets; the pieces go to the end of the file, and where they are is kept."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - open until `close`
        table = self._taken().combine_chunks()
        start, offset = 0, self._file.seek(0, os.SEEK_END)
        for bucket, rows in self._buckets_of(table.column(0)):
            (batch,) = table.slice(start, rows).to_batches()
            length = self._file.write(batch.serialize())
            self._pieces.setdefault(bucket, []).append((offset, length))
            start, offset = start + rows, offset + length

    def _read(self, pieces: list[tuple[int, int]]) -> list[pa.RecordBatch]:
        assert self._file is not None, "it has pieces"
        found = []
        for offset, length in pieces:
            self._file.seek(offset)
            found.append(pa.ipc.read_record_batch(pa.py_buffer(self._file.read(length)), self._schema))
        return found


def _sorted(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """The rows of the list by place. It is emptied and let go at once when it is copied: never are there more than two copies."""
    table = pa.Table.from_batches(batches, schema)
    batches.clear()
    places = table.column(0).combine_chunks()
    if pc.all(pc.less(places.slice(0, max(0, len(places) - 1)), places.slice(1))).as_py():
        return table
    table = table.combine_chunks()
    return table.take(pc.sort_indices(table.column(0)))
