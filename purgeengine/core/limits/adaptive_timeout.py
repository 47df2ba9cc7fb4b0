"""How long to wait for an answer before its call is given up: a little longer than the slowest recent answer took.

A call that hangs keeps a place that other calls need, so the wait is not much longer than the slowest answer of late. A call that
is given up too early costs little, because its answer is still read if it comes. If calls run out of time while no call is
answered, the service as a whole has become slower, and the wait doubles, up to a bound. Quick answers halve it again.
"""

from __future__ import annotations

from math import inf

FIRST_S = 30.0
"""The wait in seconds until enough answers are known. It is also the longest wait that is not doubled."""
LONGEST_S = 120.0
"""The longest wait in seconds, doubled or not. A service that needs longer for twenty rows is down."""
STRETCH_MAX = 128.0
"""The most by which the wait is multiplied: what takes the shortest wait to the longest."""
SHORTEST_S = 1.0
"""The shortest wait in seconds, however quick the answers are. A busy machine or network may delay any call by that."""
SHORTEST_IDLE_S = 0.5
"""The same while connections are free and nothing else can be sent, so that asking again delays no other row."""
ANSWERS_TO_TRUST = 8
"""Answers before the slowest of them says anything."""
MARGIN = 1.5
"""Factor on the slowest answer."""
IDLE_MARGIN = 1.2
"""Factor on the slowest answer while connections are free and nothing else can be sent."""
MARGIN_OF_FEW = 10.0
"""The factors grow by this number divided by the number of answers, because the slowest of few answers says little."""
REMEMBERED = 500
"""The slowest of the last `REMEMBERED` answers is used, or of up to twice as many."""
QUICK_ANSWERS = 2
"""Answers in a row, each within a quarter of the wait, that halve a wait that was doubled."""


class AdaptiveTimeout:
    """The wait for the answer to calls of one kind. All instants are monotonic seconds."""

    def __init__(self) -> None:
        self._answers = 0
        self._slowest_s = 0.0
        self._slowest_before_s = 0.0
        self._answered_at = -inf
        self._stretch = 1.0
        self._stretched_at = -inf
        self._quick = 0
        self.current_s = FIRST_S
        """The wait in seconds."""
        self.idle_s = FIRST_S
        """The wait in seconds while connections are free and nothing else can be sent."""

    @property
    def known(self) -> bool:
        """True once enough calls were answered."""
        return self._answers >= ANSWERS_TO_TRUST

    @property
    def slowest_s(self) -> float:
        """The slowest of the latest answers, in seconds; 0 if there was none."""
        return max(self._slowest_s, self._slowest_before_s)

    def ran_out(self, sent_at: float, now: float) -> None:
        """Record that the call sent at ``sent_at`` got no answer in time.

        Many calls that run out together double the wait once, because all of them left while it was shorter.
        """
        if self._answered_at > sent_at or sent_at < self._stretched_at:
            return  # others were answered meanwhile (the call hung, the service did not), or the wait was doubled since
        self._stretch = min(2.0 * self._stretch, STRETCH_MAX)
        self._stretched_at = now
        self._quick = 0
        self._learn()

    def answered(self, sent_at: float, now: float) -> None:
        """Record that the call sent at ``sent_at`` was answered at ``now``, in time or late."""
        self._answered_at = now
        if (took_s := now - sent_at) > LONGEST_S:
            return  # the process or its machine slept meanwhile: no call is waited for so long
        self._answers += 1
        if self._answers % REMEMBERED == 0:
            self._slowest_before_s, self._slowest_s = self._slowest_s, 0.0
        self._slowest_s = max(self._slowest_s, took_s)
        if self._stretch > 1.0:
            self._quick = self._quick + 1 if took_s <= self.current_s / 4 else 0
            if self._quick >= QUICK_ANSWERS:
                self._quick = 0
                self._stretch = max(1.0, self._stretch / 2)
        self._learn()

    def _learn(self) -> None:
        """Compute both waits. This happens once for each answer, because they are read in every turn."""
        current_s = idle_s = FIRST_S
        if self.known:
            slowest_s = self.slowest_s
            of_few = MARGIN_OF_FEW / self._answers
            current_s = min(FIRST_S, max(SHORTEST_S, slowest_s * (MARGIN + of_few)))
            idle_s = min(FIRST_S, max(SHORTEST_IDLE_S, slowest_s * (IDLE_MARGIN + of_few)))
        self.current_s = min(LONGEST_S, current_s * self._stretch)
        self.idle_s = min(LONGEST_S, idle_s * self._stretch)
