"""How long calls are expected to take: assumed at first, then learned from answers. All times are in seconds.

Calls of one kind (lanes, or unordered batches of one size) have a *slowness*: the time they took divided by the time assumed.
Batches of all sizes together have a slowness, too. A kind that was timed often has mostly its own slowness. A kind that was timed
seldom has mostly that of all batches, so that it is taken to be as slow as what was timed. This is shrinkage towards a pooled
ratio (Efron and Morris, Data Analysis Using Stein's Estimator, 1975), with a fixed weight for the pool.
"""

from __future__ import annotations

from purgeengine.core.forecast.latency import DISPATCHES, USUAL, Dispatch, Latency

RECENT_CALLS = 500
"""Answers of a kind over which recent times are averaged: about half a minute of a run with the usual connections."""
POOL_CALLS = 40
"""Calls of a kind that weigh as much as the slowness of all batches. Single calls differ by a factor of ten, so that after a few
calls a size can look cheap by chance, and be chosen for it. With a weight of ten calls, runs took up to one per cent longer."""
LANE = 0
"""The number of lanes among the kinds of calls. The number of an unordered batch is its number of rows."""


class AssumedTimes(dict[int, float]):
    """The assumed seconds of a call, by its kind.

    A value is computed when it is first asked for, because some take long to compute.
    """

    def __init__(self, latency: Latency, dispatch: Dispatch, items_max: int) -> None:
        super().__init__()
        self._latency = latency
        self._dispatch: Dispatch = dispatch
        self._items_max = items_max

    def __missing__(self, kind: int) -> float:
        """Compute the assumed seconds of a full lane, or of an unordered batch of ``kind`` rows."""
        latency = self._latency
        assumed_s = latency.lane_s(self._items_max) if kind == LANE else latency.batch_s(kind, self._dispatch)
        self[kind] = assumed_s
        return assumed_s


class CallTimes:
    """Learns from each answer how long calls take.

    ``remembered`` is the number of answers that a mean is made of; older answers fade. With None, no answer fades.
    """

    def __init__(self, items_max: int, assumed: Latency = USUAL, remembered: int | None = None) -> None:
        self._kept = 1.0 if remembered is None else 1.0 - 1.0 / remembered
        self._items_max = items_max
        self._overhead_s = assumed.overhead_s
        self._item_s = assumed.item_s
        self._assumed_s = {dispatch: AssumedTimes(assumed, dispatch, items_max) for dispatch in DISPATCHES}
        self._took_s = [0.0] * (items_max + 1)
        self._full_calls = [0.0] * (items_max + 1)
        """Calls of each kind, as they fade. A lane counts by the share of a full lane that it was."""
        self._batches_took_s = 0.0
        self._batches_assumed_s = dict.fromkeys(DISPATCHES, 0.0)
        """Seconds that all batches would have taken as assumed, for each way in which a service may run them."""

    @property
    def timed(self) -> bool:
        """True if any call was timed."""
        return any(self._full_calls)

    def batch_answered(self, rows: int, duration_s: float) -> None:
        """Record that an unordered batch of ``rows`` rows was answered without refusals after ``duration_s`` seconds."""
        self._answered(rows, 1.0, duration_s)
        kept = self._kept
        self._batches_took_s = self._batches_took_s * kept + duration_s
        for dispatch, assumed_s in self._assumed_s.items():
            self._batches_assumed_s[dispatch] = self._batches_assumed_s[dispatch] * kept + assumed_s[rows]

    def lane_answered(self, rows: int, duration_s: float) -> None:
        """Record that a lane, of which ``rows`` rows were tried, was answered after ``duration_s`` seconds."""
        self._answered(LANE, self.assumed_lane_s(rows) / self._assumed_s["all"][LANE], duration_s)

    def batch_s(self, rows: int, dispatch: Dispatch) -> float:
        """Return the expected seconds of an unordered batch of ``rows`` rows."""
        return self._assumed_s[dispatch][rows] * self._slowness(rows, dispatch)

    def item_s(self, dispatch: Dispatch) -> float:
        """Return the expected seconds of one row of a lane, without its share of the call's overhead."""
        return self._item_s * self._slowness(LANE, dispatch)

    def lane_row_s(self, dispatch: Dispatch) -> float:
        """Return the expected seconds of a full lane, divided by its rows.

        ``dispatch`` says how the service runs the unordered batches that the lane is compared with.
        """
        return self._assumed_s[dispatch][LANE] * self._slowness(LANE, dispatch) / self._items_max

    def assumed_batch_s(self, rows: int, dispatch: Dispatch) -> float:
        """Return the seconds of an unordered batch of ``rows`` rows as assumed at the start. Timed calls do not change them."""
        return self._assumed_s[dispatch][rows]

    def assumed_lane_s(self, rows: int) -> float:
        """Return the seconds of a lane of ``rows`` rows as assumed at the start. Timed calls do not change them."""
        return self._overhead_s + rows * self._item_s

    def _answered(self, kind: int, full_calls: float, duration_s: float) -> None:
        self._took_s[kind] = self._took_s[kind] * self._kept + duration_s
        self._full_calls[kind] = self._full_calls[kind] * self._kept + full_calls

    def _slowness(self, kind: int, dispatch: Dispatch) -> float:
        """Return how many times longer than assumed calls of this kind take."""
        own = self._took_s[kind] / self._assumed_s[dispatch][kind]
        return (POOL_CALLS * self._pooled(dispatch) + own) / (POOL_CALLS + self._full_calls[kind])

    def _pooled(self, dispatch: Dispatch) -> float:
        """Return how many times longer than assumed batches of all sizes take, or lanes if no batch was timed."""
        assumed_s = self._batches_assumed_s[dispatch]
        if assumed_s:
            return self._batches_took_s / assumed_s
        lanes = self._full_calls[LANE]
        return self._took_s[LANE] / (lanes * self._assumed_s[dispatch][LANE]) if lanes else 1.0
