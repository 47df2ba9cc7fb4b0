"""Give every row to send its position in the order of sending.

The rows of a mailbox are neighbours, and mailboxes come in the order in which their last rows stand in the input. So
rows that stand together in the input stay together, and a list that is sorted by mailbox needs no regrouping.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise, repeat
from math import ceil
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

import pyarrow
import pyarrow.compute

from purgeengine.edges.ledger.staging.prior_doubts import PriorDoubts
from purgeengine.edges.ledger.store.grouping import numbers
from purgeengine.edges.ledger.store.parts import PART_ROWS_MAX

pa: Any = pyarrow
pc: Any = pyarrow.compute

NEIGHBOURS_MIN = 8
"""Average number of neighbouring rows of one mailbox from which on such rows are placed together, not one by one."""
NUMBERS_FILE = "mailboxes"
"""Scratch file with the mailbox of each row, in input order."""
NO_MAILBOX: Any = pa.scalar(-1, pa.int32())
"""Stands for the mailbox of a row that cannot be sent."""

_PAIR = Struct("<qq")


def numbers_from(file: BinaryIO, count: int) -> Any:
    """Return the mailboxes of the next ``count`` rows as an array. It is shorter at the end of the file."""
    data = file.read(4 * count)
    return pa.Array.from_buffers(pa.int32(), len(data) // 4, [None, pa.py_buffer(data)])


def by_last_row(file: Path, repeats: Repeats, mailboxes: int) -> list[int]:
    """Return the mailboxes in the order in which their last rows to send stand in the input.

    Then rows of a mailbox that stand together in the input are also together with their neighbours in the order of
    sending. They need not wait for rows that stand elsewhere. The file is read from its end until all mailboxes are
    found.
    """
    found: dict[int, None] = {}
    rows = file.stat().st_size // 4
    longest = min(rows, PART_ROWS_MAX)  # numbers for a whole part would take 40 ms, which a short list need not pay
    backwards = pa.array(range(longest - 1, -1, -1), pa.int32())
    with file.open("rb") as known:
        for part in reversed(range(ceil(rows / PART_ROWS_MAX))):
            known.seek(4 * part * PART_ROWS_MAX)
            told = numbers_from(known, PART_ROWS_MAX)
            sent = bytearray(b"\1") * len(told)
            for row in repeats.of_part(part):
                sent[row - part * PART_ROWS_MAX] = 0
            wanted = pa.Array.from_buffers(pa.uint8(), len(sent), [None, pa.py_buffer(sent)]).cast(pa.bool_())
            told = told.filter(pc.and_(wanted, pc.not_equal(told, NO_MAILBOX)))
            told = told.take(backwards.slice(longest - len(told)))
            found.update(dict.fromkeys(pc.unique(told).to_pylist()))
            if len(found) == mailboxes:
                break
    return list(reversed(found))


def first_positions(rows_by_mailbox: Sequence[int], order: Iterable[int]) -> array[int]:
    """Return, for each mailbox, the position of its first row, when the mailboxes come in this order."""
    first = array("q", bytes(8 * len(rows_by_mailbox)))
    position = 0
    for number in order:
        first[number] = position
        position += rows_by_mailbox[number]
    return first


class RowOrder:
    """Hands out positions. The rows of a mailbox keep the order of the input, except that its rows in doubt come first."""

    def __init__(self, first: array[int], doubts: PriorDoubts) -> None:
        """Begin with ``first``, the first position of each mailbox. The array is changed."""
        self._next = first
        self._doubts = doubts
        self._next_doubtful: dict[int, int] = {}
        for mailbox, rows in doubts.rows_by_mailbox.items():
            self._next_doubtful[mailbox] = first[mailbox]
            first[mailbox] += rows

    def take(self, rows: Any, mailboxes: Any) -> Any:
        """Return the positions of these rows. ``rows`` are row numbers, ``mailboxes`` the mailbox of each; all are arrays."""
        if self._next_doubtful:
            nexts = [self._next_doubtful if row in self._doubts else self._next for row in rows.to_pylist()]
            return _one_by_one(nexts, mailboxes.to_pylist())
        folder_rows = pc.run_end_encode(mailboxes)
        if len(folder_rows.values) * NEIGHBOURS_MIN > len(mailboxes):
            return _one_by_one(repeat(self._next), mailboxes.to_pylist())
        return _joined(self._folder_rows(folder_rows))

    def _folder_rows(self, mailboxes: Any) -> Iterator[range]:
        """Yield the positions of rows whose mailboxes come as a run-end encoded array."""
        row = 0
        for mailbox, end in zip(mailboxes.values.to_pylist(), mailboxes.run_ends.to_pylist(), strict=True):
            first = self._next[mailbox]
            self._next[mailbox] = first + end - row
            yield range(first, first + end - row)
            row = end


def _one_by_one(nexts: Iterable[array[int] | dict[int, int]], mailboxes: Iterable[int]) -> Any:
    positions = []
    for next_position, mailbox in zip(nexts, mailboxes, strict=False):
        position = next_position[mailbox]
        next_position[mailbox] = position + 1
        positions.append(position)
    return pa.array(positions, pa.int64())


def _joined(folder_rows: Iterable[range]) -> Any:
    """Return the positions as one array. In a list sorted by mailbox, each range continues the one before, which is fast."""
    found = list(folder_rows)
    if all(one.stop == other.start for one, other in pairwise(found)):
        return numbers(found[0].start, found[-1].stop - found[0].start) if found else numbers(0, 0)
    return pa.array(list(chain.from_iterable(found)), pa.int64())


class Repeats:
    """Duplicates in any order, kept by the file of the staged input in which they stand.

    They are spilled as pairs (row, first row).
    """

    BUFFER_PAIRS_MAX = 131_072

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buffers: dict[int, bytearray] = {}
        self._buffered = 0

    def add(self, row: int, first_row: int) -> None:
        """Keep one duplicate."""
        self._buffers.setdefault(row // PART_ROWS_MAX, bytearray()).extend(_PAIR.pack(row, first_row))
        self._buffered += 1
        if self._buffered >= self.BUFFER_PAIRS_MAX:
            self._flush()

    def of_part(self, number: int) -> dict[int, int]:
        """Return the duplicates of one file of the input: row to first row."""
        return dict(self._pairs(number))

    def _pairs(self, number: int) -> Iterator[tuple[int, int]]:
        if self._file(number).exists():
            yield from _PAIR.iter_unpack(self._file(number).read_bytes())
        yield from _PAIR.iter_unpack(self._buffers.get(number, b""))

    def _flush(self) -> None:
        for number, buffer in self._buffers.items():
            with self._file(number).open("ab") as file:
                file.write(buffer)
        self._buffers.clear()
        self._buffered = 0

    def _file(self, number: int) -> Path:
        return self._folder / f"repeats-{number:05d}"
