"""Find rows that ask for the same contact as an earlier row, anywhere in an input of any size.

A contact is compared by Python's hash of its id (a keyed SipHash of 64 bits, mixed with the mailbox) and by the last
eight bytes of the id, in which ids of one mailbox differ. That two different contacts agree in both happens
practically never: for 10 million rows the chance is 1 in 10^8, and 3 in a million if all ids had the same ending.
Both together cost a twentieth of a cryptographic digest.

Few rows are compared in memory. Many rows are spilled to disk in runs, each ordered by the first bits of the hash. So
all rows with the same bits can be read together, as many at a time as are compared in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow
import pyarrow.compute

pa: Any = pyarrow
pc: Any = pyarrow.compute

IN_MEMORY_MAX = 262_144
"""Rows held before they are spilled, and rows compared at once: 7 MB, and three times that while they are sorted."""
PARTITION_BITS = 10
"""Bits of the hash that order a run. 100 million rows make partitions of about 100,000 rows."""

_COLUMNS = {"key": pa.int64(), "row": pa.int64(), "check": pa.int64(), "mailbox": pa.int32()}
_WIDTHS = {name: kind.bit_width // 8 for name, kind in _COLUMNS.items()}
_END_BYTES = 8
_MIX: Any = pa.scalar(-7_046_029_254_386_353_131, pa.int64())
"""An odd number with many bits set: 2^64 divided by the golden ratio."""


class Duplicate(NamedTuple):
    """A row that asks for the same contact of the same mailbox as an earlier row, ``first_row``."""

    row: int
    first_row: int
    mailbox: int


class _Run(NamedTuple):
    """Rows that were spilled together: where they begin in the file, and at which of them each partition begins."""

    offset: int
    rows: int
    bounds: Sequence[int]


class Duplicates:
    """Finds the duplicates among valid rows. Call `add` with all rows in input order, then `found`.

    ``scratch`` makes a folder for scratch space; it is called only when one is needed.
    """

    def __init__(self, scratch: Callable[[], Path], in_memory_max: int = IN_MEMORY_MAX) -> None:
        self._scratch = scratch
        self._in_memory_max = in_memory_max
        self._pending: list[Any] = []
        self._pending_rows = 0
        self._runs: list[_Run] = []
        self._file: Path | None = None

    def add(self, rows: Any, mailboxes: Any, contacts: Any) -> None:
        """Take valid rows as arrays: their row numbers, mailbox numbers (int32) and contact ids (ASCII)."""
        ids: Any = contacts.cast(pa.binary())
        hashes = pa.array(list(map(hash, ids.to_pylist())), pa.int64())
        keys = pc.bit_wise_xor(hashes, pc.multiply(mailboxes.cast(pa.int64()), _MIX))
        columns = [keys, rows, _ends_of(ids), mailboxes]
        self._pending.append(pa.RecordBatch.from_arrays(columns, names=list(_COLUMNS)))
        self._pending_rows += len(mailboxes)
        if self._pending_rows > self._in_memory_max:
            self._spill()

    def found(self) -> Iterator[Duplicate]:
        """Yield every duplicate once, in no particular order."""
        if self._file is None:
            if self._pending:
                yield from _compared(pa.Table.from_batches(self._pending))
            return
        if self._pending:
            self._spill()
        with self._file.open("rb") as file:
            for first, end in self._folder_rows():
                yield from _compared(self._read(file, first, end))
        self._file.unlink()

    def _spill(self) -> None:
        if self._file is None:
            self._file = self._scratch() / "contacts-seen"
        table = pa.Table.from_batches(self._pending).combine_chunks()
        self._pending, self._pending_rows = [], 0
        partitions = pc.shift_right(table.column("key"), 64 - PARTITION_BITS).cast(pa.int16())
        order = pc.sort_indices(partitions)  # stable: rows stay in input order
        bounds, at = [0], 0
        counts = {found["values"]: found["counts"] for found in pc.value_counts(partitions).to_pylist()}
        for partition in range(-(1 << PARTITION_BITS - 1), 1 << PARTITION_BITS - 1):
            at += counts.get(partition, 0)
            bounds.append(at)
        with self._file.open("ab") as file:
            self._runs.append(_Run(file.tell(), at, bounds))
            for name in _COLUMNS:
                file.write(bytes_of(table.column(name).take(order).combine_chunks()))

    def _folder_rows(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of neighbouring partitions that fit in memory together."""
        first = rows = 0
        for partition in range(1 << PARTITION_BITS):
            more = sum(run.bounds[partition + 1] - run.bounds[partition] for run in self._runs)
            if rows and rows + more > self._in_memory_max:
                yield first, partition
                first, rows = partition, 0
            rows += more
        yield first, 1 << PARTITION_BITS

    def _read(self, file: BinaryIO, first: int, end: int) -> Any:
        pieces: dict[str, list[bytes]] = {name: [] for name in _COLUMNS}
        for run in self._runs:
            offset, start, count = run.offset, run.bounds[first], run.bounds[end] - run.bounds[first]
            for name, width in _WIDTHS.items():
                file.seek(offset + start * width)
                pieces[name].append(file.read(count * width))
                offset += run.rows * width
        columns = []
        for name, kind in _COLUMNS.items():
            data = b"".join(pieces.pop(name))
            columns.append(pa.Array.from_buffers(kind, len(data) // _WIDTHS[name], [None, pa.py_buffer(data)]))
        return pa.Table.from_arrays(columns, names=list(_COLUMNS))


def _ends_of(ids: Any) -> Any:
    """Return the last eight bytes of each id as a number."""
    ends = pc.ascii_lpad(pc.binary_slice(ids, -_END_BYTES).cast(pa.string()), _END_BYTES)
    _, _, data = ends.buffers()
    return pa.Array.from_buffers(pa.int64(), len(ends), [None, data])


def _compared(table: Any) -> Iterator[Duplicate]:
    """Yield the duplicates in a table whose equal rows stand in input order.

    Only rows whose hash occurs more than once are compared one by one.
    """
    keys = table.column("key").combine_chunks()
    ordered = keys.take(pc.sort_indices(keys))
    again = pc.equal(ordered.slice(1), ordered.slice(0, max(len(ordered) - 1, 0)))
    if not pc.any(again).as_py():
        return
    suspects = table.filter(pc.is_in(keys, ordered.slice(1).filter(again)))
    seen: dict[tuple[int, int], int] = {}
    for key, row, check, mailbox in zip(*(column.to_pylist() for column in suspects.columns), strict=True):
        first = seen.setdefault((key, check), row)
        if first != row:
            yield Duplicate(row, first, mailbox)


def bytes_of(column: Any) -> memoryview:
    """Return the memory of an array of numbers that has no nulls."""
    width = column.type.bit_width // 8
    return memoryview(column.buffers()[1])[column.offset * width : (column.offset + len(column)) * width]
