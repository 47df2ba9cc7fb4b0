"""Figures about a ledger. Each is read in one query or snapshot, and holds for the moment at which it was read."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nlargest
from operator import index

from purgeengine.core.model import Outcome
from purgeengine.core.policy.filters import FILTERED, PROTECTED
from purgeengine.edges.ledger.store.database import read_meta, snapshot
from purgeengine.edges.ledger.store.schema import OUTCOME_CODES, OUTCOMES


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of all ``rows`` of the input. Those with an outcome, the ``waiting`` and those ``in_doubt`` add up to ``rows``.

    Waiting rows are still to be sent, or to be sent again. Rows in doubt were sent, and whether they were carried out
    is unknown. During a run, the rows in flight are among them.
    """

    rows: int
    outcomes: Mapping[Outcome, int]
    waiting: int
    in_doubt: int


@dataclass(frozen=True, slots=True)
class SettlingRate:
    """How fast rows are being settled. ``per_s`` is the average over the last minute, in rows per second."""

    per_s: float
    last_minute: int
    last_10_minutes: int
    first_sent_utc: datetime | None
    last_settled_utc: datetime | None


@dataclass(frozen=True, slots=True)
class Calls:
    """The batches so far.

    ``in_flight`` ones have no end: their answer is awaited, or the process died. ``lost`` ones got no answer.
    """

    calls: int
    in_flight: int
    lost: int
    refused: int
    """Calls that Graph refused as a whole, with a status of 400 or more."""
    slowest_s: float | None
    """The longest time to an answer, in seconds."""
    answered: int = 0
    """Calls that brought replies for single rows."""


@dataclass(frozen=True, slots=True)
class WorstMailbox:
    """A mailbox with failed or skipped rows. ``waits`` is how often the whole mailbox had to wait."""

    user: str
    rows: int
    refused: int
    exhausted: int
    skipped: int
    waits: int
    reason: str
    """Why the mailbox was closed, or the most frequent reply to its failed rows."""

    @property
    def failed(self) -> int:
        """Rows refused or exhausted."""
        return self.refused + self.exhausted

    def joined(self, other: WorstMailbox) -> WorstMailbox:
        """Return the same mailbox over two ledgers that each have some of its rows. The first one's reason stays."""
        return WorstMailbox(
            self.user,
            max(self.rows, other.rows),
            self.refused + other.refused,
            self.exhausted + other.exhausted,
            self.skipped + other.skipped,
            self.waits + other.waits,
            self.reason,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A reply that failed rows got, and how many of them. Status 0 means that no answer came."""

    status: int
    code: str
    message: str
    count: int


def counts(connection: sqlite3.Connection) -> Counts:
    """Count all rows. This takes about one second for 10 million."""
    with snapshot(connection):
        meta = read_meta(connection)
        found = dict.fromkeys(Outcome, 0)
        for code, rows in connection.execute("SELECT outcome, sum(rows) FROM outcome GROUP BY outcome"):
            found[OUTCOMES[code]] += index(rows)  # a damaged cell may hold any value
        sent = sum(found.values())
        skipped = sum(end - first for first, end, _, _ in skipped_ranges(connection))
        in_doubt = _in_doubt(connection)
    found[Outcome.SKIPPED] += skipped
    found[Outcome.INVALID] += meta["invalid"]
    found[Outcome.DUPLICATE] += meta["duplicates"]
    return Counts(meta["rows"], found, meta["work_rows"] - sent - skipped - in_doubt, in_doubt)


def skipped_ranges(connection: sqlite3.Connection) -> list[tuple[int, int, int, int]]:
    """Return the unsent rows of closed mailboxes, in order: first position, end, number of the detail, time of closing."""
    query = "SELECT next, end, detail, closed_ms FROM progress WHERE closed_ms IS NOT NULL AND next < end ORDER BY 1"
    return connection.execute(query).fetchall()


def _in_doubt(connection: sqlite3.Connection) -> int:
    (doubtful,) = connection.execute(
        "SELECT count(*) FROM attempt LEFT JOIN batch ON batch.number = attempt.batch WHERE in_doubt OR ended_ms IS NULL"
    ).fetchone()
    (fresh,) = connection.execute("SELECT coalesce(sum(end - first), 0) FROM fresh").fetchone()
    inherited = sum(end - first for first, end in inherited_doubts(connection, of_closed_mailboxes=False))
    return int(doubtful + fresh + inherited)


def left_in_doubt(connection: sqlite3.Connection) -> int:
    """Count the rows with an outcome that is no success, whose contacts may be gone all the same."""
    with snapshot(connection):
        (settled,) = connection.execute("SELECT coalesce(sum(rows), 0) FROM outcome WHERE in_doubt").fetchone()
        every, open_ones = (inherited_doubts(connection, of_closed_mailboxes=also) for also in (True, False))
    return int(settled) + sum(end - first for first, end in every) - sum(end - first for first, end in open_ones)


def inherited_doubts(connection: sqlite3.Connection, *, of_closed_mailboxes: bool) -> list[tuple[int, int]]:
    """Rows that an earlier ledger left in doubt and this one never sent, in order: first position, end.

    The rows of a mailbox are drawn in order, into up to four batches at once. So the rows that were never sent begin behind the
    last row that was drawn, answered or in flight.
    """
    query = (
        "SELECT start, stop FROM (SELECT progress.first + doubt.rows AS stop, max(next, coalesce((SELECT max(fresh.end) FROM fresh "
        "WHERE fresh.first >= progress.first AND fresh.first < progress.end), 0)) AS start, closed_ms "
        "FROM doubt JOIN progress ON number = mailbox) WHERE start < stop AND (closed_ms IS NULL OR ?) ORDER BY start"
    )
    return connection.execute(query, (of_closed_mailboxes,)).fetchall()


def pace(connection: sqlite3.Connection, now_utc_ms: int | None = None) -> SettlingRate:
    """Return how fast rows are being settled at ``now_utc_ms`` (milliseconds since 1970), or now."""
    now = round(time.time() * 1000) if now_utc_ms is None else now_utc_ms
    with snapshot(connection):
        minute, ten, last = connection.execute(
            "SELECT coalesce(sum(rows) FILTER (WHERE settled_ms > ?1 - 60000), 0), "
            "coalesce(sum(rows) FILTER (WHERE settled_ms > ?1 - 600000), 0), max(settled_ms) FROM outcome",
            (now,),
        ).fetchone()
        (first,) = connection.execute("SELECT min(sent_ms) FROM batch").fetchone()
    over_s = min(60.0, max(1.0, (now - first) / 1000)) if first is not None else 60.0
    return SettlingRate(minute / over_s, minute, ten, _utc(first), _utc(last))


def calls(connection: sqlite3.Connection) -> Calls:
    """Count the batches and how they ended."""
    total, in_flight, lost, refused, slowest_ms, answered = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE ended_ms IS NULL), "
        "count(*) FILTER (WHERE ended_ms IS NOT NULL AND status IS NULL), count(*) FILTER (WHERE status >= 400), "
        # No call is waited for longer than two minutes: if one took longer, the machine slept meanwhile.
        "max(ended_ms - sent_ms) FILTER (WHERE status BETWEEN 200 AND 299 AND ended_ms - sent_ms <= 120000), "
        "count(*) FILTER (WHERE status BETWEEN 200 AND 299) "
        "FROM batch"
    ).fetchone()
    slowest_s = None if slowest_ms is None else max(0, slowest_ms) / 1000
    return Calls(total, in_flight, lost, refused, slowest_s, answered)


def failures(connection: sqlite3.Connection, most: int) -> list[Failure]:
    """Return the ``most`` most frequent replies that failed rows got, most frequent first."""
    return [
        Failure(*row)
        for row in connection.execute(
            "SELECT status, code, message, rows FROM (SELECT detail, sum(rows) AS rows FROM failed GROUP BY detail) "
            "AS said JOIN detail ON detail.id = said.detail "
            "ORDER BY rows DESC, status, code, message LIMIT ?",
            (most,),
        )
    ]


def worst_mailboxes(connection: sqlite3.Connection, most: int) -> list[WorstMailbox]:
    """Return the mailboxes with the most failed or skipped rows, worst first.

    Rows that a filter left out do not count, because they were skipped on purpose.
    """
    refused_code = OUTCOME_CODES[Outcome.REFUSED]
    with snapshot(connection):
        failed: dict[int, Counter[tuple[int, int]]] = {}
        query = (
            "SELECT (SELECT number FROM mailbox WHERE mailbox.first <= failed.first ORDER BY first DESC LIMIT 1), outcome, detail, "
            "sum(rows) "
            "FROM failed GROUP BY 1, 2, 3"
        )
        for number, outcome, detail, rows in connection.execute(query):
            failed.setdefault(number, Counter())[outcome, detail] += rows
        left_out = details_of_filters(connection)
        query = "SELECT number, end - next, detail FROM progress WHERE closed_ms IS NOT NULL AND next < end"
        skipped = {number: rows for number, rows, detail in connection.execute(query) if detail not in left_out}
        badness = {number: said.total() + skipped.get(number, 0) for number, said in failed.items()}
        badness.update({number: rows for number, rows in skipped.items() if number not in failed})
        found = []
        for number in nlargest(most, badness, key=lambda number: (badness[number], -number)):
            said = failed.get(number, Counter())
            refused = sum(rows for (outcome, _), rows in said.items() if outcome == refused_code)
            user, rows, waits, closed_for = connection.execute(
                "SELECT user, rows, waits, detail FROM mailbox WHERE number = ?", (number,)
            ).fetchone()
            told = closed_for if closed_for is not None else said.most_common(1)[0][0][1]
            reason = _told(connection, told)
            found.append(
                WorstMailbox(user, rows, refused, said.total() - refused, skipped.get(number, 0), waits, reason)
            )
    return found


def details_of_filters(connection: sqlite3.Connection) -> frozenset[int]:
    """Return the numbers of the details that say that a filter left the mailbox out."""
    query = "SELECT id FROM detail WHERE status = 0 AND code IN (?, ?)"
    return frozenset(number for (number,) in connection.execute(query, (PROTECTED, FILTERED)))


def _told(connection: sqlite3.Connection, detail: int) -> str:
    said = connection.execute("SELECT status, code, message FROM detail WHERE id = ?", (detail,)).fetchone()
    return " ".join(str(word) for word in said if word)


def _utc(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
