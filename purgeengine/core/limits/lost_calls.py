"""How long the service may still be running a batch whose answer was lost.

Nothing tells; but a service that has answered every call within two seconds will hardly run one for forty. So the slowest answer
seen, with a margin that shrinks as answers add up, bounds it; before the first answers the longest cooldown holds.
"""

from __future__ import annotations

from purgeengine.run_limits import Limits

ANSWERS_TO_TRUST = 3
MARGIN = 3.0
"""Times the slowest answer of many: that one is unusual already, and a lost call may be more so."""
MARGIN_OF_FEW = 20.0
"""Divided by the number of answers and added to the margin: the slowest of a handful says little."""
LANE_FACTOR = 2.0
"""A lost lane may run longer than the slowest call of the usual kind: its rows come one after the other."""
WORTH_TELLING = 0.8
"""A cooldown is called shorter once it is down to this share of what was told last."""


class LostCallCooldown:
    """Learns from answered calls; ``slowest_s`` and ``answered`` are what an earlier run of the same ledger learned."""

    def __init__(self, limits: Limits, slowest_s: float = 0.0, answered: int = 0) -> None:
        self._limits = limits
        self._slowest_s = slowest_s
        self._answered = answered
        self._learn()
        self._told_s = self.length_s

    def timed(self, duration_s: float) -> bool:
        """A call was answered after so many seconds. Returns True if that has made the cooldown notably shorter."""
        self._answered += 1
        self._slowest_s = max(self._slowest_s, duration_s)
        self._learn()
        shorter = self.length_s < WORTH_TELLING * self._told_s
        if shorter or self.length_s > self._told_s:
            self._told_s = self.length_s
        return shorter

    def length_of_s(self, *, lane: bool) -> float:
        """Seconds of the cooldown after a lost call; a lost lane is given longer."""
        return self.lane_length_s if lane else self.length_s

    def _learn(self) -> None:
        """Work the lengths out, once for each answer: they are asked for with every look at a mailbox."""
        longest_s = self._limits.quarantine_s
        self.length_s = longest_s
        """Seconds from losing a call to the moment when its mailboxes may be asked again."""
        if self._answered >= ANSWERS_TO_TRUST:
            likely_s = self._slowest_s * (MARGIN + MARGIN_OF_FEW / self._answered)
            self.length_s = min(longest_s, max(self._limits.quarantine_s_min, likely_s))
        self.lane_length_s = min(longest_s, LANE_FACTOR * self.length_s)
        """Seconds from losing a lane to that moment."""
