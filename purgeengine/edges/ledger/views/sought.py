"""Queries behind the advice of a summary: where no contact was found under its id, and which replies failed rows got.

Both read the outcomes in one pass and keep only the largest results, so that memory does not grow with the mailboxes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest
from typing import NamedTuple

from purgeengine.core.model import Outcome
from purgeengine.core.policy.absent_rows import MAILBOX_ROWS_MIN, Absence, Sought, SoughtInMailbox
from purgeengine.core.policy.advice import FailedRows, Situation
from purgeengine.edges.ledger.store.database import snapshot
from purgeengine.edges.ledger.store.schema import OUTCOME_CODES, OUTCOMES
from purgeengine.edges.ledger.views.counts import Counts, skipped_ranges
from purgeengine.edges.ledger.views.counts import counts as count_rows

TOLD_MAX = 200
"""Kinds of failures from which advice is made. Messages may contain ids, so the number of kinds has no bound."""

_ABSENT = OUTCOME_CODES[Outcome.ABSENT]
_RETRIED = ", ".join(str(OUTCOME_CODES[outcome]) for outcome in Outcome if outcome.worth_retrying)
_IN_PURGES = "SELECT id FROM detail WHERE status = 403"
"""Details of absent rows whose contacts Graph did find: they were in the Purges folder."""
_NOT_CONFIRMED = "SELECT id FROM detail WHERE status NOT BETWEEN 200 AND 299"
_AFTER_LOST = f"SELECT coalesce(sum(rows), 0) FROM outcome WHERE +outcome = 1 AND detail IN ({_NOT_CONFIRMED})"  # noqa: S608
"""Purged rows that Graph did not confirm: they were not found, after an attempt whose answer was lost."""


class Review(NamedTuple):
    """What a summary reports about a ledger, as of one moment."""

    counts: Counts
    absence: Absence | None
    """The mailboxes in which no contact, or nearly none, was found. None if there is no such mailbox."""
    told: Sequence[FailedRows]
    """The replies that refused, exhausted or skipped rows got, most frequent first."""

    def situation(self, folder: str, *, running: bool | None = False) -> Situation:
        """Return what advice needs to know. ``folder`` is the ledger's folder, ``running`` whether a run goes on over it."""
        unfinished = self.counts.waiting + self.counts.in_doubt
        return Situation(folder, unfinished, self.counts.outcomes[Outcome.INVALID], self.told, running)


def review_of(connection: sqlite3.Connection, most: int) -> Review:
    """Read a review, with at most ``most`` mailboxes in which no contact was found."""
    with snapshot(connection):
        counts = count_rows(connection)
        return Review(counts, absence_of(connection, counts, most), told(connection, counts))


def absence_of(connection: sqlite3.Connection, counts: Counts, most: int) -> Absence | None:
    """Return where no contact, or nearly none, was found, with at most ``most`` mailboxes. None if there is no such mailbox."""
    absent = counts.outcomes[Outcome.ABSENT]
    if not absent:
        return None
    with snapshot(connection):
        known = _known(connection)
        worst, in_all = worst_of(_mailboxes(connection), most)
        (after_lost,) = connection.execute(_AFTER_LOST).fetchone()
    sought = Sought(counts.outcomes[Outcome.PURGED] + known, absent - known, after_lost)
    found = Absence(sought, worst, in_all, finished=counts.waiting + counts.in_doubt == 0)
    return found if found.told else None


def _known(connection: sqlite3.Connection) -> int:
    """Count the absent rows whose contacts Graph did find.

    A ledger without any, as nearly all are, needs no pass over its rows.
    """
    if connection.execute(f"{_IN_PURGES} LIMIT 1").fetchone() is None:
        return 0
    query = f"SELECT coalesce(sum(rows), 0) FROM outcome WHERE outcome = ? AND detail IN ({_IN_PURGES})"  # noqa: S608
    return int(connection.execute(query, (_ABSENT,)).fetchone()[0])


def worst_of(mailboxes: Iterable[SoughtInMailbox], most: int) -> tuple[list[SoughtInMailbox], int]:
    """Return the ``most`` worst mailboxes in which no contact, or nearly none, was found, and how many such mailboxes there are."""
    in_all = 0

    def counted() -> Iterator[SoughtInMailbox]:
        nonlocal in_all
        for mailbox in mailboxes:
            if mailbox.nothing:
                in_all += 1
                yield mailbox

    worst = nlargest(most, counted(), key=lambda mailbox: (mailbox.sought.not_found, -mailbox.sought.found))
    return worst, in_all


def _mailboxes(connection: sqlite3.Connection) -> Iterator[SoughtInMailbox]:
    """Yield the mailboxes in which enough contacts were not found. The outcomes of a mailbox are neighbours in the table.

    The plus sign keeps SQLite from building an index by outcome for each query, which would take minutes.
    """
    query = (
        f"SELECT user, coalesce(sum(run.rows) FILTER (WHERE run.outcome = 1 OR run.detail IN ({_IN_PURGES})), 0), "  # noqa: S608
        f"sum(run.rows) FILTER (WHERE run.outcome = ?1 AND run.detail NOT IN ({_IN_PURGES})) AS not_found, "
        f"coalesce(sum(run.rows) FILTER (WHERE run.outcome = 1 AND run.detail IN ({_NOT_CONFIRMED})), 0) "
        "FROM mailbox CROSS JOIN outcome AS run ON run.first >= mailbox.first AND run.first < mailbox.first + mailbox.rows "
        "WHERE +run.outcome IN (1, ?1) GROUP BY mailbox.number HAVING not_found >= ?2"
    )
    for user, *sought in connection.execute(query, (_ABSENT, MAILBOX_ROWS_MIN)):
        yield SoughtInMailbox(user, Sought(*sought))


def told(connection: sqlite3.Connection, counts: Counts) -> list[FailedRows]:
    """Return the replies that refused, exhausted or skipped rows got, most frequent first, at most `TOLD_MAX` kinds."""
    kinds: list[tuple[Outcome, int, int]] = []
    with snapshot(connection):
        if any(rows for outcome, rows in counts.outcomes.items() if outcome.worth_retrying):
            query = (
                f"SELECT outcome, detail, sum(rows) AS told FROM outcome WHERE outcome IN ({_RETRIED}) GROUP BY 1, 2 "  # noqa: S608
                "ORDER BY told DESC LIMIT ?"
            )
            kinds += [(OUTCOMES[code], *rest) for code, *rest in connection.execute(query, (TOLD_MAX,))]
        if counts.outcomes[Outcome.SKIPPED]:
            closed: Counter[int] = Counter()
            for first, end, detail, _ in skipped_ranges(connection):
                closed[detail] += end - first
            kinds += [(Outcome.SKIPPED, detail, rows) for detail, rows in closed.most_common(TOLD_MAX)]
        kinds.sort(key=lambda kind: (-kind[2], kind[0], kind[1]))
        found = []
        for outcome, detail, rows in kinds[:TOLD_MAX]:
            query = "SELECT status, code, message FROM detail WHERE id = ?"
            status, code, message = connection.execute(query, (detail,)).fetchone()
            found.append(FailedRows(outcome, status, code, message, rows))
        return found
