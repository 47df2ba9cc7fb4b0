"""How a run goes, beside the least time that the model gives it: when it is likely to end, and how close it came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Protocol

from purgeengine.core.forecast.bound import bound_in
from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.shapes import CallKinds, shape_menu
from purgeengine.core.limits.window import Window
from purgeengine.run_limits import Limits

SENDS_OF_A_ROW_MAX = 4.0
"""However much has been refused, no more sendings of a row are foreseen: a bad start is no forecast."""
PACED_FROM_S = 60.0
"""From when on the pace so far says something: before, it is that of the start."""
AGAIN_SHARE = 0.01
"""Rows to be sent again, of those settled, from which waits set the pace; with fewer, the model knows better."""
SETTLED_BEFORE = 100
"""Rows taken to have gone through at once before the first one was sent."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """The least time in which the rows that a run settled could have been, and whether the latencies are those of the run."""

    least_s: float
    timed: bool


class OpenRows(Protocol):
    """What the end of a run depends on in a mailbox that is open: its rows, its limits and its waits."""

    @property
    def rows_in_flight(self) -> int: ...  # noqa: D102
    @property
    def remaining(self) -> int: ...  # noqa: D102
    @property
    def closing(self) -> object | None: ...  # noqa: D102
    @property
    def limit(self) -> int: ...  # noqa: D102
    @property
    def window(self) -> Window: ...  # noqa: D102
    def ready_at(self, now: float) -> float: ...  # noqa: D102


class Eta:
    """Forecasts the end by the times of recent calls, and keeps the hours in which nothing may be sent.

    ``recent`` and ``all_calls`` are told of each answer by whoever made them.
    """

    def __init__(self, limits: Limits, recent: CallTimes, all_calls: CallTimes, now: float) -> None:
        self._limits = limits
        self._recent = recent
        self._all_calls = all_calls
        self._started_at = now
        self._held_s = 0.0
        self._held_since: float | None = None

    def held(self, now: float) -> None:
        """From now on it is not the time to send, as may be said again and again."""
        if self._held_since is None:
            self._held_since = now

    def released(self, now: float) -> None:
        """It is the time to send."""
        self._held_s, self._held_since = self.held_s(now), None

    def held_s(self, now: float) -> float:
        """Seconds in which it was not the time to send."""
        return self._held_s + (0.0 if self._held_since is None else now - self._held_since)

    def closeness(self, settled: Mapping[int, int], kinds: CallKinds) -> Closeness:
        """For a run that settled so many mailboxes with so many rows each, and may send calls of these kinds."""
        menu = shape_menu(self._all_calls, kinds, self._limits)
        return Closeness(bound_in(settled, self._limits, menu).least_s, self._all_calls.timed)

    def ends_at(
        self,
        mailboxes: Iterable[OpenRows],
        unread: int,
        settled: int,
        again: int,
        calls_again_at: float,
        now: float,
        kinds: CallKinds,
    ) -> float:
        """Return when the run is likely to end, in monotonic seconds, if Graph asks for no more waits.

        The end follows from the latency model. Where Graph throttles or loses calls, the end is no sooner than at the pace so
        far, because that pace includes waits like those still to come. Hours in which nothing may be sent are not included.

        ``unread`` counts rows in mailboxes that are not open yet; those mailboxes are small. Beside the ``settled`` rows,
        ``again`` rows were refused as too fast or had no answer, and other rows will fare likewise. Nothing leaves before
        ``calls_again_at``. ``kinds`` are the calls that the run may send.
        """
        limits = self._limits
        found = [(mailbox, left) for mailbox in mailboxes if (left := _left(mailbox))]
        sizes = Counter(left for _, left in found)
        if not sizes and not unread:
            return now
        sends = min(SENDS_OF_A_ROW_MAX, 1.0 + again / (SETTLED_BEFORE + settled))
        menu = shape_menu(self._recent, kinds, limits)
        if unread:
            smallest = min(sizes, default=unread)
            sizes[smallest] += unread // smallest
            sizes[unread % smallest] += 1
        least = bound_in(sizes, limits, menu)
        calls_again_at, row_s = max(now, calls_again_at), menu.quickest.slot_s
        last_at = max(
            (_ends_at(mailbox, left, row_s, sends, calls_again_at, now) for mailbox, left in found), default=now
        )
        paced_at = now + (self._at_the_pace_so_far_s(sizes, settled, now) if again > AGAIN_SHARE * settled else 0.0)
        return max(last_at, paced_at, calls_again_at + sends * max(least.coupled_s, least.app_s))

    def _at_the_pace_so_far_s(self, sizes: Mapping[int, int], settled: int, now: float) -> float:
        spent_s = now - self._started_at - self.held_s(now)
        if spent_s < PACED_FROM_S or not settled:
            return 0.0
        return spent_s * sum(rows * mailboxes for rows, mailboxes in sizes.items()) / settled


def _left(mailbox: OpenRows) -> int:
    """Rows that need an answer; those of a mailbox that is closing need no more than they have asked for."""
    return mailbox.rows_in_flight + (mailbox.remaining if mailbox.closing is None else 0)


def _ends_at(mailbox: OpenRows, left: int, row_s: float, sends: float, calls_again_at: float, now: float) -> float:
    """When a mailbox may be done at the soonest, with the waits that it has been told and what its window has room for."""
    ready_at = mailbox.ready_at(now)
    starts_at = max(calls_again_at, ready_at) if ready_at < inf else calls_again_at
    by_slots = starts_at + sends * left * row_s / mailbox.limit
    return max(by_slots, mailbox.window.carries_at(round(sends * mailbox.remaining), now) + row_s)
