"""End calls that take too long, with one timer for all. A timer for each call would cost more than its other bookkeeping.

If a process was suspended, or its machine slept, calls are overdue whose answers have arrived meanwhile. aiohttp's
own limit for a whole call drops an answer that is there when the process wakes up, and on uvloop its limit for
silence does too. This limit lets such an answer be read first.
"""

from __future__ import annotations

import asyncio
from math import inf
from types import TracebackType

STALLED_S = 0.5
"""Seconds by which a late timer shows that the process was suspended or the machine slept."""
GRACE_S = 2.0
"""Seconds to read what arrived meanwhile. An answer in the socket may ask for a wait."""


class TimeLimits:
    """Knows when each call must have ended, and keeps one timer for the earliest of these times."""

    def __init__(self) -> None:
        self._ends_at: dict[_Limit, float] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_at = inf

    def limit(self, limit_s: float) -> _Limit:
        """Return a context that raises `TimeoutError` if its body takes longer than ``limit_s`` seconds.

        After a suspension, the body gets `GRACE_S` more seconds first.
        """
        return _Limit(self, limit_s)

    def close(self) -> None:
        """Stop the timer."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm, self._rings_at = None, inf

    def begin(self, limit: _Limit, limit_s: float) -> None:
        """Note that a call begins."""
        at = self._ends_at[limit] = asyncio.get_running_loop().time() + limit_s
        if at < self._rings_at:
            self._set(at)

    def end(self, limit: _Limit) -> None:
        """Note that a call has ended. The timer stays: when it fires, it finds nothing and is set again."""
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
    """The time limit of one call, as a context."""

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
        """Interrupt the body of the context."""
        self._timeout.reschedule(now)
