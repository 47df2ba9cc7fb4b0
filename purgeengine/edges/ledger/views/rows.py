"""Every row of the input with what became of it, in input order: the staged input and the states side by side.

This module knows what the columns mean. It does not know how the database holds a row's state, nor the file formats
of exports.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.store.database import About, snapshot
from purgeengine.edges.ledger.store.parts import Parts
from purgeengine.edges.ledger.store.schema import OUTCOMES
from purgeengine.edges.ledger.store.storage import INPUT, ORDER
from purgeengine.edges.ledger.views.row_states import RowStates

_JOIN: Any = pc.binary_join_element_wise  # its type stubs allow no mixture of columns and plain text
TIME = pa.timestamp("ms", tz="UTC")
_NAMES = pa.array([OUTCOMES[code].value if code in OUTCOMES else None for code in range(max(OUTCOMES) + 1)])

_AS_STAGED = ("row", "user", "folder", "contact")
_TOLD = {
    "outcome": {"outcome", "message"},
    "detail": {"status", "code", "message"},
    "attempts": {"attempts"},
    "in_doubt": {"in_doubt"},
    "first_sent_ms": {"first_sent_utc"},
    "settled_ms": {"settled_utc"},
    "request_id": {"request_id"},
    "client_request_id": {"client_request_id"},
}
"""For each field of a row's state, the columns of an export that are made from it."""
_NEEDED = ("line", "source", "reason")
"""Columns of the staged input that tell what is wrong with an invalid row."""
PLACE = (pa.field("line", pa.int64()), pa.field("source", pa.int32()))
"""Columns that no export has: the line of a row, and the number of its file. `rows_of` yields them where they are asked for."""


def schema_of(extra_columns: Sequence[str]) -> pa.Schema:
    """Return the columns of an export, typed. ``outcome`` is null while a row has none, ``status`` if no answer came."""
    text = pa.string()
    fields: list[Any] = [pa.field("row", pa.int64())]
    fields += [pa.field(name, text) for name in ("user", "folder", "contact", "outcome")]
    fields += [pa.field("status", pa.int32()), pa.field("code", text), pa.field("message", text)]
    fields += [pa.field("attempts", pa.int32()), pa.field("in_doubt", pa.bool_())]
    fields += [pa.field("first_sent_utc", TIME), pa.field("settled_utc", TIME)]
    fields += [pa.field(name, text) for name in ("request_id", "client_request_id", *extra_columns)]
    return pa.schema(fields)


def rows_of(
    folder: Path,
    connection: sqlite3.Connection,
    about: About,
    only: Collection[Outcome] | None,
    on_progress: Callable[[int], None] | None,
    columns: Sequence[str] | None = None,
    scratch: Path | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows as `LedgerReader.rows` describes. One read transaction is held until the end."""
    schema = schema_of(about["extra_columns"])
    if columns is not None:
        known = {field.name: field for field in (*schema, *PLACE)}
        schema = pa.schema([known[name] for name in columns])
    needed = [*_NEEDED, *(name for name in schema.names if name in (*_AS_STAGED, *about["extra_columns"]))]
    wanted = None if only is None else pa.array([outcome.value for outcome in only], pa.string())
    with snapshot(connection), ExitStack() as opened:
        files = {
            name: (size, crc) for name, size, crc in connection.execute("SELECT name, bytes, footer_crc FROM file")
        }
        parts, said, done = Parts(folder, files), _ReplyColumns(connection), 0
        states = None
        if told := _told_of(schema.names):
            states = opened.enter_context(closing(RowStates(connection, parts, told, scratch)))
        for inputs, order in zip(parts.names(INPUT), parts.names(ORDER), strict=True):
            for rows, placed in zip(parts.batches(inputs, needed), parts.batches(order), strict=True):
                batch = _joined(
                    rows,
                    placed,
                    states and states.take(done, placed.column("position").is_valid()),
                    said,
                    about,
                    schema,
                )
                yield batch if wanted is None else batch.filter(pc.is_in(batch.column("outcome"), wanted))
                done += rows.num_rows
                if on_progress is not None:
                    on_progress(done)


def _told_of(names: Collection[str]) -> list[str]:
    """Return which fields of a row's state these columns need."""
    return [field for field, wanted in _TOLD.items() if not wanted.isdisjoint(names)]


def _joined(
    rows: pa.RecordBatch, placed: pa.RecordBatch, states: Any, said: _ReplyColumns, about: About, schema: pa.Schema
) -> pa.RecordBatch:
    columns: dict[str, Any] = {name: rows.column(name) for name in schema.names if name in rows.schema.names}
    if states is not None:
        found = {name: states.column(name).combine_chunks() for name in states.column_names}
        if "detail" in found:
            columns |= said.of(states.column("detail"))
        if "outcome" in found:
            outcome: Any = _NAMES.take(found["outcome"])
            message = columns.get("message", pa.nulls(rows.num_rows, pa.string()))
            columns["outcome"], columns["message"] = _never_sent(rows, placed, outcome, message, about["files"])
        if "attempts" in found:
            columns["attempts"] = found["attempts"].fill_null(0)
        if "in_doubt" in found:
            columns["in_doubt"] = found["in_doubt"].fill_null(0).cast(pa.bool_())
        for name in ("first_sent", "settled"):
            if f"{name}_ms" in found:
                columns[f"{name}_utc"] = found[f"{name}_ms"].cast(TIME)
        for name in ("request_id", "client_request_id"):
            if name in found:
                columns[name] = found[name].fill_null("")
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _never_sent(
    rows: pa.RecordBatch, placed: pa.RecordBatch, outcome: Any, message: Any, files: Sequence[str]
) -> tuple[Any, Any]:
    """Fill in the invalid rows, with their line, and the duplicates, with the row that they repeat."""
    reason, first_row = rows.column("reason"), placed.column("first_row")
    if reason.null_count < len(reason):
        invalid = pc.is_valid(reason)
        names: Any = pa.array(list(files)).take(rows.column("source"))
        line: Any = rows.column("line").cast(pa.string())
        why = _JOIN("line ", line, " of ", names, ": ", reason, "")
        outcome, message = pc.if_else(invalid, Outcome.INVALID.value, outcome), pc.if_else(invalid, why, message)
    if first_row.null_count < len(first_row):
        repeated = pc.is_valid(first_row)
        why = _JOIN("same contact as row ", first_row.cast(pa.string()), "")
        outcome, message = pc.if_else(repeated, Outcome.DUPLICATE.value, outcome), pc.if_else(repeated, why, message)
    return outcome, message


class _ReplyColumns:
    """The columns status, code and message. Each distinct reply is read once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, details: Any) -> dict[str, Any]:
        """Return the columns for rows with these details. They are null or empty where a row has no reply."""
        encoded = details.combine_chunks().dictionary_encode(null_encoding="encode")
        replies = [
            (None, "", "") if detail is None else self._reply(detail) for detail in encoded.dictionary.to_pylist()
        ]
        statuses, codes, messages = zip(*replies, strict=True) if replies else ((), (), ())
        return {
            "status": pa.array([status or None for status in statuses], pa.int32()).take(encoded.indices),
            "code": pa.array(codes, pa.string()).take(encoded.indices),
            "message": pa.array(messages, pa.string()).take(encoded.indices),
        }

    def _reply(self, detail: int) -> tuple[int | None, str, str]:
        said = self._connection.execute("SELECT status, code, message FROM detail WHERE id = ?", (detail,)).fetchone()
        return (said[0], said[1], said[2])
