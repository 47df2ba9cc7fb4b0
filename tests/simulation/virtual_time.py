"""An event loop whose clock jumps to the next timer when everybody waits: simulated hours in real milliseconds.

Nothing in it may wait for the outside world (sockets, threads). If no timer is left and nothing is ready, nothing
will ever happen again, and that is a deadlock of ours.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

JUMPS_MAX = 1_000_000
"""Most timers of a run. A run that needs more will never end; the longest of thousands of seeds needs a tenth."""


class Livelock(Exception):
    """Something happens again and again, and the run makes no progress."""


class Deadlock(Exception):
    """Everybody waits, and no timer is set."""


class _JumpingSelector(selectors.SelectSelector):
    """Moves the clock instead of waiting."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("everybody waits and no timer is set")
        self._loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which starts at 0."""

    def __init__(self, jumps_max: int = JUMPS_MAX) -> None:
        self._virtual_now = 0.0
        self._jumps_left = jumps_max
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return virtual seconds."""
        return self._virtual_now

    def jump(self, by_s: float) -> None:
        """Move the clock, slightly more than asked, so that rounding never leaves a timer just ahead of it."""
        self._jumps_left -= 1
        if self._jumps_left < 0:
            raise Livelock(f"still not done after {self._virtual_now:.0f} s")
        if by_s > 0:
            self._virtual_now += by_s + 1e-9


class VirtualClock:
    """The engine's clock in virtual time. The wall clock starts at ``utc_at_zero``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, utc_at_zero: float = 1_767_225_600.0) -> None:
        self._loop = loop
        self._utc_at_zero = utc_at_zero

    def monotonic(self) -> float:
        return self._loop.time()

    def utc(self) -> float:
        return self._utc_at_zero + self._loop.time()

    def set_forward(self, by_s: float) -> None:
        """Set the wall clock forward, or back by a negative number."""
        self._utc_at_zero += by_s


def run_virtually(main: Coroutine[Any, Any, Result], jumps_max: int = JUMPS_MAX) -> Result:
    """Run to the end in virtual time.

    Raises `Deadlock` if nothing can happen any more, `Livelock` after ``jumps_max`` timers.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(jumps_max)) as runner:
        return runner.run(main)
