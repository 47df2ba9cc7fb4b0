"""Write what the scheduler decided: one transaction for each turn, durable when `Journal.write` returns.

This module does not know what replies mean.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from purgeengine.core.messages import Entry
from purgeengine.core.model import Reply
from purgeengine.edges.ledger.running.statements import Memory, Statements
from purgeengine.edges.ledger.store.database import transaction
from purgeengine.edges.ledger.store.reserve import Reserve, is_out_of_room
from purgeengine.edges.ledger.store.schema import crc_of
from purgeengine.edges.ledger.store.storage import cause_of, translated
from purgeengine.errors import LedgerError

DETAILS_CACHED_MAX = 4_096
"""Replies whose number in ``detail`` is kept in memory."""
CODE_CHARS_MAX = 200
MESSAGE_CHARS_MAX = 2_000
"""Characters kept of an error code and a message. Graph's own are a word, and a sentence or two."""


class Journal:
    """The only writer of a ledger.

    After an error it refuses to write again: what is on the disk is whole, and whether the last turn is there is
    unknown.
    """

    def __init__(self, connection: sqlite3.Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self.reserve = Reserve(folder)
        """Disk space that is given up when the disk is full."""
        self.trouble: LedgerError | None = None
        """The reason to stop sending although all entries were written (a full disk; the reserve is in use), or None."""
        self._failure: LedgerError | None = None
        self._details: dict[Reply, int] = {}
        self._new_details: dict[tuple[int, str, str], int] = {}
        """New replies of the turn being written, which the database does not have yet, with their numbers."""
        with transaction(connection):
            adopt_lost_rows(connection)
        (self._next_detail,) = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM detail").fetchone()
        self._memory = Memory(
            sent_before={position for (position,) in connection.execute("SELECT position FROM attempt")}
        )

    def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Write the entries in their order, with the time ``at_utc_ms`` (milliseconds since 1970). They are durable on return.

        Raises `LedgerError` if they cannot be written. The caller must send nothing after that; the same command
        resumes the run.
        """
        if self._failure is not None:
            raise self._failure
        try:
            with translated(f"The ledger in {self._folder} cannot be written"):
                self._write(entries, at_utc_ms)
        except LedgerError as error:
            self._failure = error
            raise
        except BaseException:
            self._failure = LedgerError(f"The ledger in {self._folder} was not written any further after a mistake.")
            raise

    def _write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        turn = Statements(self._memory, at_utc_ms, self._detail_of)
        turn.add(entries)
        try:
            self._execute(turn)
        except sqlite3.Error as error:
            if not (self.reserve.held and is_out_of_room(error)):
                raise
            self.reserve.release()  # nothing of the first try was committed, so the second try repeats nothing
            self._execute(turn)
            self.trouble = LedgerError(
                f"The ledger in {self._folder} has no room left: {cause_of(error)} Every answer that came was recorded."
            )
        self._next_detail += len(self._new_details)
        self._new_details.clear()

    def _execute(self, turn: Statements) -> None:
        with transaction(self._connection):
            self._connection.executemany(
                "INSERT INTO detail (status, code, message, crc, id) VALUES (?, ?, ?, ?, ?)",
                [(*said, crc_of(*said), number) for said, number in self._new_details.items()],
            )
            turn.execute(self._connection)

    def _detail_of(self, reply: Reply) -> int:
        """Return the number in ``detail`` of a status, code and message. Each combination is stored once."""
        detail = self._details.get(reply)
        if detail is None:
            if len(self._details) >= DETAILS_CACHED_MAX:
                self._details.clear()
            detail = self._details[reply] = self._stored_detail(reply)
        return detail

    def _stored_detail(self, reply: Reply) -> int:
        said = (reply.status, _stored(reply.code, CODE_CHARS_MAX), _stored(reply.message, MESSAGE_CHARS_MAX))
        found = self._connection.execute(
            "SELECT id FROM detail WHERE status = ? AND code = ? AND message = ?", said
        ).fetchone()
        if found is not None:
            return int(found[0])
        return self._new_details.setdefault(said, self._next_detail + len(self._new_details))


def adopt_lost_rows(connection: sqlite3.Connection) -> None:
    """Turn rows that were in flight when a process died into attempts in doubt.

    After that, only the batches of this process have rows in flight for the first time. Raises ValueError if the
    records name rows that do not exist.
    """
    (rows,) = connection.execute("SELECT coalesce(max(first + rows), 0) FROM mailbox").fetchone()
    for first, end, batch, sent_ms in connection.execute("SELECT first, end, batch, sent_ms FROM fresh").fetchall():
        if not 0 <= first < end <= rows:
            raise ValueError(f"batch {batch} has rows that do not exist")
        connection.executemany(
            "INSERT INTO attempt VALUES (?, 1, 0, 1, ?, ?)",
            [(position, sent_ms, batch) for position in range(first, end)],
        )
        connection.execute("UPDATE part SET fresh = 0 WHERE batch = ? AND first = ?", (batch, first))


def _stored(text: str, chars_max: int) -> str:
    """Cut a text to length, and replace lone surrogates, which SQLite refuses."""
    return text[:chars_max].encode("utf-8", "replace").decode()
