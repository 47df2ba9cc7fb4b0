"""Keeps a log from being flooded: of events that a run may have thousands of, it lets some through and counts the others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

LINES_AT_ONCE = 5
"""Lines of one kind of event that are logged at once. They show what the event looks like."""
LINE_AGAIN_S = 60.0
"""After that, seconds between two lines of the kind. A run of ten hours has at most 600 of each."""


class FloodGuard:
    """Says which events are logged. For each kind, `LINES_AT_ONCE` are, and then one every `LINE_AGAIN_S` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` returns monotonic seconds."""
        self._clock = clock
        self._lines_left: dict[str, float] = {}
        self._looked_at: dict[str, float] = {}
        self._unlogged: Counter[str] = Counter()
        self._in_all: Counter[str] = Counter()

    def admit(self, event: str) -> int | None:
        """Return how many of these events were not logged since the last one was. None if this one is not to be logged."""
        now = self._clock()
        earlier = self._looked_at.get(event, now)
        left = min(LINES_AT_ONCE, self._lines_left.get(event, LINES_AT_ONCE) + (now - earlier) / LINE_AGAIN_S)
        self._looked_at[event] = now
        if left < 1:
            self._lines_left[event] = left
            self._unlogged[event] += 1
            self._in_all[event] += 1
            return None
        self._lines_left[event] = left - 1
        return self._unlogged.pop(event, 0)

    def counts(self) -> dict[str, int]:
        """Return how many events of each kind were not logged in all."""
        return dict(self._in_all)
