"""The rows of a ledger that have no outcome and can be sent: those that a cut hands to its shards.

A shard gets the rows of a mailbox in the order in which this module tells them: rows in doubt first, as staging puts them, and
otherwise by position. So a row's place in the shard follows from the head's records alone. They do not change between the cut and
the moment at which that shard is collected, because no run is allowed meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from purgeengine.edges.ledger.running.unfinished import PAGE, unsettled

_MAILBOX = """
SELECT number, user, key, first, end, next, coalesce(first + (SELECT rows FROM doubt WHERE mailbox = number), 0),
    EXISTS (SELECT 1 FROM attempt WHERE position >= first AND position < end)
FROM progress WHERE closed_ms IS NULL AND
"""
_PAGE_OF_MAILBOXES = _MAILBOX + "number > ? ORDER BY number LIMIT ?"
_ONE_MAILBOX = _MAILBOX + "number = ?"


class Piece(NamedTuple):
    """Neighbouring rows of the head, from position ``first`` on, that are neighbours in their shard too."""

    first: int
    rows: int
    in_doubt: bool


class OpenMailbox(NamedTuple):
    """A mailbox with rows to send. ``pieces`` are in the order of the shard."""

    number: int
    user: str
    key: str
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        """Its rows without an outcome."""
        return sum(piece.rows for piece in self.pieces)

    @property
    def in_doubt(self) -> int:
        """Those of its rows that may have been purged already."""
        return sum(piece.rows for piece in self.pieces if piece.in_doubt)


def open_mailboxes(connection: sqlite3.Connection) -> Iterator[OpenMailbox]:
    """Yield the mailboxes that are not closed and have rows without an outcome, by number. No row may be in flight."""
    after = -1
    while page := connection.execute(_PAGE_OF_MAILBOXES, (after, PAGE)).fetchall():
        after = page[-1][0]
        for found in page:
            mailbox = _opened(connection, *found)
            if mailbox.pieces:
                yield mailbox


def open_mailbox(connection: sqlite3.Connection, number: int) -> OpenMailbox | None:
    """Return one of these mailboxes. None if it is closed or has no row left."""
    found = connection.execute(_ONE_MAILBOX, (number,)).fetchone()
    mailbox = None if found is None else _opened(connection, *found)
    return mailbox if mailbox is not None and mailbox.pieces else None


def _opened(
    connection: sqlite3.Connection,
    number: int,
    user: str,
    key: str,
    first: int,
    end: int,
    unsent: int,
    doubt_end: int,
    has_attempts: int,
) -> OpenMailbox:
    sent = unsettled(connection, first, end) if has_attempts else ()
    doubted = sorted(attempt.position for attempt in sent if attempt.in_doubt)
    returned = sorted(attempt.position for attempt in sent if not attempt.in_doubt)
    boundary = min(end, max(unsent, doubt_end))
    pieces = [
        *_pieces([*doubted, *range(unsent, boundary)], in_doubt=True),
        *_pieces(returned, in_doubt=False),
        *([Piece(boundary, end - boundary, False)] if boundary < end else []),
    ]
    return OpenMailbox(number, user, key, tuple(pieces))


def _pieces(positions: Iterable[int], *, in_doubt: bool) -> Iterator[Piece]:
    for _, run in groupby(enumerate(positions), key=lambda pair: pair[1] - pair[0]):
        places = [position for _, position in run]
        yield Piece(places[0], len(places), in_doubt)
