"""How long calls have taken in this run, and so how rows can travel in it.

What was not timed is taken to be as much slower than usual as what was.
"""

from __future__ import annotations

from purgeengine.core.forecast.bound import USUAL, Latency, Shape, Ways, frontier
from purgeengine.run_limits import Limits

OF_ITS_OWN_MIN = 5
"""Calls of one size from which their own mean is believed."""


class Timing:
    """Sums of what answers took, by the rows of their batch. ``fade`` is what older ones weigh after each further answer."""

    def __init__(self, items_max: int, latency: Latency = USUAL, fade: float = 1.0) -> None:
        self._items_max = items_max
        self._latency = latency
        self._fade = fade
        self._calls = [0.0] * (items_max + 1)
        self._calls_s = [0.0] * (items_max + 1)
        self._lane_rows = 0.0
        self._lanes_s = 0.0

    @property
    def timed(self) -> bool:
        """Whether anything was."""
        return bool(self._lane_rows or any(self._calls))

    def call(self, rows: int, duration_s: float) -> None:
        """An unordered batch was answered."""
        self._calls[rows] = self._calls[rows] * self._fade + 1.0
        self._calls_s[rows] = self._calls_s[rows] * self._fade + duration_s

    def lane(self, rows: int, duration_s: float) -> None:
        """A serial lane was answered, of which so many rows were tried."""
        self._lane_rows = self._lane_rows * self._fade + rows
        self._lanes_s = self._lanes_s * self._fade + duration_s

    def ways(self, limits: Limits, *, wide: bool, lanes: bool) -> Ways:
        """How rows can travel: ``wide`` is whether a batch may be full of one mailbox's rows, as Graph runs it four at a time."""
        items_max, slots = self._items_max, limits.mailbox_concurrent_max
        usual_s = [self._usual_s(size, wide=wide) for size in range(items_max + 1)]
        slower = self._slower(usual_s)
        row_s = self._lanes_s / self._lane_rows if self._lane_rows else self._usual_lane_row_s * slower
        full_s = self._call_s(items_max, usual_s, slower)
        menu = [Shape(items_max, slots * full_s / items_max if wide else full_s, full_s / items_max)]
        if lanes:
            menu.append(Shape(0, row_s, row_s))
        if lanes and not wide:
            for size in range(2, items_max):
                call_s = self._call_s(size, usual_s, slower)
                menu.append(Shape(size, call_s, call_s / size))
        return Ways(frontier(menu), row_s)

    @property
    def _usual_lane_row_s(self) -> float:
        return self._latency.item_s + self._latency.overhead_s / self._items_max

    def _usual_s(self, size: int, *, wide: bool) -> float:
        in_s = self._latency.in_fours_s if wide else self._latency.longest_of_s
        return self._latency.overhead_s + in_s(size)

    def _slower(self, usual_s: list[float]) -> float:
        """How many times the usual time calls took; lanes tell it where there was nothing else."""
        usual = sum(calls * usual_s[size] for size, calls in enumerate(self._calls))
        if usual:
            return sum(self._calls_s) / usual
        return self._lanes_s / (self._lane_rows * self._usual_lane_row_s) if self._lane_rows else 1.0

    def _call_s(self, size: int, usual_s: list[float], slower: float) -> float:
        calls = self._calls[size]
        return self._calls_s[size] / calls if calls >= OF_ITS_OWN_MIN else usual_s[size] * slower
