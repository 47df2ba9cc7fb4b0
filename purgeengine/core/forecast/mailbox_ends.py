"""When the mailboxes end that have most rows left, by the pace that each had and that all had. All times are in seconds.

What a single mailbox needed so far is mostly chance: it had a lost call, or it had none. If the slowest of many were believed,
every figure would be too long. So its own pace counts the more, the more rows it has settled, and its own pauses count only if
Graph makes it wait so often that chance does not explain it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from purgeengine.core.forecast.census import LARGEST_MAX, Census
from purgeengine.core.forecast.fault_rates import FaultRates
from purgeengine.core.forecast.shapes import ShapeMenu
from purgeengine.core.forecast.situation import OpenRows, PastRows, RunSituation, rows_left
from purgeengine.core.forecast.stragglers import more_than
from purgeengine.run_limits import Limits

SMALL_ROWS = 100
"""The most rows of a mailbox that is served in the cheapest calls for most of the run. Larger ones travel in the quickest."""
LARGE_SHARE = 0.5
"""Mailboxes with this share of the rows that the largest has left travel as it does."""
ROWS_TO_TRUST = 60.0
"""Settled rows of large mailboxes after which their pace counts as much as that of the model."""
PACED_FROM = 4.0
"""Slots of large mailboxes, as times the connections, from which these cannot all be used. Where the service runs a batch all at
once, the schedule then lets mailboxes travel no faster than they must, and what they needed says little."""
ROWS_OF_LARGE = 300.0
"""Settled rows of large mailboxes after which their pauses count as much as those of all mailboxes."""
OWN_ROWS_TO_TRUST = 300.0
"""Settled rows after which the time that a mailbox needed counts as much as that of all large ones."""
ROWS_IF_PACED = 1_000.0
"""The same where the service runs a batch all at once. There the schedule lets mailboxes travel no faster than they must, so that
what they needed says little about what they can."""
ROWS_OF_PAUSES = 2_000.0
"""The same for its pauses. They are few and long, so that nearly all of the difference is chance."""
ROWS_TO_COUNT = 10.0
"""Settled rows of a mailbox after which half of its time counts. Before, one lost call looks like a slow mailbox."""
CHANCE_OF_WAITS = 2e-3
"""A mailbox has a cause of its own if others would be made to wait so often with this probability. There may be thousands."""
WAITS_BEFORE, ROWS_BEFORE = 1.0, 50.0
"""Waits, and settled rows of other mailboxes, that are assumed before the run."""
PAUSED_SHARE = 0.4
"""The share of its busy time from which such a mailbox is held up: chance decides when it ends, and not its pace."""
SETTLED_TO_COMPARE = 100
"""Settled rows of other mailboxes from which they say how often Graph makes a mailbox wait."""
OWN_ROWS = 5.0
"""Settled rows after which the pace of a mailbox with a cause of its own counts as much as that of all mailboxes."""


class MailboxEnd(NamedTuple):
    """When an open mailbox is done, or several of them that are alike."""

    left: int
    needs_s: float
    """Seconds until it is done if no further pauses come."""
    pauses: float
    """The pauses that it will have on average."""
    mailboxes: int = 1


class MailboxEnds:
    """One look at the open mailboxes. ``begins_s`` is in how many seconds calls may leave."""

    def __init__(
        self,
        limits: Limits,
        menu: ShapeMenu,
        census: Census,
        situation: RunSituation,
        all_rows: PastRows,
        rates: FaultRates,
        rows_per_call: float,
        begins_s: float,
        now: float,
    ) -> None:
        self._slots = limits.mailbox_concurrent_max
        self._menu = menu
        self._situation = situation
        self._all_rows = all_rows
        self._rates = rates
        self._rows_per_call = rows_per_call
        self._begins_s = begins_s
        self._now = now
        own_cause = {mailbox.number: mailbox for mailbox, _ in census.waited() if self._has_own_cause(mailbox)}
        self._own_cause = own_cause
        largest = list(census.largest())
        self._large_row_s, self._large_pause_row_s = self._row_s_of_large(largest)
        self.held_up = [mailbox for mailbox in own_cause.values() if not mailbox.stuck and self._is_held_up(mailbox)]
        """The mailboxes whose end chance decides, because Graph makes them wait again and again."""
        apart = {mailbox.number for mailbox in self.held_up}
        asked = {mailbox.number: (mailbox, left) for mailbox, left in largest}
        asked |= {number: (one, rows_left(one)) for number, one in own_cause.items() if not one.stuck}
        self.ends = [self.end(mailbox, left) for number, (mailbox, left) in asked.items() if number not in apart]
        self.ends += self._others(census, asked)

    def end(self, mailbox: OpenRows, left: int) -> MailboxEnd:
        """Return when a mailbox is done that has so many rows left."""
        rates, now, handled_at = self._rates, self._now, self._situation.handled_at
        flight_row_s, pause_row_s = self._row_s(mailbox)
        begins_s = max(self._begins_s, starts_in_s(mailbox, handled_at, now))
        window_at = mailbox.window.carries_at(round(rates.sends * mailbox.remaining), handled_at)
        needs_s = max(begins_s + left * flight_row_s, window_at - now + self._menu.item_s)
        return MailboxEnd(left, needs_s, left * pause_row_s / rates.pause_s if rates.pause_s > 0.0 else 0.0)

    def _others(self, census: Census, asked: dict[int, tuple[OpenRows, int]]) -> list[MailboxEnd]:
        """Return the mailboxes that were not asked, those of about the same size together."""
        if len(asked) < LARGEST_MAX:
            return []
        rates, found = self._rates, []
        least = min(left for _, left in asked.values())
        for size, rows in census.rows_by_size.items():
            if size <= least:
                count = census.mailboxes_of(size)
                mean = rows / count
                needs_s = self._begins_s + mean * self._model_row_s(size <= SMALL_ROWS)
                pauses = mean * rates.pause_row_s / rates.pause_s if rates.pause_s > 0.0 else 0.0
                found.append(MailboxEnd(size, needs_s, pauses, count))
        return found

    def _has_own_cause(self, mailbox: OpenRows) -> bool:
        """Return True if Graph made the mailbox wait so much more often than others that chance does not explain it."""
        done, waits = _done(mailbox), mailbox.busy.waits
        others_waits = WAITS_BEFORE + self._all_rows.waits - waits
        others_rows = ROWS_BEFORE + self._all_rows.settled - done
        return more_than(waits - 1, done * others_waits / max(ROWS_BEFORE, others_rows)) < CHANCE_OF_WAITS

    def _is_held_up(self, mailbox: OpenRows) -> bool:
        """Return True if waits that other mailboxes do not have take up much of its time."""
        busy = mailbox.busy
        others_settled = self._all_rows.settled - (mailbox.rows - rows_left(mailbox))
        return others_settled >= SETTLED_TO_COMPARE and busy.paused_s(self._now) > PAUSED_SHARE * busy.busy_s(self._now)

    def _model_row_s(self, small: bool, limit: int | None = None) -> float:
        """Return the seconds in flight of each row, as the model of the calls says, and those of waits of the whole app.

        The time that a mailbox was busy holds such waits already, because most of its calls go on meanwhile.
        """
        quickest, cheapest = self._menu.quickest.slot_s, self._menu.cheapest.slot_s
        slot_s = (quickest + cheapest) / 2 if small else quickest
        return slot_s * self._rates.sends / (limit or self._slots) / self._rates.works_share

    def _row_s_of_large(self, largest: Sequence[tuple[OpenRows, int]]) -> tuple[float, float]:
        """Return the seconds of each row of the largest mailboxes in flight, with all slots free, and in pauses.

        They travel in lanes for much of the run, so that a lost call leaves them slots. They pause less than others.
        """
        now, large = self._now, 0
        done = flown_s = paused_s = 0.0
        least = LARGE_SHARE * max([left for _, left in largest], default=0)
        for mailbox, left in largest:
            if mailbox.rows > SMALL_ROWS and left >= least and mailbox.number not in self._own_cause:
                large += 1
                done += _done(mailbox)
                paused_s += mailbox.busy.paused_s(now)
                flown_s += mailbox.busy.busy_s(now) - mailbox.busy.paused_s(now)
        pause_row_s = (ROWS_OF_LARGE * self._rates.pause_row_s + paused_s) / (ROWS_OF_LARGE + done)
        model_row_s = self._model_row_s(small=False) + self._held_row_s()
        if large * self._slots > PACED_FROM * self._situation.connections and self._situation.kinds.dispatch == "all":
            return model_row_s, pause_row_s
        return max(model_row_s, (ROWS_TO_TRUST * model_row_s + flown_s) / (ROWS_TO_TRUST + done)), pause_row_s

    def _held_row_s(self) -> float:
        """Return the seconds of each row that a mailbox loses because lost lanes hold one of its slots each."""
        if not self._situation.kinds.lanes:
            return 0.0
        lost_lanes_row = self._rates.lost_share / self._rows_per_call
        return lost_lanes_row * self._situation.lane_cooldown_s / self._slots

    def _row_s(self, mailbox: OpenRows) -> tuple[float, float]:
        """Return the seconds of each row of a mailbox in flight, and in pauses."""
        busy, done = mailbox.busy, _done(mailbox)
        paused_s = busy.paused_s(self._now)
        flown_s = busy.busy_s(self._now) - paused_s
        small = mailbox.rows <= SMALL_ROWS
        flight_row_s, pause_row_s = self._model_row_s(small, mailbox.limit), self._rates.pause_row_s
        if not small:
            pause_row_s = self._large_pause_row_s
            flight_row_s = self._large_row_s * self._slots / mailbox.limit
        if mailbox.number in self._own_cause:
            trust = pauses_trust = OWN_ROWS
        else:
            trust = ROWS_IF_PACED if self._situation.kinds.dispatch == "all" else OWN_ROWS_TO_TRUST
            pauses_trust = ROWS_OF_PAUSES
            counts = done / (done + ROWS_TO_COUNT)
            flown_s, paused_s = counts * flown_s, counts * paused_s
        return (
            (trust * flight_row_s + flown_s) / (trust + done),
            (pauses_trust * pause_row_s + paused_s) / (pauses_trust + done),
        )


def starts_in_s(mailbox: OpenRows, handled_at: float, now: float) -> float:
    """Return for how many seconds the mailbox can send nothing; 0 or less if it works already.

    While lost calls hold some of its slots and the others work, it gets on, and loses the share of the time that they hold.
    """
    ready_at = mailbox.ready_at(handled_at, forget=False)
    if not mailbox.rows_in_flight:
        return ready_at - now if ready_at < inf else 0.0
    held = mailbox.slots_held(handled_at)
    held_s = (ready_at - now) * held / mailbox.limit if held and ready_at < inf else 0.0
    return max(mailbox.blocked_until - now, held_s)


def _done(mailbox: OpenRows) -> float:
    """Return the rows of a mailbox that took time so far. Those in flight are half done."""
    return mailbox.rows - mailbox.remaining - mailbox.rows_in_flight / 2
