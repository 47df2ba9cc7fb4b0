"""Puts rows in order, however many: a counting sort whose buckets lie on the disk, as far as rows have to wait for others."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

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
        self._pieces: dict[int, list[_Piece]] = {}
        """By bucket, what of it lies in the file."""
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
        pending = self._taken()
        while self._missing.get(self._next) == 0:
            del self._missing[self._next]
            pieces = self._pieces.pop(self._next, [])
            rows = self._size(self._next) - sum(piece.rows for piece in pieces)
            yield self._with_pieces(pieces, pending.slice(0, rows))
            pending = pending.slice(rows)
            self._next += 1
        self._pending, self._pending_bytes = pending.to_batches(), pending.nbytes

    def tables(self) -> Iterator[pa.Table]:
        """All rows that have not been given back, by place."""
        if self._pending and not self._pieces:
            yield self._taken()
        elif self._pieces:
            self._spill()
            for bucket in sorted(self._pieces):
                yield self._with_pieces(self._pieces[bucket], self._schema.empty_table())
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
        """The pending rows by place. Whatever is copied on the way is let go at once: there are never more than two copies."""
        batches, self._pending, self._pending_bytes = self._pending, [], 0
        table = pa.Table.from_batches(batches, self._schema)
        del batches
        return _sorted(table)

    def _spill(self) -> None:
        """Cut the pending rows at the bounds of the buckets; the pieces go to the end of the file, and where they are is kept."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - open until `close`
        table = self._taken().combine_chunks()
        start, offset = 0, self._file.seek(0, os.SEEK_END)
        for bucket, rows in self._buckets_of(table.column(0)):
            (batch,) = table.slice(start, rows).to_batches()
            length = self._file.write(batch.serialize())
            self._pieces.setdefault(bucket, []).append(_Piece(offset, length, rows))
            start, offset = start + rows, offset + length

    def _with_pieces(self, pieces: list[_Piece], pending: pa.Table) -> pa.Table:
        """Rows of a bucket from the file, and those that are pending still, by place."""
        if not pieces:
            return pending
        read = pa.Table.from_batches(self._read(pieces), self._schema)
        return _sorted(pa.concat_tables([read, pending]))

    def _read(self, pieces: list[_Piece]) -> Iterator[pa.RecordBatch]:
        assert self._file is not None, "it has pieces"
        for piece in pieces:
            self._file.seek(piece.offset)
            yield pa.ipc.read_record_batch(pa.py_buffer(self._file.read(piece.length)), self._schema)


class _Piece(NamedTuple):
    """Rows of a bucket that were spilled together: where they stand in the file, in bytes, and how many they are."""

    offset: int
    length: int
    rows: int


def _sorted(table: pa.Table) -> pa.Table:
    places = table.column(0).combine_chunks()
    if pc.all(pc.less(places.slice(0, max(0, len(places) - 1)), places.slice(1))).as_py() is not False:
        return table
    table = table.combine_chunks()
    return table.take(pc.sort_indices(table.column(0)))
