"""What a run over a ledger would send now, and what a filter would leave out of it. Reading changes nothing.

A mailbox that a filter leaves out is closed before any of its rows is sent, so its rows are skipped like those of any
closed mailbox. Closing is for good. A filter can only take away from what a ledger still has to do; a later run
without it gets nothing back.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from typing import NamedTuple

from purgeengine.core.graph.identifiers import is_object_id
from purgeengine.core.messages import BATCH_OF_LAST_SENDING, Entry, MailboxClosed, Settled
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.core.policy.filters import NO_KINDS, Kinds, UserFilter
from purgeengine.edges.ledger.running.unfinished import PAGE, unsettled
from purgeengine.edges.ledger.staging.names import other_names
from purgeengine.edges.ledger.views.counts import details_of_filters

LARGEST_MAX = 100
"""Mailboxes named in a preview."""

_PAGE_OF_MAILBOXES = """
SELECT number, user, key, first, end, next, closed_ms IS NOT NULL, detail,
    (SELECT count(*) FROM attempt WHERE position >= first AND position < end)
FROM progress WHERE number > ? ORDER BY number LIMIT ?
"""


class _PreviewedMailbox(NamedTuple):
    number: int
    user: str
    key: str
    first: int
    end: int
    next: int
    closed: int
    detail: int | None
    attempts: int

    @property
    def rows_left(self) -> int:
        """Rows without an outcome. If the mailbox is closed, rows that were never sent count too."""
        return self.end - self.next + self.attempts


@dataclass(slots=True)
class Preview:
    """What a run would do. Rows that were sent before and have no outcome count among those to purge."""

    rows_by_mailbox: array[int] = field(default_factory=lambda: array("q"))
    """For each mailbox with rows to purge, how many it has."""
    largest_mailboxes: list[tuple[str, int]] = field(default_factory=list)
    """The mailboxes with the most rows to purge, largest first."""
    left_out: Counter[Reply] = field(default_factory=Counter)
    """Rows that the filter leaves out, by reason."""
    mailboxes_left_out: Counter[Reply] = field(default_factory=Counter)
    """Mailboxes that the filter leaves out, by reason."""
    left_out_before: int = 0
    """Rows that the filter of an earlier run left out and this one would not. They stay left out."""
    kinds: Kinds = NO_KINDS
    """Which kinds of names the mailboxes to purge have."""
    excluded_seen: int = 0
    """Users named by ``--exclude-users`` that occur in the input. Patterns are not counted."""
    only_seen: int = 0
    """Users named by ``--only-users`` that occur in the input. Patterns are not counted."""
    only_matched: int = 0
    """Mailboxes of the input that ``--only-users`` names, also by patterns."""

    @property
    def rows(self) -> int:
        """Rows to purge."""
        return sum(self.rows_by_mailbox)

    @property
    def mailboxes(self) -> int:
        """Mailboxes with rows to purge."""
        return len(self.rows_by_mailbox)

    def add(self, user: str, keys: Collection[str], rows: int, user_filter: UserFilter) -> None:
        """Take a mailbox.

        ``keys`` are all its known names in their one spelling; ``rows`` is its number of rows without an outcome.
        """
        self.excluded_seen += sum(key in user_filter.excluded.keys for key in keys)
        if user_filter.only is not None:
            self.only_seen += sum(key in user_filter.only.keys for key in keys)
            self.only_matched += any(key in user_filter.only for key in keys)
        if not rows:
            return
        reason = user_filter.left_out(*keys)
        if reason is not None:
            self.left_out[reason] += rows
            self.mailboxes_left_out[reason] += 1
            return
        self.rows_by_mailbox.append(rows)
        by_id = {is_object_id(key) for key in keys}
        if len(by_id) == 1:  # a mailbox known by both kinds of names is found in any list
            self.kinds = Kinds(self.kinds.names or False in by_id, self.kinds.ids or True in by_id)
        self.largest_mailboxes.append((user, rows))
        if len(self.largest_mailboxes) >= 2 * LARGEST_MAX:
            self.finish()

    def merge(self, other: Preview) -> None:
        """Take the mailboxes of another preview with the same filter. No mailbox may be in both."""
        self.rows_by_mailbox.extend(other.rows_by_mailbox)
        self.largest_mailboxes += other.largest_mailboxes
        self.left_out += other.left_out
        self.mailboxes_left_out += other.mailboxes_left_out
        self.left_out_before += other.left_out_before
        self.kinds = Kinds(self.kinds.names or other.kinds.names, self.kinds.ids or other.kinds.ids)
        self.excluded_seen += other.excluded_seen
        self.only_seen += other.only_seen
        self.only_matched += other.only_matched
        self.finish()

    def finish(self) -> None:
        """Keep only the largest mailboxes seen so far, in order. Of equal ones, those seen first come first."""
        self.largest_mailboxes = nlargest(LARGEST_MAX, self.largest_mailboxes, key=lambda pair: pair[1])


def preview(connection: sqlite3.Connection, user_filter: UserFilter) -> Preview:
    """Preview a run over every mailbox of the ledger."""
    found = Preview()
    by_filter = details_of_filters(connection)
    others = other_names(connection)
    for mailbox in _mailboxes(connection):
        keys = mailbox.key, *others.get(mailbox.key, ())
        if not mailbox.closed:
            found.add(mailbox.user, keys, mailbox.rows_left, user_filter)
            continue
        found.add(mailbox.user, keys, 0, user_filter)
        if mailbox.detail in by_filter and user_filter.left_out(*keys) is None:
            found.left_out_before += mailbox.end - mailbox.next
    found.finish()
    return found


def closings(connection: sqlite3.Connection, user_filter: UserFilter) -> Iterator[list[Entry]]:
    """Yield the entries that make the filter hold, mailbox by mailbox.

    Rows never sent are skipped with their mailbox. Rows that were sent before are not sent again: they become
    exhausted, and stay in doubt if an attempt may have been carried out.
    """
    others = other_names(connection)
    for mailbox in _mailboxes(connection):
        if mailbox.closed or not mailbox.rows_left:
            continue
        reason = user_filter.left_out(mailbox.key, *others.get(mailbox.key, ()))
        if reason is None:
            continue
        sent: Collection[Attempt] = unsettled(connection, mailbox.first, mailbox.end) if mailbox.attempts else ()
        entries: list[Entry] = [
            Settled(position, Outcome.EXHAUSTED, number, in_doubt, BATCH_OF_LAST_SENDING, reason)
            for position, number, _, in_doubt in sent
        ]
        yield [*entries, MailboxClosed(mailbox.number, reason, mailbox.end - mailbox.next)]


def _mailboxes(connection: sqlite3.Connection) -> Iterator[_PreviewedMailbox]:
    after = -1
    while page := connection.execute(_PAGE_OF_MAILBOXES, (after, PAGE)).fetchall():
        after = page[-1][0]
        yield from map(_PreviewedMailbox._make, page)
