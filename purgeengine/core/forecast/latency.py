"""How long calls are assumed to take before a run has timed any: one item, an unordered batch, a lane.

All times are in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from heapq import heapreplace
from math import erf, log, sqrt
from random import Random
from typing import Literal

Dispatch = Literal["four", "all"]
"""How the service runs the sub-requests of an unordered batch: four at a time, or all at once."""
DISPATCHES: tuple[Dispatch, ...] = ("four", "all")
FOUR = 4
"""Sub-requests of an unordered batch that Graph forwards at a time (throttling-outlook)."""
INTEGRATION_STEPS = 1_000
SAMPLES = 4_000
"""Batches that are drawn at random to find the mean time of one size. It is right to half a per cent."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The assumed latencies: ``overhead_s`` for a call, and a lognormal time for an item, cut off at ``item_s_max``."""

    overhead_s: float = 0.06
    item_median_s: float = 0.08
    item_sigma: float = 1.0
    item_s_max: float = 5.0

    @property
    def item_s(self) -> float:
        """The expected seconds of one item."""
        return self.longest_of_s(1)

    def longest_of_s(self, items: int) -> float:
        """Return the expected seconds of the slowest of ``items`` that run at once.

        It is the integral of the probability that the slowest takes longer.
        """
        return _longest_of_s(self, items)

    def in_fours_s(self, items: int) -> float:
        """Return the expected seconds of ``items`` of which four run at a time; the next starts as soon as one ends.

        No formula gives this time, so it is the mean of batches drawn at random.
        """
        if items <= FOUR:
            return self.longest_of_s(items)
        if self == USUAL and items - FOUR <= len(USUAL_IN_FOURS_S):
            return USUAL_IN_FOURS_S[items - FOUR - 1]
        return drawn_in_fours_s(self, items)

    def batch_s(self, items: int, dispatch: Dispatch) -> float:
        """Return the expected seconds of an unordered batch of ``items``, from the request to the answer."""
        return self.overhead_s + (self.in_fours_s(items) if dispatch == "four" else self.longest_of_s(items))

    def lane_s(self, items: int) -> float:
        """Return the expected seconds of a lane of ``items``, from the request to the answer."""
        return self.overhead_s + items * self.item_s


USUAL = Latency()
"""The default, assumed and not measured: a median of 80 ms for an item, and 60 ms for a call."""
USUAL_IN_FOURS_S = (
    0.3308, 0.3703, 0.4099, 0.4538, 0.4864, 0.5181, 0.5606, 0.5981,
    0.6261, 0.6682, 0.7045, 0.7413, 0.7800, 0.8168, 0.8468, 0.8818,
)  # fmt: skip
"""The values of `drawn_in_fours_s` for 5 to 20 items. They stand here because drawing them would delay every run by a second."""


@lru_cache(maxsize=64)
def drawn_in_fours_s(latency: Latency, items: int) -> float:
    """Return the mean seconds of batches drawn at random, of which four items run at a time."""
    rng, median = Random(items), log(latency.item_median_s)
    total = 0.0
    for _ in range(SAMPLES):
        ends = [0.0] * FOUR
        for _ in range(items):
            heapreplace(ends, ends[0] + min(latency.item_s_max, rng.lognormvariate(median, latency.item_sigma)))
        total += max(ends)
    return total / SAMPLES


@lru_cache(maxsize=256)
def _longest_of_s(latency: Latency, items: int) -> float:
    step = latency.item_s_max / INTEGRATION_STEPS
    return step * sum(1.0 - chance**items for chance in _chances_of_less(latency))


@lru_cache(maxsize=16)
def _chances_of_less(latency: Latency) -> tuple[float, ...]:
    """Return, for the middle of each step of the integration, the probability that one item takes less."""
    step = latency.item_s_max / INTEGRATION_STEPS
    scale = latency.item_sigma * sqrt(2.0)
    return tuple(
        0.5 * (1.0 + erf(log((number + 0.5) * step / latency.item_median_s) / scale))
        for number in range(INTEGRATION_STEPS)
    )
