"""A service whose times can be reckoned by hand, for tests of what is made of them."""

from __future__ import annotations

from math import sqrt

from purgeengine.core.forecast.latency import Latency


class Root(Latency):
    """60 ms a call; at once, a tenth of a second times the root of the number of items; in fours, a fortieth for each."""

    def longest_of_s(self, items: int) -> float:
        return 0.1 * sqrt(items)

    def in_fours_s(self, items: int) -> float:
        return 0.1 * items / 4


LANE_ROW_S = 0.1 + 0.06 / 20
"""Of a lane of twenty rows."""
FULL_CALL_S = 0.06 + 0.1 * sqrt(20)
"""Of twenty rows at once."""
WIDE_CALL_S = 0.06 + 0.1 * 20 / 4
"""Of twenty rows, four at a time."""
