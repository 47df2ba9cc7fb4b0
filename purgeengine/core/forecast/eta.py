"""During a run: how long it will still take, and how close it came to the least possible time. All times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from purgeengine.core.forecast.bound import bound_in
from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.census import Census
from purgeengine.core.forecast.outlook import outlook
from purgeengine.core.forecast.pace import Pace, PaceMark
from purgeengine.core.forecast.run_end import RunEnd
from purgeengine.core.forecast.shapes import CallKinds, shape_menu
from purgeengine.core.forecast.situation import PastRows, RunSituation
from purgeengine.core.forecast.time_left import NOTHING_LEFT, Awaited, TimeLeft
from purgeengine.run_limits import Limits


@dataclass(frozen=True, slots=True)
class Closeness:
    """How close a run came to the least possible time.

    ``least_s`` is the least time in seconds in which the settled rows could have been settled. ``timed`` says whether that time
    follows from the latencies of this run, or only from assumed ones.
    """

    least_s: float
    timed: bool


class Eta:
    """Forecasts the end by how the run went so far, and counts the time in which nothing may be sent.

    The owner of ``recent`` and ``all_calls`` tells both of each answer. All instants are monotonic seconds.
    """

    def __init__(self, limits: Limits, recent: CallTimes, all_calls: CallTimes, now: float) -> None:
        self._limits = limits
        self._recent = recent
        self._all_calls = all_calls
        self.pace = Pace(now)
        """How fast rows were settled of late."""
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

    def usual_s(self, kinds: CallKinds) -> dict[bool, float]:
        """Return how many seconds a full call usually takes, by the times of recent calls.

        The key tells which call: True for a lane, False for a batch that is no lane.
        """
        items_max = self._limits.batch_items_max
        return {
            False: self._recent.batch_s(items_max, kinds.dispatch),
            True: self._recent.lane_row_s(kinds.dispatch) * items_max,
        }

    def closeness(self, settled: Mapping[int, int], kinds: CallKinds) -> Closeness:
        """Return the closeness for a run that settled the rows in ``settled``, with calls of these ``kinds``.

        ``settled`` is the number of mailboxes for each number of settled rows.
        """
        menu = shape_menu(self._all_calls, kinds, self._limits)
        return Closeness(bound_in(settled, self._limits, menu).least_s, self._all_calls.timed)

    def time_left(self, census: Census, situation: RunSituation, now: float) -> TimeLeft:
        """Return the time left at ``now``. Hours in which nothing may be sent are not included."""
        if not census.left and not situation.unread:
            return NOTHING_LEFT
        all_rows = census.past(now)
        here = self._mark(situation, all_rows, now)
        unknown = _unknown(situation, now)
        if unknown is not None:
            if unknown.awaited is Awaited.GRAPH:
                self.pace.begin_anew(here)
            return unknown
        menu = shape_menu(self._recent, situation.kinds, self._limits)
        end = RunEnd(self._limits, menu, census, situation, all_rows, self.pace.lately(here), here, now)
        return outlook(end, census, situation, menu.quickest.slot_s, now)

    def _mark(self, situation: RunSituation, all_rows: PastRows, now: float) -> PaceMark:
        """Return how the run stands, for its pace."""
        waited_s = situation.waited_s - max(0.0, situation.calls_again_at - now)
        return PaceMark(
            self.pace.worked_s(now),
            all_rows.settled,
            all_rows.returned,
            *situation.calls,
            max(0.0, waited_s),
            all_rows.paused_s,
            all_rows.pauses_squared,
        )


def _unknown(situation: RunSituation, now: float) -> TimeLeft | None:
    """Return what is waited for, if the whole run waits for something that has no known end."""
    in_flight = situation.in_flight
    overdue_s = max(0.0, in_flight.overdue_at - now) if in_flight.calls else None
    if situation.stopping:
        return TimeLeft(None, Awaited.ANSWERS, in_flight.calls, overdue_s)
    if situation.held:
        return None if situation.calls.answered else TimeLeft(None, Awaited.HOURS)
    if situation.token_awaited:
        return TimeLeft(None, Awaited.TOKEN)
    if situation.failing:
        return TimeLeft(None, Awaited.GRAPH, for_s=max(0.0, situation.calls_again_at - now))
    if not situation.calls.answered and situation.calls_again_at <= now:
        return TimeLeft(None, Awaited.FIRST_ANSWERS, for_s=overdue_s)
    return None
