"""Which mailboxes share the next batch: the ones with most rows left first, filled up from the others.

A mailbox that would finish last decides when the run ends, so it never waits behind a light one.
"""

from __future__ import annotations

from heapq import heappop, heappush

from purgeengine.core.mailbox import Mailbox

Chosen = list[tuple[Mailbox, int]]


class ReadyQueue:
    """Mailboxes that may send now, heaviest first. Entries can go stale; they are checked again when taken out."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Mailbox]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, mailbox: Mailbox) -> None:
        """Add it unless it is in already."""
        if not mailbox.queued:
            mailbox.queued = True
            heappush(self._heap, (-mailbox.remaining, mailbox.number, mailbox))

    def pop(self) -> Mailbox | None:
        """The one with most rows left, or None."""
        if not self._heap:
            return None
        mailbox = heappop(self._heap)[2]
        mailbox.queued = False
        return mailbox


def choose(
    ready: ReadyQueue, now: float, items_max: int, first_width: int, other_width: int
) -> tuple[Chosen, list[Mailbox]]:
    """Pick rows for one batch of at most ``items_max``.

    The heaviest mailbox gives at most ``first_width`` rows and each other ``other_width``, less where a mailbox's own limit was
    lowered. Answers the mailboxes with their number of rows, and those met on the way that could not send after all.
    """
    chosen: Chosen = []
    stale: list[Mailbox] = []
    room = items_max
    while room and (mailbox := ready.pop()) is not None:
        width = other_width if chosen else first_width
        most = width if mailbox.limit == mailbox.limit_max else mailbox.limit
        count = mailbox.sendable(now, min(most, room)) if mailbox.ready_at(now) <= now else 0
        if count:
            chosen.append((mailbox, count))
            room -= count
        else:
            stale.append(mailbox)
    return chosen, stale
