"""How values are spread, counted in buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Values by bucket. The last bucket has no upper bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value. A value on a bound belongs to the bucket below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> Histogram:
        """Return the histogram as it is now."""
        copied = Histogram(self.bounds)
        copied.counts, copied.total = list(self.counts), self.total
        return copied

    def since(self, before: Histogram) -> Histogram:
        """Return the values that came after ``before`` was copied from this histogram."""
        later = Histogram(self.bounds)
        later.counts = [now - then for now, then in zip(self.counts, before.counts, strict=True)]
        later.total = self.total - before.total
        return later
