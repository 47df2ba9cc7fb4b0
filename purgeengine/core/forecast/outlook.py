"""One look at the end of a run: a figure, or what is waited for where mailboxes or answers decide whose end nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from purgeengine.core.forecast.pace import PaceMark
from purgeengine.core.forecast.run_end import RunEnd
from purgeengine.core.forecast.shapes import ShapeMenu
from purgeengine.core.forecast.situation import OpenRows, PastRows, RunSituation
from purgeengine.core.forecast.time_left import Awaited, TimeLeft
from purgeengine.run_limits import Limits

LONGER = 4.0
"""Times the least time of mailboxes that let nothing through from which the other mailboxes decide when the run ends. Such a
mailbox may need much longer than the least time."""


def outlook(
    limits: Limits,
    menu: ShapeMenu,
    open_rows: Sequence[tuple[OpenRows, int]],
    situation: RunSituation,
    all_rows: PastRows,
    lately: PaceMark,
    so_far: PaceMark,
    now: float,
) -> TimeLeft:
    """Return the time left at ``now`` (monotonic seconds). The parameters are those of `RunEnd`."""
    stuck = [(mailbox, left) for mailbox, left in open_rows if mailbox.stuck]
    others = [(mailbox, left) for mailbox, left in open_rows if not mailbox.stuck] if stuck else open_rows
    end = RunEnd(limits, menu, others, situation, all_rows, lately, so_far, now)
    left_s = end.seconds() if others or situation.unread else 0.0
    awaited = end.held_up(left_s)
    if stuck:
        tried_s = _next_try_s([mailbox for mailbox, _ in stuck], situation, now)
        least_s = tried_s + end.call_s + max(left for _, left in stuck) * menu.quickest.slot_s
        if left_s <= LONGER * least_s:
            awaited += [mailbox for mailbox, _ in stuck]
    if awaited:
        return TimeLeft(None, Awaited.MAILBOXES, len(awaited), _next_try_s(awaited, situation, now))
    in_flight = situation.in_flight
    if in_flight.slow and not situation.unread and all(not mailbox.remaining for mailbox, _ in open_rows):
        return TimeLeft(None, Awaited.ANSWERS, in_flight.calls, max(0.0, in_flight.overdue_at - now))
    return TimeLeft(left_s)


def _next_try_s(mailboxes: Sequence[OpenRows], situation: RunSituation, now: float) -> float:
    """Return the seconds until the first of these mailboxes is tried again; 0 if one is being tried."""
    ready_at = [mailbox.ready_at(situation.handled_at, forget=False) for mailbox in mailboxes]
    return max(0.0, min(at if at < inf else now for at in ready_at) - now)
