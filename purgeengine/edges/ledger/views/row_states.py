"""What became of every row, in input order. The database has it in the order of sending, so it is read so and regrouped.

This module knows how the tables hold a row's state (see `schema`), for settled, unsettled and unsent rows alike. It
does not know what an export looks like.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.compute

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.store.grouping import Grouping, numbers
from purgeengine.edges.ledger.store.parts import Parts
from purgeengine.edges.ledger.store.request_ids import unpacked
from purgeengine.edges.ledger.store.schema import OUTCOME_CODES
from purgeengine.edges.ledger.store.storage import WORK
from purgeengine.edges.ledger.views.counts import inherited_doubts, skipped_ranges

pa: Any = pyarrow
pc: Any = pyarrow.compute

CHUNK_GROUPS = 64
"""Groups of the rows to send that are read at once: 32,768 rows."""

_SETTLED = """
SELECT first, first + rows, outcome, detail, attempts, in_doubt,
    CASE WHEN attempts > 0 THEN coalesce(first_sent_ms, sent_ms) END, settled_ms, request_id, client_request_id
FROM outcome JOIN batch ON batch.number = outcome.batch ORDER BY first
"""
_ATTEMPTED = """
SELECT position, position + 1, NULL, NULL, attempt.number, in_doubt OR ended_ms IS NULL, first_sent_ms, NULL, request_id,
    client_request_id
FROM attempt JOIN batch ON batch.number = attempt.batch ORDER BY position
"""
_FIELDS = {
    "outcome": pa.int8(),
    "detail": pa.int64(),
    "attempts": pa.int32(),
    "in_doubt": pa.int8(),
    "first_sent_ms": pa.int64(),
    "settled_ms": pa.int64(),
    "request_id": pa.string(),
    "client_request_id": pa.string(),
}


class RowState(NamedTuple):
    """What became of the rows from ``first`` to ``end - 1``."""

    first: int
    end: int
    outcome: int | None = None
    detail: int | None = None
    attempts: int = 0
    in_doubt: int = 0
    first_sent_ms: int | None = None
    settled_ms: int | None = None
    request_id: bytes | str | None = None
    client_request_id: bytes | str | None = None


def schema_of_states(names: Sequence[str]) -> Any:
    """Return the schema of a row number and these fields of its state."""
    return pa.schema([pa.field("row", pa.int64()), *(pa.field(name, _FIELDS[name]) for name in names)])


class RowStates:
    """Tells what became of the rows of the input, asked for in input order. Close it to release its scratch space.

    ``names`` are the fields wanted of each row's state. Raises ValueError if the records contradict each other.
    """

    def __init__(
        self, connection: sqlite3.Connection, parts: Parts, names: Sequence[str], scratch: Path | None
    ) -> None:
        self._schema = schema_of_states(names)
        self._grouping = Grouping(scratch, schema=self._schema)
        with closing(_without_gaps(connection)) as states:
            chunks = _Chunks(states)
            for name in parts.names(WORK):
                for rows in parts.tables(name, ["row"], CHUNK_GROUPS):
                    self._grouping.add(_told(chunks.take(rows.num_rows), rows.column("row"), self._schema))
            chunks.end()
        self._tables = self._grouping.tables()
        self._ahead = self._schema.empty_table()

    def take(self, first_row: int, placed: Any) -> Any:
        """Return the states of the rows from ``first_row`` on.

        ``placed`` is a mask of the rows that have one; others get nulls.
        """
        wanted = placed.true_count
        while self._ahead.num_rows < wanted and (more := next(self._tables, None)) is not None:
            self._ahead = pa.concat_tables([self._ahead, more])
        found, self._ahead = self._ahead.slice(0, wanted), self._ahead.slice(wanted)
        if not found.column("row").combine_chunks().equals(numbers(first_row, len(placed)).filter(placed)):
            raise ValueError("what became of a row is not known")
        found = found.combine_chunks()
        if wanted < len(placed):
            place = pc.subtract(pc.cumulative_sum(placed.cast(pa.int64())), pa.scalar(1, pa.int64()))
            found = found.take(pc.if_else(placed, place, pa.scalar(None, pa.int64())))
        return found

    def close(self) -> None:
        """Release the scratch space. Safe to call twice."""
        self._grouping.close()


def _told(states: Sequence[RowState], rows: Any, schema: Any) -> Any:
    """Return a state for each row, from the states of ranges."""
    ends, end = [], 0
    for state in states:
        end += state.end - state.first
        ends.append(end)
    index = pa.array(range(len(states)), pa.int32())
    place = pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), index))
    columns = [rows.combine_chunks()]
    told = dict(zip(RowState._fields, zip(*states, strict=True), strict=True))
    for field in list(schema)[1:]:
        values: Any = told[field.name]
        if field.name.endswith("request_id"):
            values = list(map(unpacked, values))
        columns.append(pa.array(values, field.type).take(place))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _Chunks:
    """States in the order of positions, taken for a given number of positions at a time."""

    def __init__(self, states: Iterator[RowState]) -> None:
        self._states = states
        self._rest: RowState | None = None

    def take(self, positions: int) -> list[RowState]:
        """Return the states of the next positions. A range that reaches beyond them is cut."""
        found = []
        while positions:
            state = self._rest or next(self._states, None)
            if state is None:
                raise ValueError("there are more rows to send than the records know")
            self._rest = None
            length = state.end - state.first
            if length > positions:
                cut = state.first + positions
                state, self._rest = state._replace(end=cut), state._replace(first=cut)
                length = positions
            found.append(state)
            positions -= length
        return found

    def end(self) -> None:
        """Declare that there are no more positions. Raises ValueError if there are more states."""
        if self._rest is not None or next(self._states, None) is not None:
            raise ValueError("the records know more rows than there are to send")


def _without_gaps(connection: sqlite3.Connection) -> Generator[RowState, None, None]:
    """Yield the states of all positions from 0 to the last. Close the generator before the connection, which it reads from."""
    unsent = _Unsent(connection)
    at = 0
    known = merge(connection.execute(_SETTLED), connection.execute(_ATTEMPTED), key=lambda row: row[0])
    with closing(known):
        for row in known:
            state = RowState._make(row)
            if state.first < at or state.end <= state.first:
                raise ValueError(f"the row at position {state.first} has two states")
            if state.first > at:
                yield from unsent.between(at, state.first)
            yield state
            at = state.end
    (end,) = connection.execute("SELECT coalesce(max(first + rows), 0) FROM mailbox").fetchone()
    if end > at:
        yield from unsent.between(at, end)


class _Unsent:
    """Rows with neither outcome nor attempt: in flight for the first time, skipped with their mailbox, or waiting."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        query = "SELECT first, end, sent_ms, client_request_id FROM fresh ORDER BY first"
        self._of_kind: list[Sequence[Any]] = [
            skipped_ranges(connection),
            connection.execute(query).fetchall(),
            inherited_doubts(connection, of_closed_mailboxes=True),
        ]
        self._bounds = sorted(
            {bound for ranges in self._of_kind for first, end, *_ in ranges for bound in (first, end)}
        )
        self._firsts = [[first for first, *_ in ranges] for ranges in self._of_kind]

    def between(self, first: int, end: int) -> Iterator[RowState]:
        """Yield the states of the rows from ``first`` to ``end - 1``."""
        while first < end:
            index = bisect_right(self._bounds, first)
            stop = min(end, self._bounds[index]) if index < len(self._bounds) else end
            yield self._of(first, stop)
            first = stop

    def _of(self, first: int, end: int) -> RowState:
        skipped, in_flight, doubtful = (
            _covering(ranges, firsts, first) for ranges, firsts in zip(self._of_kind, self._firsts, strict=True)
        )
        if in_flight is not None:
            return RowState(first, end, None, None, 1, 1, in_flight[2], None, None, in_flight[3])
        in_doubt = int(doubtful is not None)
        if skipped is not None:
            return RowState(
                first, end, OUTCOME_CODES[Outcome.SKIPPED], skipped[2], in_doubt=in_doubt, settled_ms=skipped[3]
            )
        return RowState(first, end, in_doubt=in_doubt)


def _covering(ranges: Sequence[Any], firsts: Sequence[int], position: int) -> Any:
    index = bisect_right(firsts, position) - 1
    return ranges[index] if index >= 0 and position < ranges[index][1] else None
