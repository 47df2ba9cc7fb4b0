"""How many requests the whole app may send now: a token bucket that fills steadily and is emptied by what leaves."""

from __future__ import annotations

from math import inf

ROUNDING = 1e-6
"""Share of a request that rounding may lose when many small gains are added up. Without it `covers_at` could give an instant that
is too early."""


class TokenBucket:
    """A rate of ``per_s`` requests a second, of which at most ``burst`` may leave at once. The rate may be 0."""

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at = now

    @property
    def at(self) -> float:
        """When it was refilled last, in monotonic seconds."""
        return self._at

    def refill(self, now: float) -> None:
        """Add what the bucket has gained until ``now`` (monotonic seconds)."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now

    def change(self, per_s: float, burst: float) -> None:
        """Fill at another rate from the last `refill` on, and hold at most ``burst`` requests."""
        self._per_s = per_s
        self._burst = burst
        self._left = min(self._left, burst)

    def idle_s(self, now: float) -> float:
        """Return for how many of the seconds since the last `refill` the bucket was full, so that the rate held nothing back."""
        if self._per_s <= 0.0:
            return 0.0
        return max(0.0, now - self._at - (self._burst - self._left) / self._per_s)

    def covers(self, requests: int) -> bool:
        """Return True if ``requests`` may leave, as of the last `refill`."""
        return self._left >= requests - ROUNDING

    def spend(self, requests: int) -> None:
        """Take ``requests`` out of the bucket. The caller has asked `covers` first."""
        self._left -= requests

    def covers_at(self, requests: int) -> float:
        """Return when ``requests`` may leave, in monotonic seconds; `inf` if the rate is 0 and the bucket does not hold them."""
        missing = max(0.0, requests - self._left)
        return self._at + missing / self._per_s if self._per_s > 0.0 else (inf if missing else self._at)
