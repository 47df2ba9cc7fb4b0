"""The waits that a client was given, and whether it comes before one is over. This module knows only times."""

from __future__ import annotations

_ROUNDING_S = 1e-6
"""Rounding error, in seconds, of times that were computed as sums."""
ON_THE_WAY_S = 0.002
"""A request that left while the answer was on its way arrives at most this many seconds after the answer left.

The client of the simulation needs 1 ms from a decision to the arrival of its call.
"""


class Waits:
    """The waits, and when each was given. A longer wait that was given earlier stays."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: tuple[tuple[float, float], ...] = ()  # (known from, over at), usually none

    @property
    def over_at(self) -> float:
        """When the last of the waits ends. Minus infinity if there are none."""
        return max((over_at for _, over_at in self._told), default=float("-inf"))

    def tell(self, until: float, now: float) -> None:
        """Note that an answer leaves now that asks the client not to come before ``until``."""
        self._told = (*(told for told in self._told if told[1] > now), (now + ON_THE_WAY_S, until))

    def is_early(self, now: float) -> bool:
        """True if a request that arrives now should have waited: its client knew of a wait that is not over."""
        return any(known_at <= now < over_at - _ROUNDING_S for known_at, over_at in self._told)
