"""Put any number of rows in order of their place, in bounded memory.

This is a counting sort. Its buckets lie on the disk when rows have to wait for others.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

BUCKET_BITS = 15
"""A bucket holds 2^15 = 32,768 neighbouring places: about 10 MB with long ids, and twice that while it is sorted in memory."""
PENDING_BYTES_MAX = 20 << 20
"""Bytes of rows held before they go to the buckets: about 110,000 rows with long ids. A smaller input never touches the disk."""

_COUNT: Any = pa.array(range(8_192), pa.int64())
_ROW: list[Any] = [pa.field("row", pa.int64()), pa.field("folder", pa.string()), pa.field("contact", pa.string())]
GROUPED = pa.schema(_ROW)
ARRIVING = pa.schema([pa.field("position", pa.int64()), *_ROW])


def numbers(first: int, count: int) -> Any:
    """Return ``count`` consecutive numbers from ``first`` on (int64). This is ten times as fast as an array from a range."""
    if count > len(_COUNT):
        return pa.array(range(first, first + count), pa.int64())
    return pc.add(_COUNT.slice(0, count), pa.scalar(first, pa.int64()))


def in_order(batches: Iterable[pa.RecordBatch], grouping: Grouping) -> Iterator[pa.Table]:
    """Yield all rows by place. Each comes as soon as all rows before it have come."""
    for batch in batches:
        grouping.add(batch)
        yield from grouping.whole()
    yield from grouping.tables()


class Grouping:
    """Takes rows in any order and gives them back by place. The first column of ``schema`` is the place.

    What does not fit in memory goes to a nameless file in ``folder``, or in the system's folder for temporary files.
    If the places are known to be exactly the numbers below ``places``, a bucket can be given back as soon as its last
    row has come.
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
        """For each bucket, where its pieces lie in the file: offset and length in bytes."""
        self._next = 0
        """The bucket that is given back next."""
        self._missing: dict[int, int] = {}
        """For each bucket of which some rows have come, how many are still missing."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the rows of one batch."""
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._places:
            for bucket, rows in self._buckets_of(batch.column(0)):
                self._missing[bucket] = self._missing.get(bucket, self._size(bucket)) - rows
        if self._pending_bytes > self._pending_bytes_max:
            self._spill()

    def whole(self) -> Iterator[pa.Table]:
        """Yield the next rows by place, one bucket at a time, as long as the next bucket is complete."""
        if self._missing.get(self._next) != 0:
            return
        if self._pieces:
            self._spill()  # some rows of the bucket may be in the file, and no pending rows may take memory while it is read
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
        """Yield, by place, all rows that were not given back yet, and close the file."""
        if self._pieces:
            self._spill()
            for bucket in sorted(self._pieces):
                yield _sorted(self._read(self._pieces[bucket]), self._schema)
        elif self._pending:
            yield self._taken()
        self.close()

    def close(self) -> None:
        """Close the file, which deletes it. Safe to call twice."""
        if self._file is not None:
            self._file.close()

    def _size(self, bucket: int) -> int:
        return min(self._places - (bucket << self._bucket_bits), 1 << self._bucket_bits)

    def _buckets_of(self, places: Any) -> list[tuple[int, int]]:
        """Return the buckets of these places with their number of rows, in the order in which the buckets first occur."""
        found: Any = pc.value_counts(pc.shift_right(places, self._bucket_bits))
        return list(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))

    def _taken(self) -> pa.Table:
        """Take all pending rows, by place."""
        self._pending_bytes = 0
        return _sorted(self._pending, self._schema)

    def _spill(self) -> None:
        """Cut the pending rows at the bounds of the buckets, append the pieces to the file, and remember where they lie."""
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
    """Return the rows by place. The list is emptied early, so that at most two copies of the rows exist at once."""
    table = pa.Table.from_batches(batches, schema)
    batches.clear()
    places = table.column(0).combine_chunks()
    if pc.all(pc.less(places.slice(0, max(0, len(places) - 1)), places.slice(1))).as_py():
        return table
    table = table.combine_chunks()
    return table.take(pc.sort_indices(table.column(0)))
