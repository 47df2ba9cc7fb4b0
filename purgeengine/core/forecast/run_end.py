"""One look at the end of a run: how long it will still take, by how it went so far. All times are in seconds.

The end is the latest of these, and after it come the stragglers (`purgeengine.core.forecast.stragglers`):

1. All rows that are left, at the pace of late, or at the rate that Graph takes from the app, or as the model of the calls says.
2. Each open mailbox: its wait, its request window, and its rows that are left, at the pace that it had or that others like it had.
3. The mailbox that has most bad luck, if pauses hit mailboxes by chance.
4. Each call that is late: its rows are sent again once it is given up.

The figure is the time that is as likely too short as too long, but never less than half of the time that is hardly ever exceeded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf, log
from typing import NamedTuple

from purgeengine.core.forecast.bound import coupled_s
from purgeengine.core.forecast.pace import PaceMark
from purgeengine.core.forecast.shapes import ShapeMenu
from purgeengine.core.forecast.situation import OpenRows, PastRows, RunSituation, rows_left
from purgeengine.core.forecast.stragglers import HALF, NEARLY_ALL, RowRepeats, SlowAnswers, tail_s, unlucky_s
from purgeengine.core.limits.concurrency_limit import START
from purgeengine.run_limits import Limits

SENDS_OF_A_ROW_MAX = 4.0
"""The most sendings of a row that a forecast assumes, however much was refused: a bad start is no forecast."""
SETTLED_BEFORE = 100
"""Rows that are assumed to have gone through at once before the first row was sent."""
CALLS_BEFORE = 50
"""Calls that are assumed to have been answered before the first call was sent."""
PACED_FROM_ROWS, PACED_FROM_S = 40, 3.0
"""Settled rows, and seconds, from which their pace says something: two full batches, and a few rounds of calls."""
SIZES_MAX = 12
"""Sizes of mailboxes that are told apart where chance is reckoned with."""
SMALL_ROWS = 100
"""The most rows of a mailbox that is served in the cheapest calls for most of the run. Larger ones travel in the quickest."""
ROWS_TO_TRUST = 60.0
"""Settled rows after which the time that a mailbox needed counts as much as that of all mailboxes, or of the model."""
ROWS_OF_PAUSES = 120.0
"""The same for its pauses. They are few and long, so that chance is larger."""
ROWS_IF_PACED = 1_000.0
"""The same for time in flight where the service runs a batch all at once. There the schedule lets mailboxes travel no faster than
they must, so that what they needed says little about what they can."""
ROWS_TO_COUNT = 10.0
"""Settled rows of a mailbox after which half of its time counts. Before, one lost call looks like a slow mailbox."""
OWN_WAITS, TIMES_USUAL = 2, 3.0
"""A mailbox has a cause of its own if Graph made it wait more often than this, and more often than this many times the usual."""
PAUSED_SHARE = 0.4
"""The share of its busy time from which such a mailbox is held up: chance decides when it ends, and not its pace."""
SETTLED_TO_COMPARE = 100
"""Settled rows of other mailboxes from which they say how often Graph makes a mailbox wait."""
OWN_ROWS = 5.0
"""Settled rows after which the pace of a mailbox with a cause of its own counts as much as that of all mailboxes."""
WAITED_SHARE_MAX = 0.9
"""The largest share of waits of the whole app that is believed, because a forecast divides by the rest."""
WORKED_BEFORE_S, WAITED_BEFORE_S = 10.0, 0.5
"""Seconds of work that are assumed before the run, and seconds of waits of the whole app among them. Without any, a figure of the
first seconds is too short wherever Graph asks for waits later."""
AGAIN_S = 0.6
"""Seconds before a row is sent again after a fault, as a rule."""
LEAST_CERTAIN = 0.5
"""The least share of the time that is hardly ever exceeded."""
ANSWERS_OF_SLOWEST = 500
"""Answers among which the slowest of late was found, at most."""


class Fellow(NamedTuple):
    """An open mailbox, the rows that it has left, and what each of them costs it: seconds in flight, and seconds of pauses."""

    mailbox: OpenRows
    left: int
    flight_row_s: float
    pause_row_s: float


class RunEnd:
    """One look. ``lately`` is what happened in the last part of the run, ``so_far`` what happened since it began.

    ``open_rows`` are the open mailboxes with the rows that each has left. ``all_rows`` is what became of the rows of all mailboxes.
    """

    def __init__(
        self,
        limits: Limits,
        menu: ShapeMenu,
        open_rows: Sequence[tuple[OpenRows, int]],
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
        self.call_s = menu.cheapest.connection_s * limits.batch_items_max
        """Seconds of a full call."""
        again = lately.returned / (SETTLED_BEFORE + lately.settled + lately.returned)
        self._again_share = min(1.0 - 1.0 / SENDS_OF_A_ROW_MAX, again)
        self._sends = 1.0 / (1.0 - self._again_share)
        self._lost_share = lately.lost / (CALLS_BEFORE + lately.answered + lately.lost)
        self._lost_after_s = lately.lost_after_s / lately.lost if lately.lost else 0.0
        self._slowed = 1.0 - min(
            WAITED_SHARE_MAX, (WAITED_BEFORE_S + so_far.waited_s) / (WORKED_BEFORE_S + so_far.worked_s)
        )
        """The share of the time in which the whole app does not wait."""
        self._pause_row_s = max(0.0, lately.paused_s) / (SETTLED_BEFORE + lately.settled)
        self._pause_s = min(_pause_s(lately), _pause_s(so_far))
        """Seconds of a pause. Long ones weigh more, because they decide. A pause that began before the last part of the run counts
        there with few seconds and its whole square, so that the whole run sets a bound."""
        self._settled = all_rows.settled
        self._waits_per_row = all_rows.waits / (SETTLED_BEFORE + all_rows.settled)
        self._rows_per_call = max(1.0, min(limits.batch_items_max, all_rows.settled / max(1, so_far.answered)))
        self._rows = situation.unread + sum(left for _, left in open_rows)
        self._begins_s = max(0.0, situation.calls_again_at - now)
        fellows = [Fellow(mailbox, left, *self._row_s(mailbox)) for mailbox, left in open_rows]
        self._held_up = [fellow for fellow in fellows if self._is_held_up(fellow.mailbox)]
        held_up = {id(fellow.mailbox) for fellow in self._held_up}
        self._fellows = [fellow for fellow in fellows if id(fellow.mailbox) not in held_up] if held_up else fellows
        self._sizes = self._rows_by_size(fellows)

    def seconds(self) -> float:
        """Return the seconds until the end of all rows but those of mailboxes that are held up."""
        bulk_s = self._bulk_s()
        ends = [(self._begins_s + bulk_s, self._rows, bulk_s)]
        if self._fellows:
            ends.append(max(self._own_end(fellow) for fellow in self._fellows))
        for slow in self._situation.in_flight.slow:
            ends.append((slow.overdue_at - self._now + AGAIN_S + self.call_s, slow.rows, self.call_s))
        alike = self._alike()
        half_s, nearly_s = self._latest_s(HALF, ends, alike), self._latest_s(NEARLY_ALL, ends, alike)
        return max(half_s, LEAST_CERTAIN * nearly_s)

    def held_up(self, longer_than_s: float) -> list[OpenRows]:
        """Return the mailboxes that Graph makes wait again and again, and that would end later at the pace that they had.

        When they end is not known. Other software that uses them may stop at once, or go on for an hour.
        """
        return [fellow.mailbox for fellow in self._held_up if self._own_end(fellow)[0] > longer_than_s]

    def _latest_s(
        self, chance: float, ends: Sequence[tuple[float, int, float]], alike: Sequence[tuple[float, float, int]]
    ) -> float:
        """Return the seconds until all have ended, with this chance."""
        unlucky_end_s = self._begins_s + unlucky_s(chance, alike, self._pause_s) / self._slowed
        return max(unlucky_end_s, *(end_s + self._tail_s(chance, rows, within_s) for end_s, rows, within_s in ends))

    def _alike(self) -> list[tuple[float, float, int]]:
        """Return the mailboxes for `unlucky_s`, those of about the same size together."""
        if not self._fellows or self._pause_s <= 0.0:
            return []
        step = max(1, -(-max(fellow.left for fellow in self._fellows) // SIZES_MAX))
        sums: dict[int, tuple[float, float, int]] = {}
        for _, left, flight_row_s, pause_row_s in self._fellows:
            needs_s, pauses_s, count = sums.get(left // step, (0.0, 0.0, 0))
            sums[left // step] = (needs_s + left * flight_row_s, pauses_s + left * pause_row_s, count + 1)
        return [
            (needs_s / count, pauses_s / self._pause_s / count, count) for needs_s, pauses_s, count in sums.values()
        ]

    def _has_own_cause(self, mailbox: OpenRows) -> bool:
        """Return True if Graph made the mailbox wait much more often than others."""
        done = mailbox.rows - mailbox.remaining - mailbox.rows_in_flight / 2
        return mailbox.busy.waits > OWN_WAITS + TIMES_USUAL * done * self._waits_per_row

    def _is_held_up(self, mailbox: OpenRows) -> bool:
        """Return True if waits that other mailboxes do not have take up much of its time."""
        busy = mailbox.busy
        if busy.waits <= OWN_WAITS or not self._has_own_cause(mailbox):
            return False
        others_settled = self._settled - (mailbox.rows - rows_left(mailbox))
        return others_settled >= SETTLED_TO_COMPARE and busy.paused_s(self._now) > PAUSED_SHARE * busy.busy_s(self._now)

    def _row_s(self, mailbox: OpenRows) -> tuple[float, float]:
        """Return the seconds of each row of a mailbox in flight, and in pauses."""
        busy = mailbox.busy
        done = mailbox.rows - mailbox.remaining - mailbox.rows_in_flight / 2
        paused_s = busy.paused_s(self._now)
        flown_s = busy.busy_s(self._now) - paused_s
        quickest, cheapest = self._menu.quickest.slot_s, self._menu.cheapest.slot_s
        slot_s = quickest if mailbox.rows > SMALL_ROWS else (quickest + cheapest) / 2
        flight_row_s, pause_row_s = slot_s * self._sends / mailbox.limit, self._pause_row_s
        if busy.waits > OWN_WAITS and self._has_own_cause(mailbox):
            trust = pauses_trust = OWN_ROWS
        else:
            trust = ROWS_IF_PACED if self._situation.kinds.dispatch == "all" else ROWS_TO_TRUST
            pauses_trust = ROWS_OF_PAUSES
            counts = done / (done + ROWS_TO_COUNT)
            flown_s, paused_s = counts * flown_s, counts * paused_s
        return (
            (trust * flight_row_s + flown_s) / (trust + done),
            (pauses_trust * pause_row_s + paused_s) / (pauses_trust + done),
        )

    def _rows_by_size(self, fellows: Sequence[Fellow]) -> dict[int, int]:
        """Return the rows by the rows that their mailbox has left. Mailboxes that are not open yet are taken to be small."""
        sizes = Counter([fellow.left for fellow in fellows])
        unread = self._situation.unread
        if unread:
            smallest = min(sizes, default=unread)
            sizes[smallest] += unread // smallest
            sizes[unread % smallest] += 1
        del sizes[0]
        return {size: size * count for size, count in sizes.items()}

    def _bulk_s(self) -> float:
        """Return the seconds that all rows together need."""
        limits, situation = self._limits, self._situation
        # After an outage few calls may be in flight at first. Their number grows by one for each round of answers.
        connections = max(situation.connections, min(START, limits.connections))
        missing = connections - situation.connections
        model_s = self._sends * max(
            coupled_s(self._sizes, self._menu.hull, connections, limits.mailbox_concurrent_max),
            self._rows / limits.requests_per_s,
        )
        model_s = model_s / self._slowed + self.call_s * missing * missing / (2 * connections)
        settled, worked_s = self._lately.settled, self._lately.worked_s
        paced = settled >= PACED_FROM_ROWS and worked_s >= PACED_FROM_S
        paced_s = self._rows * worked_s / settled if paced else 0.0
        limited_s = self._rows / situation.app_limit_per_s if situation.app_limit_per_s else 0.0
        return max(model_s, paced_s, limited_s)

    def _own_end(self, fellow: Fellow) -> tuple[float, int, float]:
        """Return the seconds until a mailbox is done, its rows, and the seconds that these take it."""
        mailbox, left, flight_row_s, pause_row_s = fellow
        now, handled_at = self._now, self._situation.handled_at
        rows_s = left * (flight_row_s + pause_row_s) / self._slowed
        ready_at = mailbox.ready_at(handled_at, forget=False)
        begins_s = max(self._begins_s, ready_at - now if ready_at < inf else 0.0)
        window_at = mailbox.window.carries_at(round(self._sends * mailbox.remaining), handled_at)
        return max(begins_s + rows_s, window_at - now + self._menu.item_s), left, rows_s

    def _tail_s(self, chance: float, rows: int, within_s: float) -> float:
        """Return the seconds of the stragglers among the last ``rows`` rows, which take ``within_s`` seconds without them."""
        calls = rows / self._rows_per_call
        again = RowRepeats(rows, self._again_share, self.call_s + AGAIN_S)
        lost = RowRepeats(calls, self._lost_share, self._lost_after_s + AGAIN_S + self.call_s)
        excess_s = max(0.0, self._situation.in_flight.slowest_s - self.call_s) / log(ANSWERS_OF_SLOWEST)
        late_s = tail_s(chance, max(within_s, self.call_s), (again, lost), SlowAnswers(calls, excess_s))
        return late_s / self._slowed


def _pause_s(mark: PaceMark) -> float:
    """Return the seconds of a pause, with long pauses weighing more."""
    return mark.pauses_squared / mark.paused_s if mark.paused_s > 0.0 else 0.0
