"""How many requests the whole app may send now: a bucket that fills steadily and is emptied by what leaves."""

from __future__ import annotations

ROUNDING = 1e-6
"""Of a request: what adding up many small gains may lose. Without it, the instant foretold by `covers_at` could come too early."""


class TokenBucket:
    """``per_s`` requests a second, at most ``burst`` of them at once."""

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at = now

    def refill(self, now: float) -> None:
        """Take in the time that has passed."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now

    def covers(self, requests: int) -> bool:
        """Whether so many may leave, as of the last `refill`."""
        return self._left >= requests - ROUNDING

    def spend(self, requests: int) -> None:
        """They leave; the caller asked `covers`."""
        self._left -= requests

    def covers_at(self, requests: int) -> float:
        """When so many may leave, in monotonic seconds."""
        return self._at + max(0.0, requests - self._left) / self._per_s
