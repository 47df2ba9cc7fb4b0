"""One look at the end of a run: a figure, or what is waited for where mailboxes or answers decide whose end nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import inf

from purgeengine.core.forecast.census import WATCHED_MAX, Census
from purgeengine.core.forecast.run_end import RunEnd
from purgeengine.core.forecast.situation import OpenRows, RunSituation, rows_left
from purgeengine.core.forecast.time_left import Awaited, TimeLeft

LONGER = 4.0
"""Times the least time of mailboxes that let nothing through from which the other mailboxes decide when the run ends. Such a
mailbox may need much longer than the least time."""


def outlook(end: RunEnd, census: Census, situation: RunSituation, quickest_row_s: float, now: float) -> TimeLeft:
    """Return the time left at ``now`` (monotonic seconds). ``quickest_row_s``: the fewest seconds of a row of one mailbox."""
    left_s = end.seconds()
    awaited, count = end.held_up(left_s), 0
    if census.stuck:
        stuck = list(islice(census.stuck.values(), WATCHED_MAX))
        most = max(rows_left(mailbox) for mailbox in stuck)
        least_s = _next_try_s(stuck, situation, now) + end.call_s + most * quickest_row_s
        if left_s <= LONGER * least_s:
            awaited += stuck
            count = len(census.stuck) - len(stuck)
    if awaited:
        return TimeLeft(None, Awaited.MAILBOXES, len(awaited) + count, _next_try_s(awaited, situation, now))
    in_flight = situation.in_flight
    if in_flight.slow and not situation.unread and census.left <= situation.in_flight.rows:
        return TimeLeft(None, Awaited.ANSWERS, in_flight.calls, max(0.0, in_flight.overdue_at - now))
    return _idle(left_s, census, situation, now) or TimeLeft(left_s, largest_left=end.largest_left(census, left_s))


def _idle(left_s: float, census: Census, situation: RunSituation, now: float) -> TimeLeft | None:
    """Return the time left with what is waited for, if nothing is in flight and nothing can be sent now; else None."""
    if situation.in_flight.calls or situation.held:
        return None
    if situation.calls_again_at > now:
        return TimeLeft(left_s, Awaited.RETRY_AFTER, for_s=situation.calls_again_at - now)
    if situation.ready or not situation.waiting:
        return None
    held = sum(mailbox.slots_held(now) >= mailbox.limit for mailbox in situation.waiting)
    awaited = Awaited.LOST_CALLS if held else Awaited.MAILBOXES
    return TimeLeft(left_s, awaited, held or situation.waits, _next_try_s(situation.waiting, situation, now))


def _next_try_s(mailboxes: Iterable[OpenRows], situation: RunSituation, now: float) -> float:
    """Return the seconds until the first of these mailboxes is tried again; 0 if one is being tried."""
    ready_at = [mailbox.ready_at(situation.handled_at, forget=False) for mailbox in mailboxes]
    return max(0.0, min(at if at < inf else now for at in ready_at) - now)
