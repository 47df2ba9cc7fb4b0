"""The clocks of this machine, behind an interface that tests can replace."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's own clocks.

    *While the machine sleeps*, monotonic time stands still on Linux (``CLOCK_MONOTONIC``) and macOS
    (``mach_absolute_time``), and continues on Windows (``QueryPerformanceCounter``, or ``GetTickCount64`` before
    Python 3.13). Where it stands still, a wait lasts longer by the time that the machine slept, so sleep never cuts a
    wait short. What must be noticed after sleep (an expired token) is measured by both clocks. Sources: PEP 418 and
    the documentation of the ``time`` module.
    """

    __slots__ = ()

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, unaffected by changes of the wall clock."""
        return time.monotonic()

    def utc(self) -> float:
        """Return seconds since 1970 by the wall clock."""
        return time.time()
