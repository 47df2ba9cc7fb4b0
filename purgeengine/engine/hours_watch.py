"""Looks at the wall clock and tells the scheduler when it may send, if a run is limited to some hours."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from purgeengine import log_events, logs
from purgeengine.core.messages import Event, Held, Released, StopRequested
from purgeengine.engine.ports import Clock, Hours

LOOK_S_MAX = 60.0
"""The most seconds between two looks at the hours, because the wall clock may be set and the machine may sleep."""
LOOK_S_MIN = 0.001
"""The fewest seconds between two looks at the hours. Timers are no finer, and a loop that spins is of no use."""


class HoursWatch:
    """Turns the hours into events; without hours there are none. ``stop`` is called with the reason when the hours are over."""

    def __init__(self, hours: Hours | None, clock: Clock, stop: Callable[[str], object]) -> None:
        self._hours = hours
        self._clock = clock
        self._stop = stop
        self._held = False
        self._log = logs.get_logger()
        self.look_at = inf if hours is None else -inf
        """When `events` should be asked again, in monotonic seconds; `inf` for never."""

    def events(self) -> list[Event]:
        """Return what the scheduler must know of the hours now; empty before `look_at`."""
        if self._hours is None or self._clock.monotonic() < self.look_at:
            return []
        window = self._hours.at(self._clock.utc())
        self.look_at = self._clock.monotonic() + min(max(window.for_s, LOOK_S_MIN), LOOK_S_MAX)
        if window.over is not None:
            self.look_at = inf
            self._stop(window.over)
            return [StopRequested()]
        if window.allowed:
            return self._release()
        if not self._held:
            self._held = True
            self._log.warning(log_events.RUN_PAUSED, for_s=round(window.for_s))
        return [Held(window.for_s)]

    def allow_now(self) -> bool:
        """Return True if a batch that was decided on may leave now."""
        if self._hours is None:
            return True
        window = self._hours.at(self._clock.utc())
        return window.allowed and window.over is None

    def look_again(self) -> None:
        """Look at the hours in the next turn, because a batch was held back."""
        if self._hours is not None:
            self.look_at = -inf

    def _release(self) -> list[Event]:
        if not self._held:
            return []
        self._held = False
        self._log.warning(log_events.RUN_RELEASED)
        return [Released()]
