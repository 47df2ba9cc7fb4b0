"""The clocks of this machine, behind a seam that tests can replace."""

from __future__ import annotations

import time


class SystemClock:
    """The real thing.

    *While the machine sleeps*, monotonic time stands still on Linux (``CLOCK_MONOTONIC``) and macOS
    (``mach_absolute_time``), and runs on under Windows (``QueryPerformanceCounter``, or ``GetTickCount64`` before Python
    3.13). Where it stands still, a wait takes as much longer as the machine slept: no wait is cut short by sleep, and what
    must be noticed after it (a token that ran out) is measured on both clocks.
    Sources: PEP 418 and the documentation of the ``time`` module.
    """

    __slots__ = ()

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, untouched by changes of the wall clock. Never raises."""
        return time.monotonic()

    def utc(self) -> float:
        """Seconds since 1970."""
        return time.time()
