"""A service whose times can be computed by hand, for tests of code that uses them."""

from __future__ import annotations

from math import sqrt

from purgeengine.core.forecast.latency import Latency


class Root(Latency):
    """60 ms for each call; all at once, 0.1 s times the root of the number of rows; four at a time, 0.025 s for each row."""

    def longest_of_s(self, items: int) -> float:
        return 0.1 * sqrt(items)

    def in_fours_s(self, items: int) -> float:
        return 0.1 * items / 4


LANE_ROW_S = 0.1 + 0.06 / 20
"""Seconds for each row of a lane of twenty rows."""
FULL_CALL_S = 0.06 + 0.1 * sqrt(20)
"""Seconds of a call of twenty rows at once."""
WIDE_CALL_S = 0.06 + 0.1 * 20 / 4
"""Seconds of a call of twenty rows, four at a time."""
