"""What the tenant saw, one entry for each sub-request, in columns: about 50 bytes each besides the ids, which are shared.

A test compares it with a ledger. Only the tenant writes it, and it never reads it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple


class Seen(NamedTuple):
    """One sub-request as the tenant saw it.

    Times are tenant time in seconds. ``status`` and ``code`` are the tenant's reply. ``answered`` is true if an
    intact answer with that reply was given to the client. ``purged`` is true if this request purged the contact,
    whatever the reply was.
    """

    started_at: float
    ended_at: float
    mailbox: str
    contact: str
    status: int
    code: str
    purged: bool
    answered: bool
    client_request_id: str


class RequestLog:
    """An append-only log of at most ``entries_max`` entries. ``left_off`` counts the entries that found no room."""

    def __init__(self, entries_max: int) -> None:
        self.left_off = 0
        self._entries_max = entries_max
        self._started = array("d")
        self._ended = array("d")
        self._mailboxes: list[str] = []
        self._contacts: list[str] = []
        self._statuses = array("H")
        self._codes: list[str] = []
        self._purged = bytearray()
        self._answered = bytearray()
        self._calls: list[str] = []

    def __len__(self) -> int:
        return len(self._started)

    def __repr__(self) -> str:
        return f"RequestLog(entries={len(self)}, left_off={self.left_off})"

    def append(self, seen: Seen) -> int:
        """Add the entry and return its number for `mark_answered`, or -1 if the log is full."""
        if len(self._started) >= self._entries_max:
            self.left_off += 1
            return -1
        self._started.append(seen.started_at)
        self._ended.append(seen.ended_at)
        self._mailboxes.append(seen.mailbox)
        self._contacts.append(seen.contact)
        self._statuses.append(seen.status)
        self._codes.append(seen.code)
        self._purged.append(seen.purged)
        self._answered.append(seen.answered)
        self._calls.append(seen.client_request_id)
        return len(self._started) - 1

    def mark_answered(self, entry: int) -> None:
        """Note that the client got the reply. -1 is ignored."""
        if entry >= 0:
            self._answered[entry] = 1

    def __getitem__(self, entry: int) -> Seen:
        return Seen(
            self._started[entry],
            self._ended[entry],
            self._mailboxes[entry],
            self._contacts[entry],
            self._statuses[entry],
            self._codes[entry],
            bool(self._purged[entry]),
            bool(self._answered[entry]),
            self._calls[entry],
        )

    def __iter__(self) -> Iterator[Seen]:
        return (self[entry] for entry in range(len(self)))
