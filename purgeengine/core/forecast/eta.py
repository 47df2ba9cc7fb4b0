"""During a run: when it is likely to end, and how close it came to the least possible time."""

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
"""The most sendings of a row that a forecast assumes, however much was refused: a bad start is no forecast."""
PACED_FROM_S = 60.0
"""Seconds after which the pace so far counts. Before, it is only the pace of the start."""
AGAIN_SHARE = 0.01
"""The share of settled rows that must have been refused or lost before the pace so far counts. Below it the model is better."""
SETTLED_BEFORE = 100
"""Rows that are assumed to have gone through at once before the first row was sent."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close a run came to the least possible time.

    ``least_s`` is the least time in seconds in which the settled rows could have been settled. ``timed`` says whether that time
    follows from the latencies of this run, or only from assumed ones.
    """

    least_s: float
    timed: bool


class OpenRows(Protocol):
    """What the end of a run depends on in an open mailbox: its rows, its limits and its waits."""

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
    """Forecasts the end by the times of recent calls, and counts the time in which nothing may be sent.

    The owner of ``recent`` and ``all_calls`` tells both of each answer. All instants are monotonic seconds.
    """

    def __init__(self, limits: Limits, recent: CallTimes, all_calls: CallTimes, now: float) -> None:
        self._limits = limits
        self._recent = recent
        self._all_calls = all_calls
        self._started_at = now
        self._held_s = 0.0
        self._held_since: float | None = None

    def held(self, now: float) -> None:
        """Record that sending is not allowed from ``now`` on. Repeated calls change nothing."""
        if self._held_since is None:
            self._held_since = now

    def released(self, now: float) -> None:
        """Record that sending is allowed again from ``now`` on."""
        self._held_s, self._held_since = self.held_s(now), None

    def held_s(self, now: float) -> float:
        """Return the seconds in which sending was not allowed until ``now``."""
        return self._held_s + (0.0 if self._held_since is None else now - self._held_since)

    def closeness(self, settled: Mapping[int, int], kinds: CallKinds) -> Closeness:
        """Return the closeness for a run that settled the rows in ``settled``, with calls of these ``kinds``.

        ``settled`` is the number of mailboxes for each number of settled rows.
        """
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
            if rest := unread % smallest:
                sizes[rest] += 1
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
    """Return the rows of a mailbox that still need an answer. A mailbox that is closing needs answers for rows in flight only."""
    return mailbox.rows_in_flight + (mailbox.remaining if mailbox.closing is None else 0)


def _ends_at(mailbox: OpenRows, left: int, row_s: float, sends: float, calls_again_at: float, now: float) -> float:
    """Return when a mailbox may be done at the earliest, by its waits, its slots and its request window."""
    ready_at = mailbox.ready_at(now)
    starts_at = max(calls_again_at, ready_at) if ready_at < inf else calls_again_at
    by_slots = starts_at + sends * left * row_s / mailbox.limit
    return max(by_slots, mailbox.window.carries_at(round(sends * mailbox.remaining), now) + row_s)
