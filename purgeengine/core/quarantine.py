"""How long the service may still be running a batch whose answer was lost.

Nothing tells; but a service that has answered every call within two seconds will hardly run one for forty. So the slowest answer
seen, with a margin, bounds it once enough answers have been timed; until then the longest quarantine holds.
"""

from __future__ import annotations

from purgeengine.config import Limits

ANSWERS_TO_TRUST = 20
MARGIN = 3.0
"""Times the slowest answer: the slowest of a few dozen is a usual one, and a lost call is an unusual one."""


class Quarantine:
    """Learns from answered calls; ``slowest_s`` and ``answered`` are what an earlier run of the same ledger learned."""

    def __init__(self, limits: Limits, slowest_s: float = 0.0, answered: int = 0) -> None:
        self._limits = limits
        self._slowest_s = slowest_s
        self._answered = answered

    def timed(self, duration_s: float) -> bool:
        """A call was answered after so many seconds. Answers whether that has made the quarantine shorter."""
        before_s = self.length_s
        self._answered += 1
        self._slowest_s = max(self._slowest_s, duration_s)
        return self.length_s < before_s

    @property
    def length_s(self) -> float:
        """Seconds from losing a call to the moment when its mailboxes may be asked again."""
        if self._answered < ANSWERS_TO_TRUST:
            return self._limits.quarantine_s
        return min(self._limits.quarantine_s, max(self._limits.quarantine_s_min, MARGIN * self._slowest_s))
