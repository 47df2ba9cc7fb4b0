"""What the next generation of a shard must take for granted if the disk of the one before is lost with its ledger.

Nobody knows what the lost ledger recorded after its last copy. Every row without an outcome in that copy may have been sent, and
every mailbox may have been asked as often as Graph allows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LostGeneration:
    """A generation that is lost. Times are milliseconds since 1970."""

    fenced_utc_ms: int
    """When its last run was fenced. Nothing of it left after that."""
    quarantine_s: float
    """How long the service may still run a call that it got before, in seconds."""
    mailbox_requests: int
    """The requests of the app to one mailbox that Graph allows in its window."""

    @property
    def settles_utc_ms(self) -> int:
        """When the service can be running nothing more of it."""
        return self.fenced_utc_ms + round(self.quarantine_s * 1000)

    @property
    def blocked(self) -> tuple[int, int]:
        """Until when nothing may be sent to any of its mailboxes, and when that was set."""
        return self.settles_utc_ms, self.fenced_utc_ms

    @property
    def seen(self) -> tuple[int, int]:
        """When the service saw how many requests to each of its mailboxes, at the latest and at most: the window is full.

        The last calls may be run until they settle, and Graph counts a request when it runs it.
        """
        return self.settles_utc_ms, self.mailbox_requests

    def in_doubt(self, *, settled: bool) -> bool:
        """Return True if a row may have been deleted by it. ``settled`` says that the last copy has its outcome."""
        return not settled
