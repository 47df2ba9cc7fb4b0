"""Every row of the input with what became of it, in input order: the staged input and the database put side by side.

It knows how a row's state is told (see `schema`), for settled, unsettled and never sent rows alike. It must not know file formats
of exports.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.database import About, snapshot
from purgeengine.edges.ledger.parts import Parts
from purgeengine.edges.ledger.request_ids import unpacked
from purgeengine.edges.ledger.schema import OUTCOME_CODES, OUTCOMES
from purgeengine.edges.ledger.status import inherited_doubts, skipped_ranges
from purgeengine.edges.ledger.storage import INPUT, ORDER

_JOIN: Any = pc.binary_join_element_wise  # its stubs know no mixture of columns and plain text
TIME = pa.timestamp("ms", tz="UTC")
_SKIPPED = OUTCOME_CODES[Outcome.SKIPPED]
_NAMES = pa.array([OUTCOMES[code].value if code in OUTCOMES else None for code in range(max(OUTCOMES) + 1)])

_AS_STAGED = ("row", "user", "folder", "contact")
_NEEDED = ("line", "source", "reason")
"""Columns of the staged input that say what was wrong with a row."""
STRETCH_BITS = 14
"""A stretch of neighbouring positions is handed to SQLite as first << 14 | length: a number costs less than a pair."""

_SETTLED = """
SELECT wanted.key, first, rows, outcome, detail, attempts, in_doubt,
    CASE WHEN attempts > 0 THEN coalesce(first_sent_ms, sent_ms) END, settled_ms, request_id, client_request_id
FROM json_each(?) AS wanted
JOIN outcome ON first >= coalesce((SELECT max(first) FROM outcome WHERE first <= wanted.value >> 14), 0)
    AND first < (wanted.value >> 14) + (wanted.value & 16383)
JOIN batch ON batch.number = outcome.batch
"""
_ATTEMPTED = """
SELECT position, NULL, NULL, attempt.number, in_doubt OR ended_ms IS NULL, first_sent_ms, NULL, request_id, client_request_id
FROM json_each(?) AS wanted
JOIN attempt ON position >= wanted.value >> 14 AND position < (wanted.value >> 14) + (wanted.value & 16383)
JOIN batch ON batch.number = attempt.batch
"""


class _State(NamedTuple):
    """What became of a row, as the database has it."""

    outcome: int | None = None
    detail: int | None = None
    attempts: int = 0
    in_doubt: int = 0
    first_sent_ms: int | None = None
    settled_ms: int | None = None
    request_id: bytes | str | None = None
    client_request_id: bytes | str | None = None


_NOTHING = _State()


def schema_of(extra_columns: Sequence[str]) -> pa.Schema:
    """The columns of an export, typed. ``outcome`` is null while there is none, ``status`` where no answer came."""
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
) -> Iterator[pa.RecordBatch]:
    """See `LedgerReader.rows`; one read transaction, held until the end."""
    schema = schema_of(about["extra_columns"])
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    needed = [*_NEEDED, *(name for name in schema.names if name in (*_AS_STAGED, *about["extra_columns"]))]
    wanted = None if only is None else pa.array([outcome.value for outcome in only], pa.string())
    with snapshot(connection):
        files = {
            name: (size, crc) for name, size, crc in connection.execute("SELECT name, bytes, footer_crc FROM file")
        }
        parts, states, done = Parts(folder, files), _States(connection), 0
        for inputs, order in zip(parts.names(INPUT), parts.names(ORDER), strict=True):
            for rows, placed in zip(parts.batches(inputs, needed), parts.batches(order), strict=True):
                batch = _joined(rows, placed, states, about, schema)
                yield batch if wanted is None else batch.filter(pc.is_in(batch.column("outcome"), wanted))
                done += rows.num_rows
                if on_progress is not None:
                    on_progress(done)


def _joined(
    rows: pa.RecordBatch, placed: pa.RecordBatch, states: _States, about: About, schema: pa.Schema
) -> pa.RecordBatch:
    staged = {name: rows.column(name) for name in schema.names if name in rows.schema.names}
    if len(staged) == len(schema.names):
        return pa.RecordBatch.from_arrays([staged[name] for name in schema.names], schema=schema)
    found = states.of(placed.column("position").to_pylist())
    outcomes, details, attempts, in_doubt, first_sent, settled, request_ids, client_request_ids = zip(
        *found, strict=True
    )
    said = states.said(details)
    outcome: Any = _NAMES.take(pa.array(outcomes, pa.int8()))
    outcome, message = _never_sent(rows, placed, outcome, said["message"], about["files"])
    columns = {
        **staged,
        **said,
        "outcome": outcome,
        "message": message,
        "attempts": pa.array(attempts, pa.int32()),
        "in_doubt": pa.array(in_doubt, pa.int8()).cast(pa.bool_()),
        "first_sent_utc": pa.array(first_sent, pa.int64()).cast(TIME),
        "settled_utc": pa.array(settled, pa.int64()).cast(TIME),
        "request_id": pa.array(map(unpacked, request_ids), pa.string()),
        "client_request_id": pa.array(map(unpacked, client_request_ids), pa.string()),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _never_sent(
    rows: pa.RecordBatch, placed: pa.RecordBatch, outcome: Any, message: Any, files: Sequence[str]
) -> tuple[Any, Any]:
    """Put in the invalid rows, with their line, and the duplicates, with the row they repeat."""
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


def _stretches(positions: Sequence[int | None]) -> list[tuple[int, int, int]]:
    """Neighbours among them: (index, first position, length)."""
    found = []
    index, end = 0, len(positions)
    while index < end:
        place, start = positions[index], index
        index += 1
        if place is None:
            continue
        while index < end and positions[index] == place + index - start:
            index += 1
        found.append((start, place, index - start))
    return found


class _States:
    """Looks up rows by position. What is rare (closed mailboxes, batches that never ended) is read once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._skipped = skipped_ranges(connection)
        self._skipped_firsts = [first for first, _, _, _ in self._skipped]
        self._in_flight = connection.execute(
            "SELECT first, end, sent_ms, client_request_id FROM fresh ORDER BY first"
        ).fetchall()
        self._in_flight_firsts = [first for first, _, _, _ in self._in_flight]
        self._doubtful = inherited_doubts(connection, of_closed_mailboxes=True)
        self._doubtful_firsts = [first for first, _ in self._doubtful]
        (self._any_attempts,) = connection.execute("SELECT EXISTS (SELECT 1 FROM attempt)").fetchone()

    def of(self, positions: Sequence[int | None]) -> list[tuple[Any, ...]]:
        """The state of each, in order; that of a row without position (None) says nothing."""
        stretches = _stretches(positions)
        wanted = json.dumps([first << STRETCH_BITS | length for _, first, length in stretches])
        found: list[tuple[Any, ...] | None] = [None] * len(positions)
        for key, run_first, run_rows, *state in self._connection.execute(_SETTLED, (wanted,)):
            index, first, length = stretches[key]
            begin, end = max(first, run_first), min(first + length, run_first + run_rows)
            if begin < end:  # the run that begins before a stretch may end before it, too
                found[index + begin - first : index + end - first] = repeat(tuple(state), end - begin)
        if None not in found:
            return found  # type: ignore[return-value]
        attempted = self._attempted(wanted)
        return [
            state or (_NOTHING if place is None else attempted.get(place) or self._unsent(place))
            for state, place in zip(found, positions, strict=True)
        ]

    def _attempted(self, wanted: str) -> dict[int, tuple[Any, ...]]:
        if not self._any_attempts:
            return {}
        return {place: tuple(state) for place, *state in self._connection.execute(_ATTEMPTED, (wanted,))}

    def _unsent(self, position: int) -> _State:
        """Never settled and no attempt of before: in flight for the first time, skipped with its mailbox, or waiting."""
        index = bisect_right(self._in_flight_firsts, position) - 1
        if index >= 0 and position < self._in_flight[index][1]:
            _, _, sent_ms, client_request_id = self._in_flight[index]
            return _State(None, None, 1, 1, sent_ms, None, None, client_request_id)
        index = bisect_right(self._doubtful_firsts, position) - 1
        in_doubt = int(index >= 0 and position < self._doubtful[index][1])
        index = bisect_right(self._skipped_firsts, position) - 1
        if index >= 0 and position < self._skipped[index][1]:
            _, _, detail, closed_ms = self._skipped[index]
            return _State(_SKIPPED, detail, in_doubt=in_doubt, settled_ms=closed_ms)
        return _State(in_doubt=in_doubt)

    def said(self, details: Sequence[int | None]) -> dict[str, Any]:
        """The columns status, code and message; each distinct reply is read once."""
        distinct = list(dict.fromkeys(details))
        replies = [(None, "", "") if detail is None else self._reply(detail) for detail in distinct]
        index = {detail: place for place, detail in enumerate(distinct)}
        places = pa.array([index[detail] for detail in details], pa.int32())
        statuses, codes, messages = zip(*replies, strict=True)
        return {
            "status": pa.array([status or None for status in statuses], pa.int32()).take(places),
            "code": pa.array(codes, pa.string()).take(places),
            "message": pa.array(messages, pa.string()).take(places),
        }

    def _reply(self, detail: int) -> tuple[int | None, str, str]:
        said = self._connection.execute("SELECT status, code, message FROM detail WHERE id = ?", (detail,)).fetchone()
        return (said[0], said[1], said[2])
