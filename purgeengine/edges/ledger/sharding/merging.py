"""Write what a shard recorded into the head, inside the caller's transaction. This module knows the tables of both ledgers.

Afterwards the head holds what it would hold if its own run had done the shard's work. Where it had sent a row itself before
the cut, the sendings of both are added up, and the first one counts as the first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.running.shard_events import EVENT
from purgeengine.edges.ledger.sharding.place_map import PlaceMap
from purgeengine.edges.ledger.store.schema import OUTCOME_CODES

_EXHAUSTED = OUTCOME_CODES[Outcome.EXHAUSTED]
_PRIOR = "SELECT number, failures, in_doubt, first_sent_ms FROM attempt WHERE position = ?"
_LATER_WAIT = (
    "UPDATE {} SET blocked_set_ms = CASE WHEN coalesce(blocked_until_ms, 0) < ?1 THEN ?2 ELSE blocked_set_ms END, "
    "blocked_until_ms = max(coalesce(blocked_until_ms, 0), ?1) {}"
)


class Merge:
    """Moves the records of one shard. ``shard`` must have no row in flight for the first time."""

    def __init__(self, head: sqlite3.Connection, shard: sqlite3.Connection, places: PlaceMap) -> None:
        self._head = head
        self._shard = shard
        self._places = places
        self._details: dict[int, int] = {}
        (self._base,) = head.execute("SELECT coalesce(max(number), 0) FROM batch").fetchone()
        (self._prior,) = head.execute("SELECT EXISTS (SELECT 1 FROM attempt)").fetchone()
        """True if the head has sent rows itself that have no outcome. Only then must each row be compared."""

    def run(self) -> None:
        """Write everything."""
        self._merge_details()
        self._merge_calls()
        self._merge_outcomes()
        self._merge_attempts()
        self._merge_mailboxes()
        self._merge_waits_of_app()
        self._merge_starts()

    def _merge_details(self) -> None:
        insert = "INSERT OR IGNORE INTO detail (status, code, message, crc) VALUES (?, ?, ?, ?)"
        find = "SELECT id FROM detail WHERE status = ? AND code = ? AND message = ?"
        for number, *said, crc in self._shard.execute("SELECT id, status, code, message, crc FROM detail"):
            self._head.execute(insert, (*said, crc))
            (self._details[number],) = self._head.execute(find, said).fetchone()

    def _merge_calls(self) -> None:
        base, numbers = self._base, self._places.mailboxes
        batches = self._shard.execute(
            "SELECT number, client_request_id, request_id, sent_ms, ended_ms, status, crc FROM batch"
        )
        self._head.executemany(
            "INSERT INTO batch (number, client_request_id, request_id, sent_ms, ended_ms, status, crc) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((base + number, *rest) for number, *rest in batches),
        )
        shares = self._shard.execute("SELECT batch, mailbox, rows FROM part")  # rows in flight are attempts already
        self._head.executemany(
            "INSERT INTO part (batch, mailbox, rows, first, fresh) VALUES (?, ?, ?, 0, 0)",
            ((base + batch, numbers[mailbox], rows) for batch, mailbox, rows in shares),
        )

    def _merge_outcomes(self) -> None:
        self._head.executemany(
            "INSERT INTO outcome (first, rows, outcome, detail, attempts, in_doubt, first_sent_ms, settled_ms, batch) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._outcomes(),
        )

    def _outcomes(self) -> Iterator[tuple[Any, ...]]:
        """Yield the outcomes by their position in the head. An attempt of the head's own is removed as its row is met."""
        base, details = self._base, self._details
        found = self._shard.execute(
            "SELECT first, outcome.rows, outcome, detail, attempts, in_doubt, first_sent_ms, settled_ms, batch, sent_ms "
            "FROM outcome JOIN batch ON batch.number = outcome.batch ORDER BY first"
        )
        for first, rows, outcome, detail, attempts, in_doubt, first_sent_ms, settled_ms, batch, sent_ms in found:
            for _, at, count in self._places.runs(first, rows):
                if not self._prior or not self._has_prior(at, count):
                    yield (
                        at,
                        count,
                        outcome,
                        details[detail],
                        attempts,
                        in_doubt,
                        first_sent_ms,
                        settled_ms,
                        base + batch,
                    )
                    continue
                for position in range(at, at + count):
                    number, began_ms = attempts, first_sent_ms
                    if (prior := self._taken(position)) is not None:
                        number += prior[0]
                        began_ms = first_sent_ms if prior[3] is None else prior[3]
                        if began_ms is None and attempts:
                            began_ms = sent_ms
                    yield (position, 1, outcome, details[detail], number, in_doubt, began_ms, settled_ms, base + batch)

    def _has_prior(self, first: int, rows: int) -> bool:
        query = "SELECT EXISTS (SELECT 1 FROM attempt WHERE position >= ? AND position < ?)"
        return bool(self._head.execute(query, (first, first + rows)).fetchone()[0])

    def _taken(self, position: int) -> tuple[int, int, int, int | None] | None:
        prior: tuple[int, int, int, int | None] | None = self._head.execute(_PRIOR, (position,)).fetchone()
        if prior is not None:
            self._head.execute("DELETE FROM attempt WHERE position = ?", (position,))
        return prior

    def _merge_attempts(self) -> None:
        """Move the rows that the shard had sent and not settled. Of a finished shard there are none."""
        sent = self._shard.execute("SELECT position, number, failures, in_doubt, first_sent_ms, batch FROM attempt")
        for position, number, failures, in_doubt, first_sent_ms, batch in sent:
            at = self._places.position(position)
            began_ms = first_sent_ms
            if self._prior and (prior := self._taken(at)) is not None:
                number, failures = number + prior[0], failures + prior[1]
                in_doubt = int(in_doubt or prior[2])
                began_ms = first_sent_ms if prior[3] is None else prior[3]
            self._head.execute(
                "INSERT INTO attempt (position, number, failures, in_doubt, first_sent_ms, batch) VALUES (?, ?, ?, ?, ?, ?)",
                (at, number, failures, in_doubt, began_ms, self._base + batch),
            )

    def _merge_mailboxes(self) -> None:
        """Move waits and closings. Rows that the head had sent itself, and the shard could send no more, end with their mailbox."""
        found = self._shard.execute(
            "SELECT number, closed_ms, detail, blocked_until_ms, blocked_set_ms, waits FROM mailbox "
            "WHERE closed_ms IS NOT NULL OR blocked_until_ms IS NOT NULL OR waits"
        )
        for number, closed_ms, detail, until_ms, set_ms, waits in found:
            ours = self._places.mailboxes[number]
            if waits:
                self._head.execute("UPDATE mailbox SET waits = waits + ? WHERE number = ?", (waits, ours))
            if until_ms is not None:
                self._head.execute(_LATER_WAIT.format("mailbox", "WHERE number = ?3"), (until_ms, set_ms, ours))
            if closed_ms is not None:
                self._close(ours, closed_ms, self._details[detail])
        for ours in self._places.mailboxes.values():
            fill_holes(self._head, ours)

    def _close(self, mailbox: int, closed_ms: int, detail: int) -> None:
        head = self._head
        first, rows = head.execute("SELECT first, rows FROM mailbox WHERE number = ?", (mailbox,)).fetchone()
        head.execute(
            "INSERT INTO outcome (first, rows, outcome, detail, attempts, in_doubt, first_sent_ms, settled_ms, batch) "
            "SELECT position, 1, ?3, ?4, attempt.number, in_doubt OR ended_ms IS NULL, first_sent_ms, ?5, batch "
            "FROM attempt JOIN batch ON batch.number = attempt.batch WHERE position >= ?1 AND position < ?2",
            (first, first + rows, _EXHAUSTED, detail, closed_ms),
        )
        head.execute("DELETE FROM attempt WHERE position >= ? AND position < ?", (first, first + rows))
        head.execute("UPDATE mailbox SET closed_ms = ?, detail = ? WHERE number = ?", (closed_ms, detail, mailbox))

    def _merge_waits_of_app(self) -> None:
        (until_ms, set_ms) = self._shard.execute("SELECT blocked_until_ms, blocked_set_ms FROM run").fetchone()
        self._head.execute(_LATER_WAIT.format("run", ""), (until_ms, set_ms))

    def _merge_starts(self) -> None:
        starts = self._shard.execute("SELECT at_ms, options, crc FROM start ORDER BY rowid")
        self._head.executemany(
            "INSERT INTO start (at_ms, options, crc) VALUES (?, ?, ?)",
            ((at_ms, options, crc) for at_ms, options, crc in starts if EVENT not in options),
        )


def fill_holes(head: sqlite3.Connection, mailbox: int) -> None:
    """Give a state to rows that have none although rows behind them were sent.

    A run sends the rows of a mailbox in order and would never come back for them. They may have been sent, by whoever recorded
    more than what was collected. In a closed mailbox they become exhausted, in doubt. In an open one they are in doubt, and will
    be sent again.
    """
    first, following, closed_ms, detail = head.execute(
        "SELECT first, next, closed_ms, detail FROM progress WHERE number = ?", (mailbox,)
    ).fetchone()
    known, at, holes = _states(head, first, following), first, []
    for begin, end in known:
        if begin > at:
            holes.append((at, begin))
        at = max(at, end)
    if not holes:
        return
    (batch,) = head.execute("SELECT coalesce(max(batch), 0) FROM part WHERE mailbox = ?", (mailbox,)).fetchone()
    for begin, end in holes:
        if closed_ms is not None:
            head.execute(
                "INSERT INTO outcome (first, rows, outcome, detail, attempts, in_doubt, settled_ms, batch) "
                "VALUES (?, ?, ?, ?, 1, 1, ?, ?)",
                (begin, end - begin, _EXHAUSTED, detail, closed_ms, batch),
            )
        else:
            head.executemany(
                "INSERT INTO attempt (position, number, failures, in_doubt, batch) VALUES (?, 1, 0, 1, ?)",
                ((position, batch) for position in range(begin, end)),
            )


def _states(head: sqlite3.Connection, first: int, end: int) -> list[tuple[int, int]]:
    return head.execute(
        "SELECT first, first + rows FROM outcome WHERE first >= ?1 AND first < ?2 "
        "UNION ALL SELECT position, position + 1 FROM attempt WHERE position >= ?1 AND position < ?2 ORDER BY 1",
        (first, end),
    ).fetchall()
