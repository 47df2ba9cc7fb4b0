"""Chooses which rows share the next batch. Mailboxes with the most rows left come first, and other mailboxes fill the batch.

The mailbox that finishes last decides when the run ends. Therefore a large mailbox never waits behind a small one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from purgeengine.core.scheduling.critical import CriticalPlan
from purgeengine.core.scheduling.mailbox import Mailbox

FEW_ROWS = 8
"""Rows: a mailbox with at most so many rows left shares its batches with others, even if it may end last. This holds only while
answers are being lost. Each batch may be lost or refused, so the last rows of many mailboxes are safer in few batches.

Eight is twice the four requests that a mailbox takes at once. In `benchmarks.makespan` with faults and the job 100 x 40, 4 and 8
do equally well. 16 and 32 lengthen a run with few faults and 64 connections by 4 and 23 %, because
mailboxes that end last then wait for others. With many faults, chance decides more than this number."""


class ReadyQueue:
    """Mailboxes that may send now, the one with the most rows left first.

    Entries can go stale, so they are checked again when they are taken out.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Mailbox]] = []
        self._numbers: set[int] = set()

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, mailbox: Mailbox) -> None:
        """Add the mailbox, unless it is in the queue already."""
        if mailbox.number not in self._numbers:
            self._numbers.add(mailbox.number)
            heappush(self._heap, (-mailbox.remaining, mailbox.number, mailbox))

    def pop(self) -> Mailbox | None:
        """Take out the mailbox with the most rows left; None if the queue is empty."""
        if not self._heap:
            return None
        mailbox = heappop(self._heap)[2]
        self._numbers.discard(mailbox.number)
        return mailbox


@dataclass(slots=True)
class Chosen:
    """What goes into the next batch.

    ``lane`` is the mailbox that a lane is for, or None for an unordered batch. ``shares`` are the mailboxes of an unordered
    batch, each with its number of rows. An ``urgent`` batch is for critical mailboxes. ``stale`` are mailboxes taken out of the
    queue that could not send after all.
    """

    lane: Mailbox | None = None
    shares: list[tuple[Mailbox, int]] = field(default_factory=list)
    urgent: bool = False
    stale: list[Mailbox] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of the unordered batch."""
        return sum(count for _, count in self.shares)


def _may_have_lane(mailbox: Mailbox, plan: CriticalPlan, in_lanes: int, now: float) -> bool:
    """Return True if a lane is worth using, and there is a connection for it.

    While lost calls hold slots, a lane is better than a batch that is small enough for the others, whatever the connections: if it
    is lost as well, it holds one slot.
    """
    return (
        mailbox.lanes_pay
        and mailbox.has_lane_rows(now)
        and (plan.may_have_lanes(mailbox, in_lanes) or mailbox.slots_held(now) > 0)
        and mailbox.sendable(now, 1) > 0
    )


def choose(
    ready: ReadyQueue,
    now: float,
    items_max: int,
    first_width: int,
    other_width: int,
    plan: CriticalPlan | None,
    in_lanes: int,
    *,
    spread: bool,
) -> Chosen:
    """Choose the rows for one batch of at most ``items_max`` rows.

    The cases for the mailbox with the most rows left: if it is critical, it gets a lane, or a batch that is small enough to be
    quick and that it shares only with critical mailboxes. Otherwise it gets a full batch, in which it has at most ``first_width``
    rows and each other mailbox at most ``other_width``. ``in_lanes`` counts the mailboxes that have lanes in flight. A mailbox
    with lanes in flight that needs no more of them waits for their end before it fills a wide batch. Without a ``plan`` no
    mailbox is critical.

    With ``spread``, a batch takes few rows each of many mailboxes, unless that would make one of them end last. If the answer is
    lost, the batch holds few slots of each. A mailbox that nobody could share a batch with gets a lane. Mailboxes in trouble are
    not spread, because their rows test whether they have recovered.

    ``now`` is in monotonic seconds.
    """
    chosen = Chosen()
    room = items_max
    while room and (mailbox := ready.pop()) is not None:
        if mailbox.ready_at(now) > now:
            chosen.stale.append(mailbox)
            continue
        few = spread and mailbox.remaining <= FEW_ROWS
        if plan is not None and not chosen.shares and not few:
            critical = plan.is_critical(mailbox, now)
            size = plan.size_for(mailbox, now) if critical else items_max
            # Where nobody shares a batch with it, a lane is better: a lost lane holds one slot only.
            lonely = spread and not len(ready)
            if (not size or lonely) and _may_have_lane(mailbox, plan, in_lanes, now):
                chosen.lane = mailbox
                return chosen
            if critical:
                room = min(size or items_max, items_max)
                chosen.urgent = True
        if chosen.urgent and plan is not None and (few or not plan.is_critical(mailbox, now)):
            ready.push(mailbox)  # in a small batch it would wait and make the critical mailboxes wait
            break
        width = other_width if chosen.shares else first_width
        # The rows of a cautious mailbox test whether it has recovered, so they stay together.
        spread_now = spread and not chosen.urgent and not mailbox.experience.cautious
        if spread_now and plan is not None and (few or plan.may_be_spread(mailbox, now)):
            width = min(width, -(-room // (1 + len(ready))), -(-mailbox.remaining // mailbox.limit_max))
        elif mailbox.lanes and first_width > mailbox.limit_max:
            continue  # it is placed again when one of its lanes has ended
        count = mailbox.sendable(now, min(width, room))
        if count:
            chosen.shares.append((mailbox, count))
            room -= count
        else:
            chosen.stale.append(mailbox)
    return chosen
