"""One look at the end of a run: how long it will still take, by how it went so far. All times are in seconds.

The end is the latest of these, and after it come the stragglers (`purgeengine.core.forecast.stragglers`):

1. All rows that are left, at the pace of late, or at the rate that Graph takes from the app, or as the model of the calls says.
2. The mailboxes with most rows left (`purgeengine.core.forecast.mailbox_ends`), each with its wait, its request window and its
   rows, and with the pauses that chance brings.
3. The mailboxes that wait now, and the calls that are late: their rows are sent again after that.

The figure is the median of the end, but at least half of its 95th percentile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from math import log

from purgeengine.core.forecast.bound import coupled_s
from purgeengine.core.forecast.census import WATCHED_MAX, Census
from purgeengine.core.forecast.fault_rates import FaultRates
from purgeengine.core.forecast.mailbox_ends import MailboxEnds, starts_in_s
from purgeengine.core.forecast.pace import PaceMark
from purgeengine.core.forecast.shapes import ShapeMenu
from purgeengine.core.forecast.situation import OpenRows, PastRows, RunSituation, rows_left
from purgeengine.core.forecast.stragglers import HALF, NEARLY_ALL, Delays, RowRepeats, SlowAnswers, tail_s, unlucky_s
from purgeengine.core.limits.concurrency_limit import START
from purgeengine.run_limits import Limits

PACED_FROM_ROWS, PACED_FROM_S = 40, 3.0
"""Settled rows, and seconds, from which their pace says something: two full batches, and a few rounds of calls."""
AGAIN_S = 0.6
"""Seconds before a row is sent again after a fault, as a rule."""
LAST_SHARE = 0.7
"""Mailboxes that need this share of the time of the last one have stragglers when it ends."""
DECIDES_FROM_S = 5.0
"""Seconds left from which it is told that the largest mailbox decides the end."""
HOLDING_SHARE = 0.3
"""The share of lost calls of the last seconds that leave a mailbox no slot. Most rows travel in lanes or in mixed batches then,
which hold one slot of a mailbox."""
LEAST_CERTAIN = 0.5
"""The least share of the 95th percentile that is told."""
ANSWERS_OF_SLOWEST = 500
"""Answers among which the slowest of late was found, at most."""


class RunEnd:
    """One look. ``lately`` is what happened in the last part of the run, ``so_far`` what happened since it began.

    ``census`` has the rows of the open mailboxes; those of mailboxes that let nothing through are left out. ``all_rows`` is what
    became of the rows of all mailboxes.
    """

    def __init__(
        self,
        limits: Limits,
        menu: ShapeMenu,
        census: Census,
        situation: RunSituation,
        all_rows: PastRows,
        lately: PaceMark,
        so_far: PaceMark,
        now: float,
    ) -> None:
        self._limits = limits
        self._menu = menu
        self._situation = situation
        self._lately = lately
        self._now = now
        self._settled = all_rows.settled
        self.call_s = menu.cheapest.connection_s * limits.batch_items_max
        """Seconds of a full call."""
        lane_s = menu.quickest.connection_s * limits.batch_items_max
        self._lane_s = lane_s if situation.kinds.lanes and not menu.quickest.rows else self.call_s
        """Seconds of a full lane, in which the last rows of a large mailbox travel."""
        self._rates = FaultRates.of(all_rows, lately, so_far)
        self._rows_per_call = max(1.0, min(limits.batch_items_max, all_rows.settled / max(1, so_far.answered)))
        self._begins_s = max(0.0, situation.calls_again_at - now)
        self._sizes = self._rows_by_size(census)
        self.rows = sum(self._sizes.values())
        """The rows that are left, without those of mailboxes that let nothing through."""
        self._mailboxes = MailboxEnds(
            limits, menu, census, situation, all_rows, self._rates, self._rows_per_call, self._begins_s, now
        )

    def seconds(self) -> float:
        """Return the seconds until the end of all rows but those of mailboxes that are held up or let nothing through."""
        if not self.rows:
            return 0.0
        return max(self._latest_s(HALF), LEAST_CERTAIN * self._latest_s(NEARLY_ALL))

    def largest_left(self, census: Census, left_s: float) -> int | None:
        """Return the rows left of the largest mailbox, if it decides when the run ends in ``left_s`` seconds; else None.

        It does so if it ends about then, and has half of the rows that are left, or needs twice as long as all rows together would
        at the pace of late. The only mailbox of a run is not named.
        """
        mailbox, left = max(census.largest(), key=lambda largest: largest[1], default=(None, 0))
        rows_seen = self._settled + census.left + self._situation.unread
        if mailbox is None or left_s < DECIDES_FROM_S or rows_seen <= mailbox.rows:
            return None
        end = self._mailboxes.end(mailbox, left)
        ends_s = end.needs_s + end.pauses * self._rates.pause_s
        alone = 2 * left >= self.rows or ends_s >= 2 * self._bulk_s()
        return left if alone and ends_s >= LAST_SHARE * left_s else None

    def held_up(self, longer_than_s: float) -> list[OpenRows]:
        """Return the mailboxes that Graph makes wait again and again, and that would end later at the pace that they had.

        When they end is not known. Other software that uses them may stop at once, or go on for an hour.
        """
        found = []
        for mailbox in self._mailboxes.held_up:
            end = self._mailboxes.end(mailbox, rows_left(mailbox))
            if end.needs_s + end.pauses * self._rates.pause_s > longer_than_s:
                found.append(mailbox)
        return found

    def _latest_s(self, chance: float) -> float:
        """Return the seconds until all have ended, with this chance."""
        rates, call_s = self._rates, self.call_s
        bulk_s = self._bulk_s()
        calls = self.rows / self._rows_per_call
        holds = HOLDING_SHARE * min(calls * rates.lost_share, self.rows * rates.holds_row)
        delays = Delays(holds, self._situation.cooldown_s), Delays(self.rows * rates.waits_row, rates.wait_s)
        ends = [self._begins_s + bulk_s + self._tail_s(chance, self.rows, calls, bulk_s, delays)]
        if self._mailboxes.ends:
            mailboxes = self._mailboxes.ends
            last_s = unlucky_s(chance, [(end.needs_s, end.pauses, end.mailboxes) for end in mailboxes], rates.pause_s)
            late = [end for end in mailboxes if end.needs_s + end.pauses * rates.pause_s >= LAST_SHARE * last_s]
            rows = sum(end.left * end.mailboxes for end in late)
            ends.append(last_s + self._tail_s(chance, rows, rows / self._rows_per_call, last_s, call_s=self._lane_s))
        handled_at = self._situation.handled_at
        waits = [starts_in_s(one, handled_at, self._now) for one in self._situation.waiting if not one.stuck]
        ends.append(max(waits, default=0.0) + call_s)
        for slow in self._situation.in_flight.slow:
            slow_s = slow.overdue_at - self._now + AGAIN_S + call_s
            ends.append(slow_s + self._tail_s(chance, slow.rows, 1.0, call_s))
        return max(ends)

    def _rows_by_size(self, census: Census) -> dict[int, int]:
        """Return the rows by the rows that their mailbox has left. Mailboxes that are not open yet are taken to be small."""
        sizes = Counter(census.rows_by_size)
        for mailbox in islice(census.stuck.values(), WATCHED_MAX):
            left = rows_left(mailbox)
            sizes[census.size_of(mailbox)] -= left
        unread = self._situation.unread
        if unread:
            smallest = min(sizes, default=unread)
            sizes[smallest] += unread
        return {size: rows for size, rows in sizes.items() if rows > 0}

    def _bulk_s(self) -> float:
        """Return the seconds that all rows together need."""
        limits, situation, rates = self._limits, self._situation, self._rates
        # After an outage few calls may be in flight at first. Their number grows by one for each round of answers.
        connections = max(situation.connections, min(START, limits.connections))
        missing = connections - situation.connections
        model_s = rates.sends * max(
            coupled_s(self._sizes, self._menu.hull, connections, limits.mailbox_concurrent_max),
            self.rows / limits.requests_per_s,
        )
        model_s = model_s / rates.works_share + self.call_s * missing * missing / (2 * connections)
        settled, worked_s = self._lately.settled, self._lately.worked_s
        paced = settled >= PACED_FROM_ROWS and worked_s >= PACED_FROM_S
        paced_s = self.rows * worked_s / settled if paced else 0.0
        limited_s = self.rows / situation.app_limit_per_s if situation.app_limit_per_s else 0.0
        return max(model_s, paced_s, limited_s)

    def _tail_s(
        self,
        chance: float,
        rows: int,
        calls: float,
        within_s: float,
        delays: Sequence[Delays] = (),
        call_s: float | None = None,
    ) -> float:
        """Return the seconds of the stragglers among the last ``rows`` rows, which take ``within_s`` seconds without them."""
        rates = self._rates
        call_s = self.call_s if call_s is None else call_s
        again = RowRepeats(rows, rates.again_share, call_s + AGAIN_S)
        lost = RowRepeats(calls, rates.lost_share, rates.lost_after_s + AGAIN_S + call_s)
        excess_s = max(0.0, self._situation.in_flight.slowest_s - self.call_s) / log(ANSWERS_OF_SLOWEST)
        return tail_s(chance, max(within_s, call_s), (again, lost), SlowAnswers(calls, excess_s), delays)
