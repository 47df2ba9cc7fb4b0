"""The input goes into the ledger: all of its rows as they stand, and those to send in the order of sending.

Two passes. The first copies the input and learns its mailboxes and duplicates. The second reads the copy, gives every row to send
its position, and regroups. The database comes last, in one transaction: a folder without it is not staged, and staging starts anew.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from purgeengine.core.identifiers import mailbox_key
from purgeengine.edges.ledger import database
from purgeengine.edges.ledger.behind import Behind, Beside
from purgeengine.edges.ledger.doubts import Doubts
from purgeengine.edges.ledger.duplicates import bytes_of
from purgeengine.edges.ledger.earlier import Earlier
from purgeengine.edges.ledger.grouping import ARRIVING, GROUPED, Grouping, first_positions, numbers
from purgeengine.edges.ledger.names import Names, rows_of_names
from purgeengine.edges.ledger.parts import PART_ROWS_MAX, Parts, PartWriter
from purgeengine.edges.ledger.storage import INPUT, ORDER, UNFINISHED, WORK, sync_folder
from purgeengine.edges.ledger.survey import Input, Progress, Surveyor

INPUT_GROUP_ROWS = 8_192
"""Read one after the other, in input order."""
WORK_GROUP_ROWS = 512
"""Read a few rows at a time for many mailboxes in turn: about 80 kB in memory with long ids, 0.1 ms to read."""

NUMBERS: list[Any] = [pa.field("row", pa.int64()), pa.field("line", pa.int64()), pa.field("source", pa.int32())]
TEXTS = ("user", "folder", "contact", "reason")
ORDERED = pa.schema([("position", pa.int64()), ("first_row", pa.int64())])
"""Where a row of the input went: its position, or the earlier row it duplicates, or neither when it is invalid."""
NUMBERS_FILE = "mailboxes"
"""Scratch space: the mailbox of each valid row, in input order."""

_PAIR = Struct("<qq")


def input_schema(extra_columns: tuple[str, ...]) -> pa.Schema:
    """The columns of a source's batches, and of the staged input."""
    return pa.schema(NUMBERS + [pa.field(name, pa.string()) for name in (*TEXTS, *extra_columns)])


def stage(
    folder: Path,
    source: Input,
    about: dict[str, Any],
    earlier: Earlier | None,
    on_progress: Progress | None,
    names: Names | None = None,
) -> None:
    """Fill an empty ledger; ``about`` and ``names`` are kept with it, and what it takes over from an ``earlier`` one.

    Rows of a mailbox that has two ``names`` become rows of one. Scratch space must exist. Raises `InputError` as reading the input
    does.
    """
    scratch = folder / UNFINISHED
    surveyor = Surveyor(source.files, lambda: scratch, names)
    digest = Beside(source.digest)
    inputs = _copy_input(folder, source, surveyor, on_progress)
    mailboxes = surveyor.mailboxes
    repeats = Repeats(scratch)
    for duplicate in surveyor.duplicates():
        repeats.add(duplicate.row, duplicate.first_row)
    order, first = first_positions(mailboxes.rows)
    rows = [(mailboxes.users[number], mailboxes.rows[number], first[number]) for number in order]
    doubts = surveyor.doubts
    doubted = [(rank, doubts.rows_by_mailbox[number]) for rank, number in enumerate(order)]
    others = _regroup(folder, inputs, Places(first, doubts), repeats)
    sync_folder(
        folder
    )  # the names of the parts' folders: a power loss must not take them away from a database that is there
    database.create(
        folder,
        {
            **about,
            **(earlier.origin if earlier else {}),
            "digest": digest.result(),
            "rows": surveyor.rows,
            "work_rows": surveyor.valid_rows - surveyor.duplicate_rows,
            "invalid": surveyor.rows - surveyor.valid_rows,
            "duplicates": surveyor.duplicate_rows,
        },
        ((rank, user, mailbox_key(user), start, count) for rank, (user, count, start) in enumerate(rows)),
        [*inputs.files, *others],
        [
            ("INSERT INTO resolved VALUES (?, ?, ?)", rows_of_names(names or {})),
            ("INSERT INTO doubt VALUES (?, ?)", [pair for pair in doubted if pair[1]]),
            *(earlier.statements([mailbox_key(user) for user, _, _ in rows]) if earlier else ()),
        ],
    )


def _copy_input(folder: Path, source: Input, surveyor: Surveyor, on_progress: Progress | None) -> PartWriter:
    """Copy the rows, and write down the mailboxes of the valid ones, so that nobody has to look them up again."""
    schema = input_schema(tuple(source.extra_columns))
    # Of the other texts, compression finds what repeats in half the time that a dictionary takes.
    writer = PartWriter(folder, INPUT, schema, INPUT_GROUP_ROWS, repetitive=["source", "folder", "reason"])
    behind = Behind()
    try:
        with (folder / UNFINISHED / NUMBERS_FILE).open("wb") as out:
            for batch in source.batches():
                out.write(bytes_of(surveyor.see(batch)))
                behind.do(writer.write, pa.Table.from_batches([batch.select(schema.names)], schema))
                if on_progress is not None:
                    on_progress(surveyor.rows)
        behind.end()
        writer.finish()
    except BaseException as error:  # an input that breaks off in the middle
        behind.abandon()
        writer.abandon(error)
        raise
    return writer


def _regroup(folder: Path, inputs: PartWriter, places: Places, repeats: Repeats) -> Any:
    """Write ``order`` and ``work``; the ``places`` are used up on the way."""
    order = PartWriter(folder, ORDER, ORDERED, INPUT_GROUP_ROWS, repetitive=[])
    work = PartWriter(
        folder, WORK, GROUPED, WORK_GROUP_ROWS, repetitive=["folder"], compression="lz4"
    )  # lz4: read twice as fast
    parts = Parts(folder, {file.name: (file.bytes, file.footer_crc) for file in inputs.files})
    behind, row = Behind(), 0
    with (
        closing(Grouping(folder / UNFINISHED)) as grouping,
        (folder / UNFINISHED / NUMBERS_FILE).open("rb") as known,
        ExitStack() as started,
    ):
        started.callback(behind.abandon)
        for number, file in enumerate(inputs.files):
            first_rows = repeats.of_part(number)
            for batch in parts.batches(file.name, ["folder", "contact", "reason"]):
                mailboxes = numbers_from(known, batch.column("reason").null_count)
                behind.do(order.write, _place(batch, row, mailboxes, first_rows, places, grouping))
                row += batch.num_rows
        behind.do(order.finish)
        for table in grouping.tables():
            behind.do(work.write, table.select(GROUPED.names))
        behind.end()
        work.finish()
    return [*order.files, *work.files]


def _place(
    batch: pa.RecordBatch,
    first_row: int,
    mailboxes: Any,
    first_rows: dict[int, int],
    places: Places,
    grouping: Grouping,
) -> pa.Table:
    """Give the rows of a batch, which begins at ``first_row``, their positions; ``mailboxes`` are those of its valid rows.

    Answers the rows of ``order``.
    """
    rows = numbers(first_row, batch.num_rows)
    firsts: Any = pa.nulls(batch.num_rows, pa.int64())
    valid: Any = pc.is_null(batch.column("reason"))
    wanted = valid
    if first_rows and not first_rows.keys().isdisjoint(range(first_row, first_row + batch.num_rows)):
        firsts = pa.array([first_rows.get(row) for row in rows.to_pylist()], pa.int64())
        wanted = pc.and_(valid, pc.is_null(firsts))
        mailboxes = mailboxes.filter(wanted.filter(valid))
    folder, contact, kept = batch.column("folder"), batch.column("contact"), rows
    if wanted.true_count < batch.num_rows:
        folder, contact, kept = (column.filter(wanted) for column in (folder, contact, rows))
    placed = pa.array(places.take(kept, mailboxes.to_pylist()), pa.int64())
    grouping.add(pa.RecordBatch.from_arrays([placed, kept, folder, contact], schema=ARRIVING))
    everywhere: Any = placed
    if len(placed) < batch.num_rows:
        everywhere = pc.replace_with_mask(pa.nulls(batch.num_rows, pa.int64()), wanted, placed)
    return pa.Table.from_arrays([everywhere, firsts], schema=ORDERED)


def numbers_from(file: BinaryIO, count: int) -> Any:
    """The next mailboxes of valid rows, as an array."""
    return pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(file.read(4 * count))])


class Places:
    """Hands out positions: rows of a mailbox keep the order of the input, those in doubt before the others."""

    def __init__(self, first: array[int], doubts: Doubts) -> None:
        """``first`` are the first positions of the mailboxes, by number."""
        self._next = first
        self._doubts = doubts
        self._next_doubtful: dict[int, int] = {}
        for mailbox, rows in doubts.rows_by_mailbox.items():
            self._next_doubtful[mailbox] = first[mailbox]
            first[mailbox] += rows

    def take(self, rows: Any, mailboxes: Sequence[int]) -> list[int]:
        """The positions of these rows (an array of numbers), each of this mailbox."""
        if self._next_doubtful:
            numbers = rows.to_pylist()
            nexts = [self._next_doubtful if row in self._doubts else self._next for row in numbers]
        else:
            return _handed_out(self._next, mailboxes)
        positions = []
        for mailbox, next_position in zip(mailboxes, nexts, strict=True):
            position = next_position[mailbox]
            next_position[mailbox] = position + 1
            positions.append(position)
        return positions


def _handed_out(nexts: array[int], mailboxes: Sequence[int]) -> list[int]:
    positions = []
    for mailbox in mailboxes:
        position = nexts[mailbox]
        nexts[mailbox] = position + 1
        positions.append(position)
    return positions


class Repeats:
    """Duplicates, found in no order, by the part of the input in which they stand. Spilled in pairs of (row, first row)."""

    BUFFER_PAIRS_MAX = 131_072

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buffers: dict[int, bytearray] = {}
        self._buffered = 0

    def add(self, row: int, first_row: int) -> None:
        """Remember one."""
        self._buffers.setdefault(row // PART_ROWS_MAX, bytearray()).extend(_PAIR.pack(row, first_row))
        self._buffered += 1
        if self._buffered >= self.BUFFER_PAIRS_MAX:
            self._flush()

    def of_part(self, number: int) -> dict[int, int]:
        """Row to first row, for the rows of this part."""
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
