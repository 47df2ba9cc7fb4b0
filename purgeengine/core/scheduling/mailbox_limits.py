"""The limits and waits of one mailbox, and which rows may leave within them.

Graph runs at most four requests at once for an app and a mailbox (throttling-limits): the mailbox has four *slots*. A row in an
unordered batch takes one slot. A lane takes one slot as well, because Graph forwards its rows one at a time. A batch with more
rows of the mailbox than slots takes all four, because Graph forwards four of its rows at a time. The slots of a batch in flight
are *taken*. If its answer is lost, they are *held* until its cooldown is over, because the service may still be running it.

Taken and held slots together are never more than four. Where other software uses the mailbox too, fewer may be taken: its *limit*
is lowered. The limit counts taken slots only, because most held slots run nothing any more. If held slots counted in it, a mailbox
with a limit of one would stand still for a whole cooldown after each lost call.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from purgeengine.core.forecast.busy_time import BusyTime
from purgeengine.core.limits.experience import Experience
from purgeengine.core.limits.lost_calls import LostCallCooldown, LostSlots
from purgeengine.core.limits.window import Window
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.core.scheduling.mailbox_rows import MailboxRows, next_attempt

GOOD_REPLIES_TO_RAISE = 40
"""Good replies after which a lowered limit is raised by one. They are more after a refusal with a long wait."""
GOOD_FOR_A_REFUSAL = 10
"""Good replies that outweigh one answer with a concurrency refusal. Where other software uses the mailbox all the time, refusals
come oftener. Fewer are chance, and a wait cures them."""
SHORT_WAIT_S = 3.0
"""A refusal that asks for a longer wait costs more. Both numbers of good replies are multiplied by its wait divided by this one."""
CROWDED_TO_LOWER = 1.5
"""Answers with a concurrency refusal, less what good replies outweigh, that lower the limit."""
LANE_BREAKS_MAX = 1 / 6
"""The share of rows that break a lane from which on lanes are not worth using. A full lane then carries six rows on average, which
is less than a batch."""
LANE_ROWS_BEFORE = 60.0
"""Rows that a mailbox is taken to have had without a break before its first answer."""
BREAKS_FADE = 0.8
"""Weight of what is known about breaks after one more lane, or after one more full batch."""
FULL_ROWS = 20
"""Rows of a full lane or batch."""
STUCK_ANSWERS = 2
"""Answers in a row without progress after which nobody knows when a mailbox lets rows through again."""


class MailboxLimits(MailboxRows):
    """The rows of one mailbox, with everything that may keep them from leaving now.

    Instants are monotonic seconds.
    """

    __slots__ = (
        "_breaks",
        "_crowded",
        "_good",
        "_refusal_weight",
        "_rows_tried",
        "blocked_until",
        "busy",
        "closing",
        "experience",
        "held_back",
        "lanes",
        "limit",
        "limit_max",
        "lost_slots",
        "number",
        "parked",
        "refusal",
        "refusals",
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
        unsettled: Sequence[Attempt] = (),
        now: float = 0.0,
    ) -> None:
        """``unsettled`` are rows that an earlier run sent and did not settle. They may be sent again from ``now`` on."""
        super().__init__(first, end, unsettled, doubt_end, now)
        self.number = number
        self.window = window
        self.lost_slots = LostSlots(cooldown)
        self.limit = limit_max
        self.limit_max = limit_max
        self.slots_taken = 0
        self.lanes = 0
        """Lanes in flight."""
        self.rows_in_flight = 0
        self.closing: tuple[Outcome, Reply] | None = None
        """The outcome and reply that its rows get once nothing is in flight; until then nothing is sent. None while it is not
        closing."""
        self._rows_tried, self._breaks = LANE_ROWS_BEFORE, 0.0
        self.blocked_until = -inf
        self.throttled_until = -inf
        """Like `blocked_until`, but only for the waits that Graph asked for. For display."""
        self.refusals = 0
        """Answers in a row in which rows were refused (429) and none went through."""
        self.held_back = 0
        """Answers in a row that asked the mailbox to wait for minutes."""
        self.experience = Experience()
        self.busy = BusyTime()
        """For how long it was busy and had to wait, for the forecast."""
        self.refusal = Reply(401)
        """The latest 401."""
        self.parked = False
        """True while nothing is sent because it is not known whether a 401 is about the token or about this mailbox."""
        self._good = 0.0
        self._crowded = 0.0
        self._refusal_weight = 1.0

    def __repr__(self) -> str:
        return (
            f"<Mailbox {self.number}: {self.remaining} rows, in flight {self.rows_in_flight}, limit {self.limit}, "
            f"blocked until {self.blocked_until:.1f}>"
        )

    # -------------------------------------------------------------------------------------------------- what it may send

    @property
    def in_flight(self) -> bool:
        """True if any batch with its rows is in flight."""
        return self.slots_taken > 0

    @property
    def lanes_pay(self) -> bool:
        """True if lanes of this mailbox carry enough rows on average before a row breaks them."""
        return self._breaks <= LANE_BREAKS_MAX * self._rows_tried and self.experience.at_full_speed

    @property
    def stuck(self) -> bool:
        """True while the mailbox lets nothing through, or asks for waits of minutes, so that nobody knows when it will end."""
        return self.held_back > 0 or self.experience.fruitless >= STUCK_ANSWERS

    def ready_at(self, now: float, *, forget: bool = True) -> float:
        """Return when the mailbox may send next; `inf` if only an event can change that.

        An instant that is not later than ``now`` means that it may send now. Who only looks says not to ``forget`` lost calls.
        """
        if self.slots_taken >= self.limit or self.closing is not None or self.parked:
            return inf
        slot_at = -inf
        if self.lost_slots and self.limit_max - self.slots_taken - self.lost_slots.held(now, forget=forget) <= 0:
            slot_at = self.lost_slots.frees_at(self.limit_max - self.slots_taken - 1)
        if self.slots_taken and self.experience.rows_max is not None:
            return inf  # the answer that is awaited decides what may be sent
        if self._unsent or self.alone:
            due = now
        else:
            due = self._again_at
            if due == inf:
                return inf
        return max(due, self.blocked_until, slot_at, self.window.opens_at(now))

    def free_slots(self, now: float) -> int:
        """Return how many more slots may be taken now. The number may be negative."""
        return min(self.limit, self.limit_max - self.lost_slots.held(now)) - self.slots_taken

    def slots_held(self, now: float) -> int:
        """Return how many slots lost calls hold. For who only looks: it changes nothing."""
        return self.lost_slots.held(now, forget=False)

    @property
    def _unsent(self) -> int:
        """Rows that may be sent for the first time.

        While the mailbox is in trouble and has rows to send again, these try whether it is back, and no row is sent for the first
        time.
        """
        return 0 if self.experience.cautious and self._again_at < inf else self.end - self.next

    def sendable(self, now: float, most: int) -> int:
        """Return how many rows may share a batch now.

        The number is at most ``most``, and at most the number of free slots unless all slots are free.
        """
        free = self.free_slots(now)
        if free < self.limit_max:
            most = min(most, free)
        rows_max = self.experience.rows_max
        if rows_max is not None:
            most = min(most, rows_max)
        due = self._unsent
        if due < most:
            due += self._due_again(now)
        return min(due, most, self.window.room(now))

    # ------------------------------------------------------------------------------------------------- what leaves now

    def draw(self, count: int, now: float) -> Sequence[Attempt]:
        """Take ``count`` rows to send now. The caller has asked `sendable`. Rows that were sent before come first."""
        again = self._again(count, now) if self._again_at < inf else ()
        fresh = self._draw_fresh(count - len(again))
        self._take_off(count, now, lane=False)
        return (*again, *fresh) if again else fresh

    def draw_alone(self, now: float) -> Sequence[Attempt]:
        """Take one of the rows that must travel alone."""
        attempt = next_attempt(self.alone.pop())
        self._take_off(1, now, lane=False)
        return (attempt,)

    def draw_lane(self, most: int, now: float) -> Sequence[Attempt]:
        """Take at most ``most`` rows for a lane: those that no earlier attempt can have deleted first, then a few others.

        The last rows are shared out over the lanes that may run. The result is empty if no row may be sent now.
        """
        drawn = self._draw_in_lane(min(most, self.window.room(now)), self.free_slots(now), now)
        if drawn:
            self._take_off(len(drawn), now, lane=True)
        return drawn

    def _again(self, most: int, now: float) -> tuple[Attempt, ...]:
        return self._draw_failed_most(most, now) if self.experience.cautious else self._draw_again(most, now)

    def slots_of(self, rows: int, *, lane: bool) -> int:
        """Return how many slots a batch with ``rows`` rows of the mailbox takes."""
        return 1 if lane else min(rows, self.limit_max)

    def _take_off(self, count: int, now: float, *, lane: bool) -> None:
        self.busy.begins(now)
        self.window.sent(count)
        self.rows_in_flight += count
        self.lanes += lane
        self.slots_taken += self.slots_of(count, lane=lane)
        running_max = self.slots_taken + self.lost_slots.held(now)
        assert running_max <= self.limit_max, f"too many requests at once for {self}"

    def _land(self, rows: int, *, lane: bool) -> None:
        self.rows_in_flight -= rows
        self.lanes -= lane
        self.slots_taken -= self.slots_of(rows, lane=lane)

    # ---------------------------------------------------------------------------------------------- limit, waits, closing

    def went_well(self, replies: int) -> None:
        """Record an answer without a refusal and with ``replies`` good replies. A lowered limit recovers slowly."""
        self.refusals = 0
        self.held_back = 0 if replies else self.held_back
        self._count_good(replies, 0)

    def was_refused(self, *, good: int, concurrency: bool, wait_s: float = 0.0, again: bool = True) -> None:
        """Record an answer with a refusal and with ``good`` good replies, which asks the mailbox to wait for ``wait_s`` seconds.

        Many refusals for concurrency within our own limit mean that others use the mailbox too. ``again`` is False if the rows left
        before the last refusal was known, so that no wait was ignored.
        """
        self.refusals = 0 if good else self.refusals + again
        self._count_good(good, GOOD_FOR_A_REFUSAL)
        if not concurrency:
            return
        self._crowded = min(CROWDED_TO_LOWER, self._crowded + 1.0)
        self._refusal_weight = max(1.0, wait_s / SHORT_WAIT_S)
        if self._crowded >= CROWDED_TO_LOWER and self.limit > 1:
            self.limit -= 1
            self._good = self._crowded = 0.0

    def _count_good(self, replies: int, outweighed: int) -> None:
        good = replies / self._refusal_weight
        self._crowded = max(0.0, self._crowded - good / GOOD_FOR_A_REFUSAL)
        self._good = max(0.0, self._good + good - outweighed)
        if self.limit < self.limit_max and self._good >= GOOD_REPLIES_TO_RAISE:
            self.limit += 1
            self._good = self._crowded = 0.0

    def broke(self, rows: int, tried: int, *, lane_rows: int = 0) -> None:
        """Record that of ``tried`` rows some broke their lane, or would have broken one.

        ``lane_rows`` counts the rows of the lane, 0 stands for a batch. Half of a short lane counts like half of a full one.
        """
        kept: float = BREAKS_FADE if lane_rows else BREAKS_FADE ** (tried / FULL_ROWS)
        self._rows_tried = self._rows_tried * kept + (tried * FULL_ROWS / lane_rows if lane_rows else tried)
        self._breaks = self._breaks * kept + rows

    def block(self, until: float, *, throttled: bool = False) -> None:
        """Send nothing before ``until``. A shorter wait never replaces a longer one.

        ``throttled`` says that Graph asked for it.
        """
        self.blocked_until = max(self.blocked_until, until)
        if throttled:
            self.throttled_until = max(self.throttled_until, until)

    def told_to_wait(self, now: float, for_s: float) -> None:
        """Send nothing for ``for_s`` seconds, because Graph asked for it."""
        self.busy.told_to_wait(now, now + for_s)
        self.block(now + for_s, throttled=True)
