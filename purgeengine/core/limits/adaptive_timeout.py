"""How long to wait for an answer: longer once the service has shown that it needs longer, and back again.

A wait that runs out leaves twenty rows in doubt, and on a slow service the next one would run out as well. So a wait that ran out
while nobody got an answer doubles the next, up to a bound, and quick answers halve it again: a call that hangs now and
then costs no more than it must.
"""

from __future__ import annotations

from math import inf

QUICK_ANSWERS = 2
"""Answers in a row within a quarter of the wait that halve it."""


class AdaptiveTimeout:
    """``current_s`` is the wait for the next call, between ``shortest_s`` and ``longest_s``."""

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._quick = 0
        self._answered_at = -inf
        self.current_s = shortest_s

    def ran_out(self, started_at: float, waited_s: float) -> None:
        """A call that was given so long got no answer. Many at once count as one: they were given the same."""
        if self._answered_at > started_at:
            return  # others were answered meanwhile: the call hung, the service did not
        self.current_s = max(self.current_s, min(self._longest_s, 2 * waited_s))
        self._quick = 0

    def answered(self, started_at: float, now: float) -> None:
        """A call was answered."""
        self._answered_at = now
        self._quick = self._quick + 1 if now - started_at <= self.current_s / 4 else 0
        if self._quick >= QUICK_ANSWERS:
            self._quick = 0
            self.current_s = max(self._shortest_s, self.current_s / 2)
