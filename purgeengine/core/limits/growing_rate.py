"""A rate that grows as TCP's CUBIC does (RFC 9438): quickly towards the highest rate that held, slowly around it, then quickly.

Rates are in rows per second. A rate *holds* if the service takes rows at that rate without refusing many.
"""

from __future__ import annotations

from math import inf

from purgeengine.core.limits.throughput import Throughput

PER_S_MIN = 0.1
"""The lowest rate, in rows per second: one row in ten seconds."""
LEFT = 0.9
"""After a pause, the run goes on with this share of the highest rate that held."""
HELD = 0.95
"""If a rate was refused, this share of it is taken to hold."""
RECENTLY_S = 4.0
"""Seconds before a refusal over which rows are counted. They are few, because the rate was lower before."""
FALLEN_MIN = 0.5
"""The least that is left of a rate that was refused although a higher one held before: the service's limit has fallen."""
CUT_MAX = 0.7
"""The most that is left of a rate that did not help."""
CUT_MIN = 0.3
"""The least that is left of a rate that did not help."""
PLATEAU_S = 5.0
"""Seconds until the growing rate has reached the highest rate that held."""
PLATEAU_S_MAX = 20.0
"""The most of these seconds, once refusals have confirmed that rate twice, so that a higher one is tried less often."""
NEAR = 0.2
"""A refusal confirms the highest rate that held if the refused rate differs from it by this share at most."""
LIMIT_IS_GONE = 8.0
"""If the rate has grown to this multiple of the highest rate that held, the service has no limit any more."""


class GrowingRate:
    """The rate that is used, and what is known of the highest rate that holds."""

    def __init__(self) -> None:
        self.held = inf
        """The highest rate that held, as far as is known."""
        self.measures = True
        """True if the rows that go through until the end of the pause show which rate holds."""
        self._held_min = 0.0
        """The least that `held` can be, however few rows go through until the end of the pause."""
        self._plateau_s = PLATEAU_S
        self._grown_s = 0.0
        """Seconds of growth. A rate that is not used does not grow."""

    @property
    def per_s(self) -> float:
        """The rate now: at first `LEFT` of the highest rate that held, on the plateau all of it, and then more and more."""
        grown = (self._grown_s - self._plateau_s) / self._plateau_s
        return max(PER_S_MIN, self.held * (1.0 + (1.0 - LEFT) * grown**3))

    @property
    def limit_is_gone(self) -> bool:
        """True if the rate has grown so far that the service seems to have no limit any more."""
        return self.per_s > LIMIT_IS_GONE * self.held

    def grow(self, for_s: float) -> None:
        """Let the rate grow, because it was used for so many seconds."""
        self._grown_s += for_s

    def did_not_help(self) -> None:
        """Take the rate down, because as many rows were refused as before. What goes through now shows how far."""
        rate = self.per_s
        self.held, self._held_min, self.measures = CUT_MAX * rate, CUT_MIN * rate, True

    def refused(self, throughput: Throughput, now: float) -> None:
        """Conclude from a refusal which rate holds. ``throughput`` counted the rows that went through."""
        rate = min(self.per_s, throughput.per_s(now, RECENTLY_S))
        confirmed = abs(rate - self.held) <= NEAR * self.held
        self._plateau_s = min(PLATEAU_S_MAX, 2.0 * self._plateau_s) if confirmed else PLATEAU_S
        if rate < self.held:
            self.measures, self._held_min = True, FALLEN_MIN * rate
        self.held = HELD * rate

    def measured(self, per_s: float) -> None:
        """Take in the rate that rows went through with until the end of the pause, waits included. Ignored unless it matters."""
        if self.measures:
            self._plateau_s = PLATEAU_S
            self.held = min(self.held, max(self._held_min, per_s))

    def begin(self, held: float) -> None:
        """Begin to use the rate below ``held``."""
        self.held, self.measures, self._grown_s = max(PER_S_MIN, held), False, 0.0

    def forget(self) -> None:
        """Forget what was known, because there is no limit any more."""
        self.held, self._held_min, self.measures = inf, 0.0, True
