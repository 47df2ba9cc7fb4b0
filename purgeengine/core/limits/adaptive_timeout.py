"""How long to wait for the answer to a call: longer if the service needs longer, and back again.

A wait that runs out leaves up to twenty rows in doubt, and on a slow service the next wait would run out as well. Therefore a
wait that ran out while no call was answered doubles the next wait, up to a bound. Quick answers halve it again. A single call
that hangs lengthens nothing.
"""

from __future__ import annotations

from math import inf

QUICK_ANSWERS = 2
"""Answers in a row, each within a quarter of the wait, that halve the wait."""


class AdaptiveTimeout:
    """The wait for the next answer: ``current_s`` seconds, between ``shortest_s`` and ``longest_s``."""

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        self._shortest_s = shortest_s
        self._longest_s = longest_s
        self._quick = 0
        self._answered_at = -inf
        self.current_s = shortest_s

    def ran_out(self, started_at: float, waited_s: float) -> None:
        """Record that a call got no answer within ``waited_s`` seconds. It left at ``started_at`` (monotonic seconds).

        Many calls that run out together double the wait once, because all of them were given that same wait.
        """
        if self._answered_at > started_at:
            return  # others were answered meanwhile: the call hung, the service did not
        self.current_s = max(self.current_s, min(self._longest_s, 2 * waited_s))
        self._quick = 0

    def answered(self, started_at: float, now: float) -> None:
        """Record that the call sent at ``started_at`` was answered at ``now`` (monotonic seconds)."""
        self._answered_at = now
        self._quick = self._quick + 1 if now - started_at <= self.current_s / 4 else 0
        if self._quick >= QUICK_ANSWERS:
            self._quick = 0
            self.current_s = max(self._shortest_s, self.current_s / 2)
