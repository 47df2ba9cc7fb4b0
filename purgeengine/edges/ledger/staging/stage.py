"""Copy the input into the ledger: all rows as they stand, and the rows to send in the order of sending.

Staging takes two passes. The first copies the input and learns its mailboxes and duplicates. The second reads the
copy, gives every row to send its position, and regroups rows that do not come in order. The database comes last, in
one transaction: a folder without it is not staged, and staging starts again from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.edges.ledger.staging.background import Background, ThreadedCall
from purgeengine.edges.ledger.staging.duplicates import bytes_of
from purgeengine.edges.ledger.staging.names import Names, names_of_users, rows_of_names
from purgeengine.edges.ledger.staging.row_order import (
    NO_MAILBOX,
    NUMBERS_FILE,
    Repeats,
    RowOrder,
    by_last_row,
    first_positions,
    numbers_from,
)
from purgeengine.edges.ledger.staging.survey import Input, Progress, Reading, Surveyor, no_usable_row
from purgeengine.edges.ledger.staging.takeover import Takeover
from purgeengine.edges.ledger.store import database
from purgeengine.edges.ledger.store.grouping import ARRIVING, GROUPED, Grouping, in_order, numbers
from purgeengine.edges.ledger.store.parts import WORK_GROUP_ROWS, Parts, PartWriter
from purgeengine.edges.ledger.store.storage import INPUT, ORDER, UNFINISHED, WORK, sync_folder

INPUT_GROUP_ROWS = 8_192
"""Rows of one group. These files are read from beginning to end, in input order."""

NUMBERS: list[Any] = [pa.field("row", pa.int64()), pa.field("line", pa.int64()), pa.field("source", pa.int32())]
TEXTS = ("user", "folder", "contact", "reason")
ORDERED = pa.schema([("position", pa.int64()), ("first_row", pa.int64())])
"""Where a row of the input went: its position, or the earlier row that it repeats. Both are null if it is invalid."""


def input_schema(extra_columns: tuple[str, ...]) -> pa.Schema:
    """Return the columns of a source's batches, and of the staged input."""
    return pa.schema(NUMBERS + [pa.field(name, pa.string()) for name in (*TEXTS, *extra_columns)])


def stage(
    folder: Path,
    source: Input,
    about: dict[str, Any],
    earlier: Takeover | None,
    on_progress: Progress | None,
    names: Names | None = None,
    reading: Reading | None = None,
) -> None:
    """Fill an empty ledger. Its scratch space must exist.

    - ``about`` is recorded with it, as is what it takes over from ``earlier``, the ledger whose rows it runs again.
    - ``names`` are recorded too. Rows of a user with two names become rows of one mailbox.
    - ``on_progress`` is called with the number of rows read so far.
    - ``reading`` is called once the input has been read. It returns which columns were used and what was ignored.

    Raises `InputError` if the input cannot be read, or if no row of it can be sent.
    """
    scratch = folder / UNFINISHED
    surveyor = Surveyor(source.files, lambda: scratch, names)
    digest = ThreadedCall(source.digest)
    inputs = _copy_input(folder, source, surveyor, on_progress)
    if surveyor.rows and not surveyor.valid_rows and earlier is None:
        raise no_usable_row(surveyor.survey())
    mailboxes = surveyor.mailboxes
    repeats = Repeats(scratch)
    for duplicate in surveyor.duplicates():
        repeats.add(duplicate.row, duplicate.first_row)
    order = by_last_row(scratch / NUMBERS_FILE, repeats, len(mailboxes))
    first = first_positions(mailboxes.rows, order)
    staged = [
        (rank, mailboxes.users[number], mailbox_key(mailboxes.users[number]), first[number], mailboxes.rows[number])
        for rank, number in enumerate(order)
    ]
    doubts = surveyor.doubts
    doubted = [(rank, doubts.rows_by_mailbox[number]) for rank, number in enumerate(order)]
    looked_up = rows_of_names(names or {})
    of_user = names_of_users(looked_up)
    others = _regroup(folder, inputs, RowOrder(first, doubts), repeats, sum(mailboxes.rows))
    # Sync the folders' names: a power loss must not take the files away from a database that is there.
    sync_folder(folder)
    database.create(
        folder,
        {
            **about,
            "id": uuid4().hex,
            **(earlier.origin if earlier else {}),
            **({"reading": reading()} if reading is not None else {}),
            "digest": digest.result(),
            "rows": surveyor.rows,
            "work_rows": surveyor.valid_rows - surveyor.duplicate_rows,
            "invalid": surveyor.rows - surveyor.valid_rows,
            "duplicates": surveyor.duplicate_rows,
        },
        staged,
        [*inputs.files, *others],
        [
            ("INSERT INTO resolved VALUES (?, ?, ?)", looked_up),
            ("INSERT INTO doubt VALUES (?, ?)", [pair for pair in doubted if pair[1]]),
            *(earlier.statements(of_user.get(key, {key}) for _, _, key, _, _ in staged) if earlier else ()),
        ],
    )


def _copy_input(folder: Path, source: Input, surveyor: Surveyor, on_progress: Progress | None) -> PartWriter:
    """Copy the rows, and write the mailbox of each to a scratch file, so that the second pass need not look it up."""
    schema = input_schema(tuple(source.extra_columns))
    # For the other texts, plain compression finds repetitions in half the time that a dictionary takes.
    writer = PartWriter(folder, INPUT, schema, INPUT_GROUP_ROWS, repetitive=["source", "folder", "reason"])
    behind = Background()
    try:
        with (folder / UNFINISHED / NUMBERS_FILE).open("wb") as out:
            for batch in source.batches():
                out.write(bytes_of(_of_all_rows(batch, surveyor.see(batch))))
                behind.do(writer.write, pa.Table.from_batches([batch.select(schema.names)], schema))
                if on_progress is not None:
                    on_progress(surveyor.rows)
        behind.end()
        writer.finish()
    finally:  # also when reading the input fails midway
        behind.abandon()
        writer.abandon()
    return writer


def _of_all_rows(batch: pa.RecordBatch, mailboxes: Any) -> Any:
    """Return a mailbox for each row of the batch, from those of its valid rows."""
    reason = batch.column("reason")
    if reason.null_count == batch.num_rows:
        return mailboxes
    return pc.replace_with_mask(pa.repeat(NO_MAILBOX, batch.num_rows), reason.is_null(), mailboxes)


def _regroup(folder: Path, inputs: PartWriter, places: RowOrder, repeats: Repeats, rows_to_send: int) -> Any:
    """Write ``order`` and ``work``. This uses up ``places``."""
    order = PartWriter(folder, ORDER, ORDERED, INPUT_GROUP_ROWS, repetitive=[])
    work = PartWriter(
        folder, WORK, GROUPED, WORK_GROUP_ROWS, repetitive=["folder"], compression="lz4"
    )  # lz4 is read twice as fast
    parts = Parts(folder, {file.name: (file.bytes, file.footer_crc) for file in inputs.files})
    behind = Background()
    with (
        closing(Grouping(folder / UNFINISHED, places=rows_to_send)) as grouping,
        (folder / UNFINISHED / NUMBERS_FILE).open("rb") as known,
        ExitStack() as started,
    ):
        # called in reverse order: the background thread may be using the writers
        for end in (work.abandon, order.abandon, behind.abandon):
            started.callback(end)

        def placed() -> Iterator[pa.RecordBatch]:
            row = 0
            for number, file in enumerate(inputs.files):
                first_rows = repeats.of_part(number)
                for batch in parts.batches(file.name, ["folder", "contact"]):
                    mailboxes = numbers_from(known, batch.num_rows)
                    ordered, arriving = _place(batch, row, mailboxes, first_rows, places)
                    behind.do(order.write, ordered)
                    yield arriving
                    row += batch.num_rows

        for table in in_order(placed(), grouping):
            behind.do(work.write, table.select(GROUPED.names))
        behind.do(order.finish)
        behind.do(work.finish)
        behind.end()
    return [*order.files, *work.files]


def _place(
    batch: pa.RecordBatch, first_row: int, mailboxes: Any, first_rows: dict[int, int], places: RowOrder
) -> tuple[pa.Table, pa.RecordBatch]:
    """Give the rows of a batch, which begins at ``first_row``, their positions. ``mailboxes`` are those of the rows.

    Returns the rows of ``order``, and the rows to send with their positions.
    """
    rows = numbers(first_row, batch.num_rows)
    firsts: Any = pa.nulls(batch.num_rows, pa.int64())
    wanted: Any = pc.not_equal(mailboxes, NO_MAILBOX)
    if first_rows and not first_rows.keys().isdisjoint(range(first_row, first_row + batch.num_rows)):
        firsts = pa.array(list(map(first_rows.get, range(first_row, first_row + batch.num_rows))), pa.int64())
        wanted = pc.and_(wanted, pc.is_null(firsts))
    folder, contact, kept = batch.column("folder"), batch.column("contact"), rows
    if wanted.true_count < batch.num_rows:
        folder, contact, kept, mailboxes = (column.filter(wanted) for column in (folder, contact, rows, mailboxes))
    placed = places.take(kept, mailboxes)
    everywhere: Any = placed
    if len(placed) < batch.num_rows:
        everywhere = pc.replace_with_mask(pa.nulls(batch.num_rows, pa.int64()), wanted, placed)
    ordered = pa.Table.from_arrays([everywhere, firsts], schema=ORDERED)
    return ordered, pa.RecordBatch.from_arrays([placed, kept, folder, contact], schema=ARRIVING)
