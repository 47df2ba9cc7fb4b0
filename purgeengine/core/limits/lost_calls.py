"""How long a call without an answer is taken to occupy slots of its mailboxes: its *cooldown*.

Nothing says when the service ends such a call. But a service that has answered every call within two seconds rarely runs a call for
forty. Therefore the cooldown is the slowest answer so far, times a margin that shrinks as answers add up. Before the first answers
the longest cooldown holds. It is counted from the sending, because it says how long the service may run a call.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from purgeengine.run_limits import Limits

ANSWERS_TO_TRUST = 3
"""Answers before the slowest of them says anything."""
MARGIN = 2.0
"""Factor on the slowest of many answers. A lost call may run longer than the slowest answered one."""
MARGIN_OF_FEW = 20.0
"""The factor grows by this number divided by the number of answers, because the slowest of few answers says little."""
LANE_COOLDOWN_FACTOR = 2.0
"""Factor on the cooldown of a lost lane. Its rows run one after the other, so it may run longer than other calls."""
SLEPT_S = 120.0
"""No call is waited for so long. If one took longer, the process or its machine slept meanwhile, and the call shows nothing."""
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
        if duration_s > SLEPT_S:
            return False
        self._answered += 1
        self._slowest_s = max(self._slowest_s, duration_s)
        self._learn()
        shorter = self.length_s < WORTH_TELLING * self._told_s
        if shorter or self.length_s > self._told_s:
            self._told_s = self.length_s
        return shorter

    def length_of_s(self, *, lane: bool) -> float:
        """Return the cooldown of a lost call in seconds. The cooldown of a lost lane is longer."""
        return self.lane_length_s if lane else self.length_s

    def _learn(self) -> None:
        """Compute both lengths. This happens once for each answer, because they are read at every look at a mailbox."""
        longest_s = self._limits.quarantine_s
        self.length_s = longest_s
        """Seconds from the sending of a lost batch in which it may hold slots of its mailboxes."""
        if self._answered >= ANSWERS_TO_TRUST:
            likely_s = self._slowest_s * (MARGIN + MARGIN_OF_FEW / self._answered)
            self.length_s = min(longest_s, max(self._limits.quarantine_s_min, likely_s))
        self.lane_length_s = min(longest_s, LANE_COOLDOWN_FACTOR * self.length_s)
        """Seconds from the sending of a lost lane in which it may hold its slot."""


EARLIER_RUN = 0
"""Stands for the batch of an earlier run. Batches are numbered from 1."""


class _LostCall(NamedTuple):
    batch: int
    sent_at: float
    slots: int
    lane: bool
    not_before: float
    """The end of the cooldown comes no sooner than this."""


class LostSlots:
    """The slots of one mailbox that lost calls may still hold, each until the end of its cooldown.

    A call holds at most as many slots as it had rows of the mailbox. Instants are monotonic seconds. The length of a cooldown is
    read from ``cooldown`` whenever it is needed, so that later answers can shorten it.
    """

    __slots__ = ("_calls", "_cooldown")

    def __init__(self, cooldown: LostCallCooldown) -> None:
        self._cooldown = cooldown
        self._calls: list[_LostCall] = []

    def __bool__(self) -> bool:
        """Return True if a call may hold slots, as of the last `held`."""
        return bool(self._calls)

    def add(self, batch: int, sent_at: float, slots: int, *, lane: bool, not_before: float = -inf) -> None:
        """Record that the answer to a batch was lost, which left at ``sent_at`` and may hold ``slots`` slots.

        It holds them until ``not_before`` at least, however short the cooldown is.
        """
        self._calls.append(_LostCall(batch, sent_at, slots, lane, not_before))

    def restore(self, until: float, slots: int) -> None:
        """Record that a call of an earlier run may hold ``slots`` slots until this instant."""
        self._calls.append(_LostCall(EARLIER_RUN, -inf, slots, False, until))

    def release(self, batch: int) -> None:
        """Record that the service has ended its work on this batch."""
        self._calls = [call for call in self._calls if call.batch != batch]

    def held(self, now: float, *, forget: bool = True) -> int:
        """Return how many slots are held now.

        Calls whose cooldown is over are forgotten, because a cooldown that becomes longer later does not bring them back. Without
        ``forget`` they stay, so that who only looks changes nothing.
        """
        if not self._calls:
            return 0
        held = [call for call in self._calls if self._ends_at(call) > now]
        if forget:
            self._calls = held
        return sum(call.slots for call in held)

    def frees_at(self, most: int) -> float:
        """Return when at most ``most`` slots are held; `-inf` if that is so already."""
        held, at = sum(call.slots for call in self._calls), -inf
        for ends_at, slots in sorted((self._ends_at(call), call.slots) for call in self._calls):
            if held <= most:
                break
            held, at = held - slots, ends_at
        return at

    def _ends_at(self, call: _LostCall) -> float:
        return max(call.not_before, call.sent_at + self._cooldown.length_of_s(lane=call.lane))
