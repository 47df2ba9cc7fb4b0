"""The work on batches in simulated time: which sub-request starts when, what its mailbox admits, and when it ends.

One heap holds the events of all calls, so calls meet in the mailboxes in the order of time. This module does not know
what the client sees in the end.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

from purgeengine.sim.graph.app_window import AppWindow
from purgeengine.sim.graph.call import Call
from purgeengine.sim.graph.faults import Chance, ItemFault
from purgeengine.sim.graph.reads import Reads
from purgeengine.sim.graph.request_log import RequestLog, Seen
from purgeengine.sim.graph.truth import Truth
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import APP_DENIED, BAD_TOKEN, DIRECTORY_DENIED, NOT_ATTEMPTED, PURGED, SubResponse
from purgeengine.sim.wire.routes import DEEDS, BadUrl

_LANES_OF_FOUR = 4
"""Sub-requests of an unordered batch that Graph sends to Outlook at a time (throttling-outlook)."""
_ROUNDING_S = 1e-6

Event = Callable[[Call, int, float], None]


class Work:
    """Moves sub-requests through their mailboxes. ``end_call`` is called when a call ends for its client."""

    def __init__(
        self,
        settings: TenantSettings,
        truth: Truth,
        chance: Chance,
        end_call: Callable[[Call, float], None],
        app_window: AppWindow,
    ) -> None:
        self.now = 0.0
        self.utc_at_zero_s = settings.utc_at_zero_s
        self.app_denied = False
        self.log = RequestLog(settings.log_entries_max)
        self._settings = settings
        self._truth = truth
        self.reads = Reads(settings, truth)
        self._chance = chance
        self._end_call = end_call
        self._app_window = app_window
        self._events: list[tuple[float, int, Event, Call, int]] = []
        self._event_count = 0
        self._log_median = math.log(settings.latency_median_s) if settings.latency_median_s else None

    def __repr__(self) -> str:
        return f"Work(now={self.now:.3f}, events={len(self._events)})"

    @property
    def next_event_at(self) -> float | None:
        """The tenant time of the next event, or None if nothing is pending."""
        return self._events[0][0] if self._events else None

    def advance(self, now: float) -> None:
        """Let everything happen, in order, that happens up to now. Time must not run backwards."""
        assert now >= self.now - _ROUNDING_S, f"tenant time ran backwards, from {self.now} to {now}"
        events = self._events
        while events and events[0][0] <= now:
            at, _, happen, call, index = heapq.heappop(events)
            self.now = max(self.now, at)
            happen(call, index, at)
        self.now = max(self.now, now)

    def start_at(self, at: float, call: Call) -> None:
        """Start the call's sub-requests at this tenant time."""
        self._schedule(at, self._start, call)

    def end_at(self, at: float, call: Call) -> None:
        """End the call at this tenant time, whether or not its work is done."""
        self._schedule(at, self._end, call)
        call.end_scheduled = True
        call.wake_at = at

    def _schedule(self, at: float, happen: Event, call: Call, index: int = 0) -> None:
        # Events at the same time happen in the order of scheduling, so that a run repeats exactly.
        self._event_count += 1
        heapq.heappush(self._events, (at, self._event_count, happen, call, index))
        if not call.end_scheduled:
            call.wake_at = max(call.wake_at, at)

    # ------------------------------------------------------------------------------------------------- events

    def _end(self, call: Call, _: int, now: float) -> None:
        self._end_call(call, now)

    def _start(self, call: Call, _: int, now: float) -> None:
        """Start as many sub-requests as may run. End the call if none are left."""
        lanes = len(call.items)
        if call.sequential:
            lanes = 1
        elif self._settings.dispatch == "four":
            lanes = _LANES_OF_FOUR
        while call.place < len(call.items) and call.running < lanes:
            call.place += 1
            self._start_item(call, call.place - 1, now)
        if call.place == len(call.items) and not call.running and not call.end_scheduled:
            self.end_at(now + self._settings.overhead_s / 2, call)

    def _start_item(self, call: Call, index: int, now: float) -> None:
        """Start one sub-request, or reply at once if it does not run."""
        call.started[index] = now
        target, box = call.items[index].target, call.boxes[index]
        before = call.results[index - 1] if call.sequential and index else None
        if before is not None and before.status >= 400:
            return self._say(call, index, now, NOT_ATTEMPTED)
        if isinstance(target, BadUrl):
            return self._say(call, index, now, SubResponse(target.status, target.code, target.message))
        fault = self._chance.item_fault()
        said = self._app_window.admit(now) or self._turned_away(fault, now)
        if said is None and box is not None:
            said = box.admit(now, self._settings)
        if said is not None:
            return self._say(call, index, now, said)
        call.running += 1
        if fault is not None:
            call.item_faults[index] = fault
        self._schedule(now + self._latency_s(), self._end_item, call, index)

    def _end_item(self, call: Call, index: int, now: float) -> None:
        """End a sub-request: carry it out, unless its fault prevents that, and start the next one."""
        target, box = call.items[index].target, call.boxes[index]
        assert not isinstance(target, BadUrl), "a bad url was set to run"
        if box is not None:
            box.release()
        call.running -= 1
        fault = call.item_faults.get(index)
        said = DIRECTORY_DENIED if box is None else APP_DENIED
        if not self.app_denied and fault not in (ItemFault.ERROR_BEFORE, ItemFault.BUSY):
            if box is None or target.ask not in DEEDS:
                said = self.reads.read(box, target)
            else:
                said = self._truth.carry_out(box, target, now, call.client_request_id)
        purged = said is PURGED
        if fault is not None:
            said = self._chance.item_error(fault, now, self.utc_at_zero_s)
        self._say(call, index, now, said, purged)
        self._start(call, 0, now)

    # ------------------------------------------------------------------------------------------------- leaves

    def _turned_away(self, fault: ItemFault | None, now: float) -> SubResponse | None:
        """Return the reply to a sub-request whose fault keeps it from its mailbox, or None."""
        match fault:
            case ItemFault.NOT_ATTEMPTED:
                return NOT_ATTEMPTED
            case ItemFault.UNAUTHORIZED:
                return BAD_TOKEN
            case ItemFault.THROTTLED_BEFORE:
                return self._chance.throttled(now, self.utc_at_zero_s)
        return None

    def _latency_s(self) -> float:
        if self._log_median is None:
            return 0.0
        drawn_s = self._chance.rng.lognormvariate(self._log_median, self._settings.latency_sigma)
        return min(drawn_s, self._settings.latency_s_max)

    def _say(self, call: Call, index: int, now: float, said: SubResponse, purged: bool = False) -> None:
        """Keep the reply to a sub-request, and log it."""
        call.results[index] = said
        target, box = call.items[index].target, call.boxes[index]
        if not self._settings.log or (not isinstance(target, BadUrl) and target.ask not in DEEDS):
            return  # the log has deletions only
        key = box.key if box is not None else ""
        contact = target.contact if not isinstance(target, BadUrl) else ""
        started_at, crid = call.started[index], call.client_request_id
        seen = Seen(started_at, now, key, contact, said.status, said.code, purged, False, crid)
        call.entries[index] = self.log.append(seen)
