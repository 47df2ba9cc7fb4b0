"""One mailbox: what it still has to send, what is in flight, and until when it must wait.

Graph lets an app do four things at once to a mailbox: four *slots*. A row in an unordered batch takes one; so does a serial lane,
of which Graph forwards one row at a time. A wide batch, of more rows than slots, takes all: Graph forwards four of it at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from math import inf

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.model import Attempt, FirstAttempts, Outcome, Reply
from purgeengine.core.scheduling.experience import Experience

GOOD_REPLIES_TO_RAISE = 40
"""Replies without a refusal after which a lowered limit is raised by one again."""
CROWDED_TO_LOWER = 2
"""Answers in a row with a concurrency refusal that lower the limit: one may be chance, and waiting cures it."""


LANE_ROWS_EXPECTED = 20
LANE_ROWS_WORTH = 6
"""Rows that a lane must carry on average: one that breaks earlier (a row that is gone ends it) carries less than a batch."""
LANE_FADE = 0.8
"""Weight of the lanes before the latest in that average."""


class Mailbox:
    """Rows of one mailbox by position: new ones are a range, those to be sent again a heap ordered by when they may."""

    __slots__ = (
        "_cooldown",
        "_crowded",
        "_good",
        "_lane_lost_at",
        "_lane_yield",
        "_lost_at",
        "_retries",
        "alone",
        "blocked_until",
        "closing",
        "doubt_end",
        "end",
        "experience",
        "held_back",
        "lanes",
        "limit",
        "limit_max",
        "next",
        "number",
        "parked",
        "queued",
        "refusal",
        "refusals",
        "rows",
        "rows_in_flight",
        "slots_taken",
        "throttled_until",
        "window",
    )

    def __init__(
        self,
        number: int,
        first: int,
        end: int,
        window: Window,
        cooldown: LostCallCooldown,
        limit_max: int,
        doubt_end: int = 0,
    ) -> None:
        self.number = number
        self.next = first
        self.end = end
        self.doubt_end = doubt_end
        """Rows before this position were left in doubt by an earlier ledger."""
        self.window = window
        self._cooldown = cooldown
        self._lost_at = -inf
        self._lane_lost_at = -inf
        self.limit = limit_max
        self.limit_max = limit_max
        self._retries: list[tuple[float, Attempt]] = []
        self.alone: list[Attempt] = []
        """Rows to be sent in a batch of their own: one of them spoilt a whole batch."""
        self.slots_taken = 0
        self.lanes = 0
        """Serial lanes in flight."""
        self.rows_in_flight = 0
        self.rows = 0
        """Rows that it was opened with, without those that were given up."""
        self.closing: tuple[Outcome, Reply] | None = None
        """What becomes of its rows once nothing is in flight any more; nothing is sent until then."""
        self._lane_yield = float(LANE_ROWS_EXPECTED)
        self.queued = False
        self.blocked_until = -inf
        self.throttled_until = -inf
        """The part of `blocked_until` that Graph asked for, for display."""
        self.refusals = 0
        """Answers in a row in which rows were refused (429) and none went through."""
        self.held_back = 0
        """Answers in a row that asked it to wait for minutes."""
        self.experience = Experience()
        self.refusal = Reply(401)
        """The latest 401."""
        self.parked = False
        """Whether it sends nothing until another mailbox has shown that the token is good."""
        self._good = 0
        self._crowded = 0

    def __repr__(self) -> str:
        return (
            f"<Mailbox {self.number}: {self.remaining} rows, in flight {self.rows_in_flight}, limit {self.limit}, "
            f"blocked until {self.blocked_until:.1f}>"
        )

    @property
    def remaining(self) -> int:
        """Rows without an outcome that are not in flight."""
        return self.end - self.next + len(self._retries) + len(self.alone)

    @property
    def in_flight(self) -> bool:
        """Whether any batch of its rows is."""
        return self.slots_taken > 0

    @property
    def lanes_pay(self) -> bool:
        """Whether lanes of this mailbox carry enough rows before one breaks them."""
        return self._lane_yield >= LANE_ROWS_WORTH and self.experience.at_full_speed

    def ready_at(self, now: float) -> float:
        """When it may send: now or earlier, later, or infinity when only an answer can change it."""
        if self.slots_taken >= self.limit or self.closing is not None or self.parked:
            return inf
        if self.slots_taken and self.experience.rows_max is not None:
            return inf  # what is in flight will tell
        if self._unsent or self.alone:
            due = now
        elif self._retries:
            due = self._retries[0][0]
        else:
            return inf
        cooldown = self._cooldown
        return max(
            due,
            self.blocked_until,
            self._lost_at + cooldown.length_s,
            self._lane_lost_at + cooldown.lane_length_s,
            self.window.opens_at(now),
        )

    @property
    def _unsent(self) -> int:
        """Rows that may be sent for the first time: none while the mailbox is in trouble and others can ask whether it is back."""
        return 0 if self._retries and self.experience.cautious else self.end - self.next

    def sendable(self, now: float, most: int) -> int:
        """Rows that may share a batch now: at most ``most``, and no more than there are free slots unless all are."""
        if self.slots_taken or self.limit < self.limit_max:
            most = min(most, self.limit - self.slots_taken)
        rows_max = self.experience.rows_max
        if rows_max is not None:
            most = min(most, rows_max)
        due = self._unsent
        if due < most:
            due += sum(1 for at, _ in self._retries if at <= now)
        return min(due, most, self.window.room(now))

    def draw(self, count: int, now: float) -> Sequence[Attempt]:
        """Take ``count`` rows to send now, those sent before first; the caller asked `sendable`."""
        again = self._again(count, now)
        fresh = self._fresh(count - len(again))
        assert self.next <= self.end, "more rows drawn than there are"
        self._take_off(count, lane=False)
        return (*again, *fresh) if again else fresh

    def draw_alone(self) -> Sequence[Attempt]:
        """Take one of the rows that must travel alone."""
        attempt = _next_attempt(self.alone.pop())
        self._take_off(1, lane=False)
        return (attempt,)

    def draw_lane(self, most: int, now: float) -> Sequence[Attempt]:
        """Take at most ``most`` rows for a serial lane: fresh ones, or once those are used up, such as were sent before.

        The last rows are shared out over the lanes that may run. Empty where nothing is due.
        """
        free = self.limit - self.slots_taken
        left = self.end - self.next or len(self._retries)
        count = min(most, self.window.room(now), -(-left // free))
        drawn = self._fresh(count) if self.next < self.end else self._again(count, now)
        if drawn:
            self._take_off(len(drawn), lane=True)
        return drawn

    def _again(self, most: int, now: float) -> tuple[Attempt, ...]:
        """Take such as were sent before and may be sent again now.

        While the mailbox is in trouble, the rows that failed most often come first. A row that needs three attempts gets them, and
        shows that the mailbox is back. Other rows would each fail once more, and the mailbox would be closed.
        """
        drawn: list[Attempt] = []
        if self.experience.cautious:  # the mailbox's own wait is over, which is as long as those of its rows
            due = sorted(self._retries, key=lambda one: (-one[1].failures, one))
            drawn = [_next_attempt(attempt) for _, attempt in due[:most]]
            taken = {attempt.position for attempt in drawn}
            self._retries = [one for one in self._retries if one[1].position not in taken]
            heapify(self._retries)
            return tuple(drawn)
        while self._retries and len(drawn) < most and self._retries[0][0] <= now:
            drawn.append(_next_attempt(heappop(self._retries)[1]))
        return tuple(drawn)

    def _fresh(self, count: int) -> Sequence[Attempt]:
        """Take so many rows that were never sent, in order; those that an earlier ledger left in doubt come first."""
        rows = range(self.next, self.next + count)
        self.next += count
        if rows.start >= self.doubt_end:
            return FirstAttempts(rows)
        return tuple(Attempt(position, in_doubt=position < self.doubt_end) for position in rows)

    def landed(self, rows: int, *, lane: bool) -> None:
        """A batch with so many of its rows has ended."""
        self.rows_in_flight -= rows
        self.lanes -= lane
        self.slots_taken -= 1 if lane else min(rows, self.limit_max)

    def lane_carried(self, rows: int, of: int) -> None:
        """So many rows of a lane ran before one broke it."""
        carried = LANE_ROWS_EXPECTED * rows / of
        self._lane_yield = LANE_FADE * self._lane_yield + (1 - LANE_FADE) * carried

    def put_back(self, attempt: Attempt, at: float) -> None:
        """A row was not settled and may be sent again from ``at``."""
        heappush(self._retries, (at, attempt))

    def give_up(self) -> list[Attempt]:
        """Drop every row; answers those that were sent before."""
        self.rows -= self.remaining
        sent = [attempt for _, attempt in self._retries] + self.alone
        self._retries, self.alone = [], []
        self.next = self.end
        return sent

    def restore(self, attempts: tuple[Attempt, ...], now: float) -> None:
        """Rows that an earlier run sent and did not settle."""
        self._retries = [(now, attempt) for attempt in attempts]
        heapify(self._retries)

    def block(self, until: float, *, throttled: bool = False) -> None:
        """Send nothing before ``until``; a shorter wait never replaces a longer one."""
        self.blocked_until = max(self.blocked_until, until)
        if throttled:
            self.throttled_until = max(self.throttled_until, until)

    def lost(self, at: float, *, lane: bool) -> None:
        """The service may still be running a batch of its rows: it waits out the quarantine, as long as that is known to be."""
        if lane:
            self._lane_lost_at = at
        else:
            self._lost_at = at

    def went_well(self, replies: int) -> None:
        """An answer without a refusal: a lowered limit recovers slowly."""
        self.refusals = 0
        self.held_back = 0 if replies else self.held_back
        self._crowded = 0
        self._good += replies
        if self.limit < self.limit_max and self._good >= GOOD_REPLIES_TO_RAISE:
            self.limit += 1
            self._good = 0

    def was_refused(self, *, some_went_through: bool, concurrency: bool, again: bool = True) -> None:
        """An answer with a refusal. One for concurrency within our limit means that others use the mailbox too.

        ``again`` is False where the rows left before the last refusal was known, so that it was not disregarded.
        """
        self.refusals = 0 if some_went_through else self.refusals + again
        self._good = 0
        self._crowded = self._crowded + 1 if concurrency else 0
        if self._crowded >= CROWDED_TO_LOWER and self.limit > 1:
            self.limit -= 1
            self._crowded = 0

    def _take_off(self, count: int, *, lane: bool) -> None:
        self.window.sent(count)
        self.rows_in_flight += count
        self.lanes += lane
        self.slots_taken += 1 if lane else min(count, self.limit_max)
        assert self.slots_taken <= self.limit_max, f"{self.slots_taken} things at once for mailbox {self.number}"


def _next_attempt(attempt: Attempt) -> Attempt:
    return attempt._replace(number=attempt.number + 1)
