"""Writes what the scheduler decided: one transaction for each turn, durable when `Journal.write` returns.

It must not know what replies mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from purgeengine.core.messages import Entry
from purgeengine.core.model import Reply
from purgeengine.edges.ledger.database import transaction
from purgeengine.edges.ledger.storage import translated
from purgeengine.edges.ledger.turn import Memory, Turn
from purgeengine.errors import LedgerError

DETAILS_CACHED_MAX = 4_096
"""Replies whose number is kept in memory."""
CODE_CHARS_MAX = 200
MESSAGE_CHARS_MAX = 2_000
"""What is kept of a code and a message: Graph's are a word and a sentence or two."""


class Journal:
    """The one writer of a ledger. After an error it refuses to go on: what is on the disk is whole, what came after is unknown."""

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._failure: LedgerError | None = None
        self._details: dict[Reply, int] = {}
        with transaction(connection):
            adopt_lost_rows(connection)
        self._memory = Memory(
            sent_before={position for (position,) in connection.execute("SELECT position FROM attempt")}
        )

    def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Record the entries, in their order, as of this time; durable on return.

        Raises `LedgerError` when they cannot be written. Nothing may be sent after that; the same command resumes later.
        """
        if self._failure is not None:
            raise self._failure
        try:
            with translated(f"The ledger in {self._folder} cannot be written"), transaction(self._connection):
                turn = Turn(self._memory, at_utc_ms, self._detail_of)
                turn.add(entries)
                turn.execute(self._connection)
        except LedgerError as error:
            self._failure = error
            raise
        except BaseException:
            self._failure = LedgerError(f"The ledger in {self._folder} was not written any further after a mistake.")
            raise

    def _detail_of(self, reply: Reply) -> int:
        """The number under which a status, code and message are stored; each combination is stored once."""
        detail = self._details.get(reply)
        if detail is None:
            if len(self._details) >= DETAILS_CACHED_MAX:
                self._details.clear()
            detail = self._details[reply] = self._stored_detail(reply)
        return detail

    def _stored_detail(self, reply: Reply) -> int:
        said = (reply.status, _stored(reply.code, CODE_CHARS_MAX), _stored(reply.message, MESSAGE_CHARS_MAX))
        execute = self._connection.execute
        execute("INSERT INTO detail (status, code, message) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", said)
        (detail,) = execute("SELECT id FROM detail WHERE status = ? AND code = ? AND message = ?", said).fetchone()
        return int(detail)


def adopt_lost_rows(connection: sqlite3.Connection) -> None:
    """Rows in flight when a process died become attempts in doubt, so that only this process's batches have fresh ones."""
    for first, end, batch, sent_ms in connection.execute("SELECT first, end, batch, sent_ms FROM fresh").fetchall():
        connection.executemany(
            "INSERT INTO attempt VALUES (?, 1, 0, 1, ?, ?)",
            [(position, sent_ms, batch) for position in range(first, end)],
        )
        connection.execute("UPDATE part SET fresh = 0 WHERE batch = ? AND first = ?", (batch, first))


def _stored(text: str, chars_max: int) -> str:
    """Cut to length, and without half characters, which no database takes."""
    return text[:chars_max].encode("utf-8", "replace").decode()
