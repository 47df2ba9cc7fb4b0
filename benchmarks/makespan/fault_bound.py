"""The least time of a job on which faults fall, for a schedule that is told of each fault only when it happens.

It is the greatest of these, each of which holds by itself:

1. The bound of the job without faults.
2. The same bound with dearer rows. A row has its outcome once a call with it is answered and its own reply is not a
   fault. Faults fall on calls and rows by chance, whatever the schedule does, so a row is sent ``1 / (a * b)`` times on
   average: ``a`` is the share of calls that are answered row by row, ``b`` the share of rows without a fault. Each
   sending costs connection-seconds and slot-seconds: the overhead only, where nothing is run; the whole time of the
   work, where the answer is late or unreadable; where the client is told early, the overhead of a connection and the
   whole work of the slots. A fault breaks a lane, so its rows share the overhead with fewer others. A 429 of a row
   empties at least the slot that it had for the mean wait.
3. The requests that reach the largest mailbox, of which it takes 10,000 in ten minutes.
4. Two easier jobs that are played (`benchmarks.makespan.ideal`): full batches by all connections without mailboxes,
   and lanes of the largest mailbox alone. They know what formulas do not: a call that is told to wait stops the calls
   of the whole run, and the last lost rows must be sent once more.

The *safe* bound is the same for a schedule that does not know when the service ends a lost call, and never has more than
four requests of a mailbox running: a lost call then holds its slots for a cooldown. In 2 this is the shortest cooldown that
there is, in 4 the one that the scheduler learns. How much of a ratio is the price of safety shows in the difference.

1 to 3 are lower bounds of the expected time, exact to one call. 4 is an estimate, not a proof: the jobs are easier than
the real one, and their client is greedy, which is near the best but not proven to be. Means are over draws of faults
and latencies, so a single run may be a little quicker. The faults of the smaller mailboxes are taken to cost no wait.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import ceil, comb

from benchmarks.makespan import ideal
from purgeengine.core.forecast.bound import bound, bound_in, by_rows, window_s
from purgeengine.core.forecast.latency import FOUR, Dispatch, Latency
from purgeengine.core.forecast.shapes import Shape, ShapeMenu, frontier
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults

MEAN_WAIT_S = (1.5 + 0.249 + 0.5 + 0.0) / 4
"""Seconds that a 429 of a row asks for on average: one or two seconds, a quarter of one, a date (counted from the start
of the row, so it is partly over when it is read), or none."""


@dataclass(frozen=True, slots=True)
class FaultBound:
    """What each reason demands, in seconds."""

    without_faults_s: float
    dearer_rows_s: float
    window_s: float
    connections_s: float
    slots_s: float
    safe_dearer_rows_s: float
    safe_slots_s: float

    @property
    def safe_s(self) -> float:
        """The least time if the slots of lost calls are left alone for a cooldown."""
        return max(self.least_s, self.safe_dearer_rows_s, self.safe_slots_s)

    @property
    def least_s(self) -> float:
        """The greatest of them."""
        return max(self.without_faults_s, self.dearer_rows_s, self.window_s, self.connections_s, self.slots_s)


class Shares:
    """How calls and rows end, as shares of all."""

    def __init__(self, faults: Faults) -> None:
        done_unseen = faults.call_error_after + faults.reset_after
        self.held = (
            faults.call_error_before + done_unseen + faults.truncated / 2 + faults.hang_before + faults.hang_after
        )
        """Calls of which a client cannot know when the service ends them. Half of the cut answers are complete HTTP."""
        self.quick = faults.call_throttled + faults.call_error_before
        """Calls that run nothing and are told so at once."""
        self.early = done_unseen / 2
        """Calls whose loss is told while they run."""
        self.late = done_unseen / 2 + faults.truncated + faults.hang_after
        """Calls that run and are not answered readably; a hang shows when the answer is due."""
        self.idle = faults.hang_before
        """Calls that run nothing, which shows when the answer is due: at once here, to be on the safe side."""
        self.answered = 1.0 - self.quick - self.early - self.late - self.idle
        self.throttled = faults.item_throttled_before
        self.row_fails = self.throttled + faults.item_error_before

    @property
    def sendings(self) -> float:
        """How often a row is sent on average."""
        return 1.0 / (self.answered * (1.0 - self.row_fails))

    @property
    def arrivals(self) -> float:
        """How often a row reaches its mailbox on average."""
        return self.sendings * (1.0 - self.quick - self.idle) * (1.0 - self.throttled)

    def call_s(self, overhead_s: float, works_s: float, cooldown_s: float = 0.0) -> tuple[float, float]:
        """Return the mean seconds for which a call holds its connection, and its slots.

        A lost call holds its slots until ``cooldown_s`` seconds after its sending, if its work ends sooner.
        """
        runs = self.answered + self.late
        connection_s = (1.0 - runs) * overhead_s + runs * works_s
        held_s = self.held * max(0.0, cooldown_s - works_s)
        return connection_s, connection_s + self.early * (works_s - overhead_s) + held_s


def fault_bound(job: list[int], limits: Limits, latency: Latency, dispatch: Dispatch, faults: Faults) -> FaultBound:
    """Return the bounds of a job, given as the rows of each mailbox."""
    shares, largest = Shares(faults), max(job)
    menu = menu_under(shares, limits, latency, dispatch)
    safe = bound_in(
        by_rows(job), limits, menu_under(shares, limits, latency, dispatch, cooldown_s=limits.quarantine_s_min)
    )
    sizes: Counter[int] = by_rows(job)
    connections = ideal.Relaxed(limits.connections, False, faults, dispatch, latency)
    slots = ideal.Relaxed(min(limits.connections, limits.mailbox_concurrent_max), True, faults, dispatch, latency)
    dearer = bound_in(sizes, limits, menu)
    return FaultBound(
        without_faults_s=bound(sizes, limits, latency, dispatch).least_s,
        dearer_rows_s=max(dearer.slots_s, dearer.connections_s, dearer.coupled_s),
        window_s=window_s(ceil(largest * shares.arrivals), limits, latency.item_s),
        connections_s=ideal.least_s(connections, sum(job)),
        slots_s=ideal.least_s(slots, largest),
        safe_dearer_rows_s=max(safe.slots_s, safe.connections_s, safe.coupled_s),
        safe_slots_s=ideal.least_s(replace(slots, safe=True), largest),
    )


def menu_under(
    shares: Shares, limits: Limits, latency: Latency, dispatch: Dispatch, *, cooldown_s: float = 0.0
) -> ShapeMenu:
    """Return the shapes in which rows can travel, with their costs for each row that gets its outcome.

    A lost call holds its slots until ``cooldown_s`` seconds after its sending, if its work ends sooner.
    """
    items_max = limits.batch_items_max
    sizes = range(2, items_max + 1) if dispatch == "all" else (items_max,)
    shapes = [_lane(shares, items_max, latency, cooldown_s)]
    for size in sizes:
        works_s = latency.overhead_s + _mean_works_s(shares.throttled, size, latency, dispatch)
        connection_s, slot_s = shares.call_s(latency.overhead_s, works_s, cooldown_s)
        waits_s = shares.answered * (1.0 - (1.0 - shares.throttled) ** size) * MEAN_WAIT_S
        at_once = min(size, FOUR) if dispatch == "four" else size
        ended = size / shares.sendings
        shapes.append(Shape(size, at_once * (slot_s + waits_s) / ended, connection_s / ended))
    return ShapeMenu(frontier(shapes), latency.item_s * shares.arrivals)


def _mean_works_s(throttled: float, size: int, latency: Latency, dispatch: Dispatch) -> float:
    """Return the mean seconds of an unordered call whose throttled rows do not run, without its overhead."""
    mean_s = 0.0
    for run in range(1, size + 1):
        chance = comb(size, run) * (1.0 - throttled) ** run * throttled ** (size - run)
        mean_s += chance * (latency.batch_s(run, dispatch) - latency.overhead_s)
    return mean_s


def _lane(shares: Shares, rows: int, latency: Latency, cooldown_s: float) -> Shape:
    """Return a lane. Its first fault ends it: the rows before that have their outcome, and the rest is not attempted."""
    good = 1.0 - shares.row_fails
    tried = sum(good**before for before in range(rows))
    works_s = latency.overhead_s + tried * (1.0 - shares.throttled) * latency.item_s
    connection_s, slot_s = shares.call_s(latency.overhead_s, works_s, cooldown_s)
    waits_s = shares.answered * tried * shares.throttled * MEAN_WAIT_S
    ended = shares.answered * tried * good
    return Shape(0, (slot_s + waits_s) / ended, connection_s / ended)
