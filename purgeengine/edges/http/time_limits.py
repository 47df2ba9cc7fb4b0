"""Ends calls that take too long, all with one timer: one for each call would cost more than the rest of its bookkeeping.

A process that was suspended, or whose machine slept, finds calls overdue that were answered meanwhile. aiohttp's own limit of a
whole call throws away an answer that lies ready when the process wakes up, and so does its limit of silence on uvloop; this one
first lets it be read.
"""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType

STALLED_S = 0.5
"""A timer that rings so much too late tells of a process that was suspended, or of a machine that slept."""
GRACE_S = 2.0
"""What came in meanwhile is read within this time; an answer that waits in the socket may ask for a wait."""


class TimeLimits:
    """Knows when each call must have ended, and rings at the earliest of those instants."""

    def __init__(self) -> None:
        self._ends_at: dict[_Limit, float] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_at = inf

    def limit(self, limit_s: float) -> _Limit:
        """A context that raises `TimeoutError` where what is inside takes longer; after a suspension, it has its grace first."""
        return _Limit(self, limit_s)

    def close(self) -> None:
        """Ring no more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm, self._rings_at = None, inf

    def begin(self, limit: _Limit, limit_s: float) -> None:
        """A call begins."""
        at = self._ends_at[limit] = asyncio.get_running_loop().time() + limit_s
        if at < self._rings_at:
            self._set(at)

    def end(self, limit: _Limit) -> None:
        """It has ended. The alarm is left as it is: it finds nothing then, and is set anew."""
        self._ends_at.pop(limit, None)

    def _set(self, at: float) -> None:
        self.close()
        self._rings_at = at
        self._alarm = asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        now = asyncio.get_running_loop().time()
        stalled = now - self._rings_at > STALLED_S
        self._alarm, self._rings_at = None, inf
        for limit in [limit for limit, at in self._ends_at.items() if at <= now]:
            if stalled:
                self._ends_at[limit] = now + GRACE_S
            else:
                del self._ends_at[limit]
                limit.is_over(now)
        if self._ends_at:
            self._set(min(self._ends_at.values()))


class _Limit:
    """One call's, as a context."""

    __slots__ = ("_limit_s", "_limits", "_timeout")

    def __init__(self, limits: TimeLimits, limit_s: float) -> None:
        self._limits = limits
        self._limit_s = limit_s
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._limits.begin(self, self._limit_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limits.end(self)
        await self._timeout.__aexit__(kind, error, trace)

    def is_over(self, now: float) -> None:
        """Interrupt what is inside."""
        self._timeout.reschedule(now)
