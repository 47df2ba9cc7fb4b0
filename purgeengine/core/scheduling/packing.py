"""Which rows share the next batch: the mailboxes with most rows left first, filled up from the others.

A mailbox that would finish last decides when the run ends, so it never waits behind a light one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from purgeengine.core.scheduling.critical import CriticalPlan
from purgeengine.core.scheduling.mailbox import Mailbox


class ReadyQueue:
    """Mailboxes that may send now, heaviest first. Entries can go stale; they are checked again when taken out."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Mailbox]] = []
        self._numbers: set[int] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, mailbox: Mailbox) -> None:
        """Add it unless it is in already."""
        if mailbox.number not in self._numbers:
            self._numbers.add(mailbox.number)
            heappush(self._heap, (-mailbox.remaining, mailbox.number, mailbox))

    def pop(self) -> Mailbox | None:
        """The one with most rows left, or None."""
        if not self._heap:
            return None
        mailbox = heappop(self._heap)[2]
        self._numbers.discard(mailbox.number)
        return mailbox


@dataclass(slots=True)
class Chosen:
    """What goes into the next batch.

    ``lane`` is the mailbox that a lane is for, or None for an unordered batch of ``shares``: so many rows of each mailbox.
    ``urgent`` batches are for critical mailboxes. ``stale`` are those met on the way that could not send after all.
    """

    lane: Mailbox | None = None
    shares: list[tuple[Mailbox, int]] = field(default_factory=list)
    urgent: bool = False
    stale: list[Mailbox] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of the unordered batch."""
        return sum(count for _, count in self.shares)


def choose(
    ready: ReadyQueue,
    now: float,
    items_max: int,
    first_width: int,
    other_width: int,
    plan: CriticalPlan | None,
    in_lanes: int,
) -> Chosen:
    """Pick rows for one batch of at most ``items_max``.

    The cases for the heaviest: it is critical, and gets a lane, or a batch small enough to be quick, which it shares with none but
    critical ones; else a full batch. In that it gives at most ``first_width`` rows and each other ``other_width``. A mailbox that
    runs lanes and needs no more of them ends them before it fills a wide batch. Without a ``plan``, nothing is critical.
    """
    chosen = Chosen()
    room = items_max
    while room and (mailbox := ready.pop()) is not None:
        if mailbox.ready_at(now) > now:
            chosen.stale.append(mailbox)
            continue
        if plan is not None and not chosen.shares and plan.is_critical(mailbox, now):
            size = plan.size_for(mailbox, now)
            if not size and mailbox.lanes_pay and plan.may_have_lanes(mailbox, in_lanes):
                chosen.lane = mailbox
                return chosen
            room = size or items_max
            chosen.urgent = True
        elif chosen.urgent and plan is not None and not plan.is_critical(mailbox, now):
            ready.push(mailbox)  # it would be held up in a small batch, and would hold up the others
            break
        if mailbox.lanes and first_width > mailbox.limit_max:
            continue  # it is placed again when one of them has ended
        width = other_width if chosen.shares else first_width
        count = mailbox.sendable(now, min(width, room))
        if count:
            chosen.shares.append((mailbox, count))
            room -= count
        else:
            chosen.stale.append(mailbox)
    return chosen
