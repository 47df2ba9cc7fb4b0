"""Turn the entries of one turn into few, large SQL statements, so that a row costs little.

This module knows the four states of a row (see `schema`) and what each entry does to them. A turn is one transaction,
so only the state after the turn counts. Several changes of one row within a turn become one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, assert_never

from purgeengine.core.messages import (
    AppLimited,
    BatchEnded,
    BatchSent,
    Entry,
    MailboxBlocked,
    MailboxClosed,
    Returned,
    RunBlocked,
    Settled,
)
from purgeengine.core.model import Attempt, FirstAttempts, Reply
from purgeengine.edges.ledger.running.app_limit import keep_app_limit
from purgeengine.edges.ledger.store.request_ids import packed
from purgeengine.edges.ledger.store.schema import OUTCOME_CODES, crc_of
from purgeengine.errors import LedgerError

_END_BATCH = f"""
UPDATE batch SET ended_ms = ?, status = ?, request_id = ?,
    crc = crc + ? - CASE WHEN request_id IS NULL THEN 0 ELSE {crc_of(packed(""))} END  -- it had ended without an id
WHERE number = ?
"""  # noqa: S608 - nothing in it comes from outside
"""A batch that was given up has ended without an id and without a status, and may be answered later."""
MISTAKE = "This is a mistake in purgeengine, not in your input: please report it."


class OpenBatch:
    """A batch in flight.

    It holds when it was sent, and which of the rows that it sends for the first time are not accounted for.
    """

    __slots__ = ("left", "sent_ms")

    def __init__(self, sent_ms: int, fresh: list[range]) -> None:
        self.sent_ms = sent_ms
        self.left = fresh

    def take(self, first: int, end: int) -> int:
        """Account for the rows of one mailbox from ``first`` on, at most up to ``end``. Return where the rows taken end.

        Returns ``first`` itself if the batch does not hold that row.
        """
        for index, rows in enumerate(self.left):
            if first in rows:
                stop = min(end, rows.stop)
                self.left[index : index + 1] = [
                    rest for rest in (range(rows.start, first), range(stop, rows.stop)) if rest
                ]
                return stop
        return first


@dataclass(slots=True)
class Memory:
    """Facts kept in memory to spare queries. Bounded by the rows that are sent and not settled."""

    flights: dict[int, OpenBatch] = field(default_factory=dict)
    sent_before: set[int] = field(default_factory=set)
    """Positions that have a row in ``attempt``."""


class _Change:
    """What the turn does to a row of ``attempt``. None leaves a value as it is."""

    __slots__ = ("batch", "failures", "first_sent_ms", "in_doubt", "new", "number", "unsent")

    def __init__(self, *, new: bool, batch: int | None = None, first_sent_ms: int | None = None) -> None:
        self.new = new
        self.batch = batch
        self.first_sent_ms = first_sent_ms
        self.number = self.failures = self.in_doubt = 0
        self.unsent = False
        """True if the row never left, so that an earlier time of first sending no longer holds."""


class Statements:
    """The SQL statements of one turn. Call `add` with the entries in their order, then `execute`."""

    def __init__(self, memory: Memory, at_ms: int, detail_of: Callable[[Reply], int]) -> None:
        self._memory = memory
        self._at_ms = at_ms
        self._detail_of = detail_of
        self._batches: list[tuple[Any, ...]] = []
        self._parts: list[tuple[int, ...]] = []
        self._ends: list[tuple[Any, ...]] = []
        self._changes: dict[int, _Change] = {}
        self._settled: list[tuple[Any, ...]] = []
        self._settled_again: list[tuple[Any, ...]] = []
        self._blocked: list[tuple[int, int, int]] = []
        self._closed: list[tuple[int, int, int]] = []
        self._run_blocked_ms: int | None = None
        self._app_limit_per_s: float | None = None
        self._landed: dict[int, OpenBatch] = {}
        self._latest_landed = 0
        self._run_first = self._run_end = -1
        self._run_said: list[Any] = []

    def add(self, entries: Sequence[Entry]) -> None:
        """Take the entries of the turn. Raises `LedgerError` if they do not account for every row of an ended batch."""
        for entry in entries:
            match entry:
                case Settled():
                    self._settle(entry)
                case BatchSent():
                    self._send(entry)
                case BatchEnded():
                    self._end(entry)
                case Returned():
                    self._return(entry)
                case MailboxBlocked():
                    self._blocked.append((entry.mailbox, ceil(entry.for_s * 1000), self._at_ms))
                case MailboxClosed():
                    self._closed.append((self._at_ms, self._detail_of(entry.reply), entry.mailbox))
                case RunBlocked():
                    self._run_blocked_ms = max(self._run_blocked_ms or 0, ceil(entry.for_s * 1000))
                case AppLimited():
                    self._app_limit_per_s = entry.per_s
                case _:
                    assert_never(entry)
        self._end_run()
        for batch, flight in self._landed.items():
            if flight.left:
                raise LedgerError(f"Batch {batch} ended and some of its rows were not accounted for. {MISTAKE}")

    # ------------------------------------------------------------------------------------------------- what is in a turn

    def _settle(self, entry: Settled) -> None:
        """Add settled rows. Rows that were sent before go one by one.

        Other rows lengthen the range of neighbours that are settled alike, or begin a new range.
        """
        sent_before = self._memory.sent_before
        first, *said, rows = entry
        if sent_before and not sent_before.isdisjoint(range(first, first + rows)):
            if rows > 1:
                for row in entry.each():
                    self._settle(row)
                return
            sent_before.discard(first)
            self._settled_again.append((*self._told(said), self._at_ms, entry.batch, first))
        elif first == self._run_end and said == self._run_said:
            self._run_end += rows
        else:
            self._end_run()
            self._run_first, self._run_end, self._run_said = first, first + rows, said

    def _end_run(self) -> None:
        """Store the range that was being gathered, cut at the bounds of mailboxes."""
        first, end = self._run_first, self._run_end
        self._run_first = self._run_end = -1
        while first < end:
            batch, stop = self._take(first, end, self._run_said[3])
            self._settled.append((first, stop - first, *self._told(self._run_said), self._at_ms, batch))
            first = stop

    def _told(self, said: list[Any]) -> tuple[int, int, int, int]:
        outcome, attempts, in_doubt, _, reply = said
        return OUTCOME_CODES[outcome], self._detail_of(reply), attempts, int(in_doubt)

    def _send(self, entry: BatchSent) -> None:
        client_request_id = packed(entry.client_request_id)
        self._batches.append((entry.batch, client_request_id, self._at_ms, crc_of(client_request_id)))
        fresh_ranges = []
        for mailbox, attempts in entry.shares:
            fresh = self._fresh_of(attempts)
            for attempt in () if len(fresh) == len(attempts) else attempts:
                if attempt.position in fresh:
                    continue
                change = self._change(attempt)
                change.batch = entry.batch
                if change.first_sent_ms is None:
                    change.first_sent_ms = self._at_ms
            self._parts.append((entry.batch, mailbox, len(attempts), fresh.start, len(fresh)))
            if fresh:
                fresh_ranges.append(fresh)
        self._memory.flights[entry.batch] = OpenBatch(self._at_ms, fresh_ranges)

    def _fresh_of(self, attempts: Sequence[Attempt]) -> range:
        """Return the rows that are sent for the first time.

        They are neighbours in ascending order, at the end of the attempts or, in a lane, at their beginning.
        """
        if isinstance(attempts, FirstAttempts):
            return attempts.rows
        first = end = 0
        # such a row may be in doubt all the same, from an earlier ledger
        for position, number, failures, _ in attempts:
            if number != 1 or failures or position in self._memory.sent_before:
                continue
            if first == end:
                first = end = position
            if position != end:
                break  # rows were left out: the row is not found when it is looked for
            end += 1
        return range(first, end)

    def _end(self, entry: BatchEnded) -> None:
        request_id = packed(entry.request_id)
        self._ends.append((self._at_ms, entry.status, request_id, crc_of(request_id), entry.batch))
        flight = self._memory.flights.pop(entry.batch, None)
        if flight is not None:
            self._landed[entry.batch] = flight
            self._latest_landed = entry.batch

    def _return(self, entry: Returned) -> None:
        change = self._change(Attempt(*entry))
        if entry.number == 0:
            change.unsent = True
            change.first_sent_ms = None

    def _change(self, attempt: Attempt) -> _Change:
        change = self._changes.get(attempt.position)
        if change is None:
            change = self._changes[attempt.position] = self._first_change(attempt)
        change.number, change.failures, change.in_doubt = attempt.number, attempt.failures, int(attempt.in_doubt)
        return change

    def _first_change(self, attempt: Attempt) -> _Change:
        position = attempt.position
        if position in self._memory.sent_before:
            return _Change(new=False)
        self._memory.sent_before.add(position)
        batch, _ = self._take(position, position + 1, self._latest_landed)
        flight = self._landed.get(batch) or self._memory.flights[batch]
        return _Change(new=True, batch=batch, first_sent_ms=flight.sent_ms)

    def _take(self, first: int, end: int, batch: int) -> tuple[int, int]:
        """Account for rows sent for the first time, at most up to ``end``. Return their batch, and where the next row begins.

        ``batch`` is the likely one. Each row is accounted for once, so that no row is settled twice or without having
        been sent. Raises `LedgerError` if no batch holds the row.
        """
        for likely in (batch, *self._landed, *self._memory.flights):
            flight = self._landed.get(likely) or self._memory.flights.get(likely)
            if flight is not None and (stop := flight.take(first, end)) > first:
                return likely, stop
        raise LedgerError(f"The row at position {first} was settled twice, or had not been sent. {MISTAKE}")

    # ------------------------------------------------------------------------------------------------ and how it is written

    def execute(self, connection: sqlite3.Connection) -> None:
        """Run all statements, inside the caller's transaction."""
        many = connection.executemany
        many("INSERT INTO batch (number, client_request_id, sent_ms, crc) VALUES (?, ?, ?, ?)", self._batches)
        many("INSERT INTO part VALUES (?, ?, ?, ?, ?)", self._parts)
        many(_END_BATCH, self._ends)
        if self._changes:
            self._execute_changes(connection)
        many(
            "INSERT INTO outcome (first, rows, outcome, detail, attempts, in_doubt, settled_ms, batch) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            self._settled,
        )
        if self._settled_again:
            self._execute_settled_again(connection)
        if self._blocked or self._closed or self._run_blocked_ms is not None:
            self._execute_rare(connection)
        if self._app_limit_per_s is not None:
            keep_app_limit(connection, self._app_limit_per_s, self._at_ms)

    def _execute_changes(self, connection: sqlite3.Connection) -> None:
        new, old = [], []
        for position, change in self._changes.items():
            values = (change.number, change.failures, change.in_doubt, change.first_sent_ms, change.batch)
            if change.new:
                new.append((position, *values))
            else:
                old.append((*values, int(change.unsent), position))
        connection.executemany("INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?)", new)
        connection.executemany(
            "UPDATE attempt SET number = ?1, failures = ?2, in_doubt = ?3, "
            "first_sent_ms = CASE WHEN ?6 THEN ?4 ELSE coalesce(first_sent_ms, ?4) END, batch = coalesce(?5, batch) "
            "WHERE position = ?7",
            old,
        )

    def _execute_settled_again(self, connection: sqlite3.Connection) -> None:
        """Settle rows that were sent several times, or that are settled with their mailbox (batch 0 stands for the last one)."""
        inserted = connection.executemany(
            "INSERT INTO outcome SELECT position, 1, ?1, ?2, ?3, ?4, first_sent_ms, ?5, CASE WHEN ?6 = 0 THEN batch ELSE ?6 END "
            "FROM attempt WHERE position = ?7",
            self._settled_again,
        )
        assert inserted.rowcount == len(self._settled_again), "a row was settled that had not been sent"
        connection.executemany("DELETE FROM attempt WHERE position = ?", [(row[-1],) for row in self._settled_again])

    def _execute_rare(self, connection: sqlite3.Connection) -> None:
        """Store waits and closed mailboxes.

        A shorter wait never replaces a longer one. If the clock has been turned back since an earlier wait was set,
        that wait counts from now.
        """
        connection.executemany(
            "UPDATE mailbox SET waits = waits + 1, blocked_set_ms = ?3, blocked_until_ms = max(?2 + ?3, CASE "
            "WHEN blocked_set_ms > ?3 THEN ?3 + blocked_until_ms - blocked_set_ms ELSE coalesce(blocked_until_ms, 0) END) "
            "WHERE number = ?1",
            self._blocked,
        )
        connection.executemany("UPDATE mailbox SET closed_ms = ?, detail = ? WHERE number = ?", self._closed)
        if self._run_blocked_ms is not None:
            connection.execute(
                "UPDATE run SET blocked_set_ms = ?2, blocked_until_ms = max(?1 + ?2, CASE "
                "WHEN blocked_set_ms > ?2 THEN ?2 + blocked_until_ms - blocked_set_ms ELSE blocked_until_ms END)",
                (self._run_blocked_ms, self._at_ms),
            )
