"""The waits that a client was told, and whether it comes before one is over. Knows instants only."""

from __future__ import annotations

_ROUNDING_S = 1e-6
"""Rounding of instants that were computed as sums."""
ON_THE_WAY_S = 0.002
"""A request that left while the answer was on its way to the client arrives at most this long after the answer left. The client
of the simulation needs 1 ms from a decision to the arrival of its call."""


class Waits:
    """What was told when. A longer wait that was told earlier stays."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: tuple[tuple[float, float], ...] = ()  # (known from, over at), most often none

    @property
    def over_at(self) -> float:
        """When the last of them ends; minus infinity if there are none."""
        return max((over_at for _, over_at in self._told), default=float("-inf"))

    def tell(self, until: float, now: float) -> None:
        """An answer leaves now that says not to come before ``until``."""
        self._told = (*(told for told in self._told if told[1] > now), (now + ON_THE_WAY_S, until))

    def is_early(self, now: float) -> bool:
        """Whether a request that arrives now should have waited: its client knew, and the wait is not over."""
        return any(known_at <= now < over_at - _ROUNDING_S for known_at, over_at in self._told)
