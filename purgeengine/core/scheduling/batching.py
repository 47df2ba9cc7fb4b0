"""Draws the next batch from the mailboxes that may send.

Rows that must travel alone go first, then lanes and small batches for critical mailboxes, then full batches. A batch that is not
full may wait a moment for more rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from random import Random
from uuid import UUID

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.shapes import CallKinds
from purgeengine.core.limits.app_rate import AppRate
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.limits.fanout import FanoutProbe
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.rate_limit import TokenBucket
from purgeengine.core.model import Attempt, Batch, MailboxShare
from purgeengine.core.scheduling.critical import CriticalPlan
from purgeengine.core.scheduling.flights import Flight
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes
from purgeengine.core.scheduling.packing import Chosen, choose
from purgeengine.run_limits import Limits

LOST_TO_SPREAD = 0.002
"""Share of lost calls above which batches are spread over many mailboxes: one lost call among the last 160."""
COOLDOWNS_TO_SPREAD = 3.0
"""Batches are spread from this many cooldowns before the expected end of the run on. Where calls fail, the end is later than
expected."""
LOSSES_FADE = 0.01
"""Weight of the latest call in the share of lost calls."""


class Batching:
    """Draws batches. The scheduler decides whether a batch may leave at all."""

    def __init__(
        self,
        limits: Limits,
        rng: Random,
        open_mailboxes: OpenMailboxes,
        connections: ConcurrencyLimit,
        call_times: CallTimes,
        cooldown: LostCallCooldown,
        *,
        now: float,
        first_batch: int,
        unread: int,
        app_rate: AppRate,
    ) -> None:
        self.fanout = FanoutProbe(limits.fanout, limits.mailbox_concurrent_max, limits.batch_items_max)
        self.plan = CriticalPlan(limits, rng, call_times)
        self.lanes_work = limits.lanes
        """True while lanes may be used. It turns false once Graph has refused a lane as a whole."""
        self.unread = unread
        """Rows of mailboxes that are not open yet."""
        self.app_rate = app_rate
        self._limits = limits
        self._rng = rng
        self._open_mailboxes = open_mailboxes
        self._connections = connections
        self._cooldown = cooldown
        self._bucket = TokenBucket(limits.requests_per_s, self._burst(limits.requests_per_s), now)
        self.has_share = True
        """False while the run's share of the app's rate is 0."""
        self._lost_share = 0.0
        """Share of the latest calls whose answer was lost."""
        self._in_lanes = 0
        """Mailboxes that have lanes in flight."""
        self._next_batch = first_batch
        self._fill_until: float | None = None

    @property
    def allowed(self) -> bool:
        """True if the app's rate allows another batch, as of the last `refill`."""
        return self.has_share and self._bucket.covers(self._limits.batch_items_max) and self.app_rate.allowed

    @property
    def wakes_at(self) -> float:
        """The next time a batch could be sent, in monotonic seconds; `inf` if only an event can change that."""
        if not self.has_share:
            return inf
        if not self.allowed:
            return max(self._bucket.covers_at(self._limits.batch_items_max), self.app_rate.allowed_at)
        return inf if self._fill_until is None else self._fill_until

    @property
    def kinds(self) -> CallKinds:
        """The kinds of calls that the run may send, as far as is known now."""
        wide = (self.fanout.decided or self._limits.fanout) != self._limits.mailbox_concurrent_max
        return CallKinds("four" if wide else "all", self.lanes_work)

    def refill(self, now: float) -> None:
        """Add what the rate has gained until ``now`` (monotonic seconds)."""
        self._bucket.refill(now)
        self.app_rate.refill(now)

    def share(self, requests_per_s: float, now: float) -> None:
        """Send at this rate from ``now`` on, in sub-requests per second: the run's share of the app's. 0 sends nothing."""
        self.has_share = requests_per_s > 0.0
        self._bucket.refill(now)
        self._bucket.change(requests_per_s, self._burst(requests_per_s))

    def _burst(self, requests_per_s: float) -> float:
        """Return how many sub-requests may leave at once at this rate."""
        return max(self._limits.burst_s * requests_per_s, self._limits.batch_items_max)

    def landed(self, flight: Flight, *, lost: bool) -> None:
        """Record that a batch has ended, perhaps with its answer ``lost``. Its mailboxes have recorded it before."""
        self._lost_share += LOSSES_FADE * (lost - self._lost_share)
        if flight.batch.lane:
            self._in_lanes -= sum(not mailbox.lanes for mailbox, _ in flight.shares)

    def next_batch(self, now: float, token_generation: int, *, others_in_flight: bool) -> Flight | None:
        """Draw the next batch out of its mailboxes.

        Returns None if no mailbox is ready, or if a short wait may fill the batch.
        """
        for mailbox in self._open_mailboxes.alone(now):
            return self._flight([(mailbox, mailbox.draw_alone(now))], now, token_generation)
        plan = self._plan_now(now)
        rows_max = min(self._limits.batch_items_max, self.app_rate.rows_max)
        chosen = choose(
            self._open_mailboxes.ready,
            now,
            rows_max,
            self.fanout.first_width,
            self.fanout.width,
            plan,
            self._in_lanes,
            spread=self._spreads(plan, now),
        )
        for mailbox in chosen.stale:
            self._open_mailboxes.place(mailbox, now)
        if chosen.lane is not None:
            self._in_lanes += not chosen.lane.lanes
            shares = [(chosen.lane, chosen.lane.draw_lane(min(self.plan.lane_rows_max, rows_max), now))]
            flight = self._flight(shares, now, token_generation, lane=True)
            self._open_mailboxes.place(chosen.lane, now)
            return flight
        if not chosen.shares:
            self._fill_until = None  # no batch waits for more rows, so that no timer is needed
            return None
        if self._waits_for_company(chosen, rows_max, now, others_in_flight):
            return None
        shares = [(mailbox, mailbox.draw(count, now)) for mailbox, count in chosen.shares]
        flight = self._flight(shares, now, token_generation)
        for mailbox, _ in shares if plan is not None else ():
            self._open_mailboxes.place(mailbox, now)
        return flight

    def _plan_now(self, now: float) -> CriticalPlan | None:
        """Return the up-to-date plan; None while the fanout is not known, or if lanes may not be used."""
        if self.fanout.decided is None or not self.lanes_work:
            return None
        before = self.plan.dispatch
        self.plan.refresh(self._open_mailboxes, self.unread, self.fanout.width, self._connections.expected, now)
        if self.plan.dispatch != before:
            self._connections.compare_anew()
        return self.plan

    def _spreads(self, plan: CriticalPlan | None, now: float) -> bool:
        """Return True if batches should take few rows each of many mailboxes, because answers are lost now and then.

        A lost batch that one mailbox filled keeps that mailbox from sending until its cooldown is over, which matters if the run
        would end by then. Before that, such a batch is better: a lost one holds four slots, and a spread one holds twenty. If the
        service runs a batch all at once, each of its rows holds a slot anyway, and spreading is always better.
        """
        if plan is None or self._lost_share <= LOST_TO_SPREAD:
            return False
        return plan.dispatch == "all" or plan.ends_within(COOLDOWNS_TO_SPREAD * self._cooldown.length_s, now)

    def _waits_for_company(self, chosen: Chosen, rows_max: int, now: float, others_in_flight: bool) -> bool:
        """Return True if a batch that is not full waits for more rows; its mailboxes are put back."""
        if chosen.urgent or chosen.rows >= rows_max or not others_in_flight:
            self._fill_until = None
            return False
        if self._fill_until is None:
            self._fill_until = now + self._limits.fill_wait_s
        if now >= self._fill_until:
            self._fill_until = None
            return False
        for mailbox, _ in chosen.shares:
            self._open_mailboxes.ready.push(mailbox)
        return True

    def _flight(
        self,
        shares: list[tuple[Mailbox, Sequence[Attempt]]],
        now: float,
        token_generation: int,
        *,
        lane: bool = False,
    ) -> Flight:
        batch = Batch(
            self._next_batch,
            str(UUID(int=self._rng.getrandbits(128), version=4)),
            tuple(MailboxShare(mailbox.number, attempts) for mailbox, attempts in shares),
            lane,
        )
        self._next_batch += 1
        size = batch.size
        assert 1 <= size <= self._limits.batch_items_max, f"a batch of {size}"
        self._bucket.spend(size)
        self.app_rate.spend(size)
        for _, attempts in shares:
            self.fanout.sent(len(attempts))
        return Flight(batch, shares, now, token_generation, size)
