"""How long the service may still be running a batch whose answer was lost: the *cooldown* of its mailboxes.

Nothing says when such a batch ends. But a service that has answered every call within two seconds hardly runs one for forty.
Therefore the cooldown is the slowest answer so far, times a margin that shrinks as answers add up. Before the first answers the
longest cooldown holds.
"""

from __future__ import annotations

from purgeengine.run_limits import Limits

ANSWERS_TO_TRUST = 3
"""Answers before the slowest of them says anything."""
MARGIN = 3.0
"""Factor on the slowest of many answers. That answer is unusual already, and a lost call may be more unusual."""
MARGIN_OF_FEW = 20.0
"""Added to the factor after division by the number of answers, because the slowest of few answers says little."""
LANE_FACTOR = 2.0
"""Factor on the cooldown of a lost lane. Its rows run one after the other, so it may run longer than other calls."""
WORTH_TELLING = 0.8
"""A cooldown is reported as shorter once it is at most this share of the length reported last."""


class LostCallCooldown:
    """Learns the length of the cooldown from answered calls.

    ``slowest_s`` (the slowest answer, in seconds) and ``answered`` (the number of answers) come from earlier runs of the ledger.
    """

    def __init__(self, limits: Limits, slowest_s: float = 0.0, answered: int = 0) -> None:
        self._limits = limits
        self._slowest_s = slowest_s
        self._answered = answered
        self._learn()
        self._told_s = self.length_s

    def timed(self, duration_s: float) -> bool:
        """Record that a call was answered after ``duration_s`` seconds. Returns True if the cooldown is notably shorter now."""
        self._answered += 1
        self._slowest_s = max(self._slowest_s, duration_s)
        self._learn()
        shorter = self.length_s < WORTH_TELLING * self._told_s
        if shorter or self.length_s > self._told_s:
            self._told_s = self.length_s
        return shorter

    def length_of_s(self, *, lane: bool) -> float:
        """Return the cooldown in seconds after a lost call. The cooldown of a lost lane is longer."""
        return self.lane_length_s if lane else self.length_s

    def _learn(self) -> None:
        """Compute both lengths. This happens once for each answer, because they are read at every look at a mailbox."""
        longest_s = self._limits.quarantine_s
        self.length_s = longest_s
        """Seconds after a lost batch in which its mailboxes are sent nothing."""
        if self._answered >= ANSWERS_TO_TRUST:
            likely_s = self._slowest_s * (MARGIN + MARGIN_OF_FEW / self._answered)
            self.length_s = min(longest_s, max(self._limits.quarantine_s_min, likely_s))
        self.lane_length_s = min(longest_s, LANE_FACTOR * self.length_s)
        """Seconds after a lost lane in which its mailbox is sent nothing."""
