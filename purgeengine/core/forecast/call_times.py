"""How long calls are expected to take: assumed at first, then learned from the calls that were answered.

Calls of one kind (serial lanes, or unordered batches of one size) have a *slowness*: seconds taken over seconds assumed. Batches of
all sizes together have one, too. A kind that was timed often has its own slowness; one that was timed seldom, mostly that of all
batches. So what was not timed is taken to be as much slower than assumed as what was. This is shrinkage towards a pooled ratio
(Efron and Morris, Data Analysis Using Stein's Estimator, 1975), with a fixed weight for the pool.
"""

from __future__ import annotations

from purgeengine.core.forecast.latency import DISPATCHES, USUAL, Dispatch, Latency

RECENT_CALLS = 500
"""Answers of a kind over which the latest ones are averaged: half a minute of a run with the usual connections."""
POOL_CALLS = 40
"""Calls of a kind that the slowness of all batches is worth. A single call may take ten times as long as another, so that fewer
make a size look cheap by chance, and it is used for that: with ten, makespans were up to one per cent longer."""
LANE = 0
"""The place of lanes among the kinds; unordered batches have the number of their rows."""


class AssumedTimes(dict[int, float]):
    """Seconds of a call of each kind as assumed. Each is worked out when first asked for: some are drawn, which takes long."""

    def __init__(self, latency: Latency, dispatch: Dispatch, items_max: int) -> None:
        super().__init__()
        self._latency = latency
        self._dispatch: Dispatch = dispatch
        self._items_max = items_max

    def __missing__(self, kind: int) -> float:
        """Of a full lane, or of a batch of so many rows."""
        latency = self._latency
        assumed_s = latency.lane_s(self._items_max) if kind == LANE else latency.batch_s(kind, self._dispatch)
        self[kind] = assumed_s
        return assumed_s


class CallTimes:
    """Learns from each answer. All times in seconds.

    ``remembered`` is how many answers a mean is made of: older ones fade. With None, none fades.
    """

    def __init__(self, items_max: int, assumed: Latency = USUAL, remembered: int | None = None) -> None:
        self._kept = 1.0 if remembered is None else 1.0 - 1.0 / remembered
        self._items_max = items_max
        self._overhead_s = assumed.overhead_s
        self._item_s = assumed.item_s
        self._assumed_s = {dispatch: AssumedTimes(assumed, dispatch, items_max) for dispatch in DISPATCHES}
        self._took_s = [0.0] * (items_max + 1)
        self._full_calls = [0.0] * (items_max + 1)
        """Calls of each kind, as they fade; a lane counts by how much of a full one it was."""
        self._batches_took_s = 0.0
        self._batches_assumed_s = dict.fromkeys(DISPATCHES, 0.0)
        """What all batches would have taken as assumed, on a service that runs them in this way."""

    @property
    def timed(self) -> bool:
        """Whether any call was timed."""
        return any(self._full_calls)

    def batch_answered(self, rows: int, duration_s: float) -> None:
        """An unordered batch was answered without refusals."""
        self._answered(rows, 1.0, duration_s)
        kept = self._kept
        self._batches_took_s = self._batches_took_s * kept + duration_s
        for dispatch, assumed_s in self._assumed_s.items():
            self._batches_assumed_s[dispatch] = self._batches_assumed_s[dispatch] * kept + assumed_s[rows]

    def lane_answered(self, rows: int, duration_s: float) -> None:
        """A serial lane was answered, of which so many rows were tried."""
        self._answered(LANE, self.assumed_lane_s(rows) / self._assumed_s["all"][LANE], duration_s)

    def batch_s(self, rows: int, dispatch: Dispatch) -> float:
        """Expected seconds of an unordered batch of so many rows."""
        return self._assumed_s[dispatch][rows] * self._slowness(rows, dispatch)

    def item_s(self, dispatch: Dispatch) -> float:
        """Expected seconds of one row of a lane, without its share of the call's overhead."""
        return self._item_s * self._slowness(LANE, dispatch)

    def lane_row_s(self, dispatch: Dispatch) -> float:
        """Expected seconds of a full lane for each of its rows. ``dispatch`` is that of the batches it is compared with."""
        return self._assumed_s[dispatch][LANE] * self._slowness(LANE, dispatch) / self._items_max

    def assumed_batch_s(self, rows: int, dispatch: Dispatch) -> float:
        """Seconds of an unordered batch as assumed at the start, whatever was timed since."""
        return self._assumed_s[dispatch][rows]

    def assumed_lane_s(self, rows: int) -> float:
        """Seconds of a lane of so many rows as assumed at the start, whatever was timed since."""
        return self._overhead_s + rows * self._item_s

    def _answered(self, kind: int, full_calls: float, duration_s: float) -> None:
        self._took_s[kind] = self._took_s[kind] * self._kept + duration_s
        self._full_calls[kind] = self._full_calls[kind] * self._kept + full_calls

    def _slowness(self, kind: int, dispatch: Dispatch) -> float:
        """How many times as long as assumed such calls take."""
        own = self._took_s[kind] / self._assumed_s[dispatch][kind]
        return (POOL_CALLS * self._pooled(dispatch) + own) / (POOL_CALLS + self._full_calls[kind])

    def _pooled(self, dispatch: Dispatch) -> float:
        """How many times as long as assumed batches of all sizes take; lanes, where no batch was timed."""
        assumed_s = self._batches_assumed_s[dispatch]
        if assumed_s:
            return self._batches_took_s / assumed_s
        lanes = self._full_calls[LANE]
        return self._took_s[LANE] / (lanes * self._assumed_s[dispatch][LANE]) if lanes else 1.0
