"""How many rows a second the service takes from the whole app, learned from the rows that it refuses as too fast (429).

A refused row usually concerns its mailbox. Where rows of many mailboxes are refused at once, and these mailboxes are not at
their own limits, the app as a whole is too fast. Each row is one request for Graph. The rate has three states:

1. *Open*: no limit is known, and nothing is held back.
2. *Paused*: too much was refused. Nothing leaves but one row at a time, to see whether the service takes rows again. A service
   may count refused requests as well, so that it takes none until the run has been still for a while.
3. *Limited*: rows leave at a rate. The first rate is what went through lately, waits included. Then it grows (`GrowingRate`)
   until rows are refused again, which pauses the run again.

Other causes must not slow a run down. If a lower rate does not lower the share of refused rows, the rate is not the cause: the
limit is dropped, and for a while no new one is learned.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from math import inf
from typing import NamedTuple

from purgeengine.core.limits.growing_rate import PER_S_MIN, GrowingRate
from purgeengine.core.limits.rate_limit import TokenBucket
from purgeengine.core.limits.refusal_score import LIMIT_KNOWN, NO_LIMIT_KNOWN, RefusalScore
from purgeengine.core.limits.throughput import Throughput

HELPED_SHARE_MAX = 0.25
"""A lower rate has helped if at most this share of rows was refused between two pauses."""
USELESS_MAX = 3
"""Lower rates in a row that did not help before the limit is dropped. Two may be needed after a limit that fell to a tenth."""
PAUSE_S = 1.0
"""Seconds of a pause at first, if the service does not ask for a wait."""
PAUSE_S_MAX = 10.0
"""The most seconds of a pause at first. Mailboxes that must wait longer keep their own waits."""
PROBE_GROWTH = 1.3
"""Growth of the pause with each refused row, so that a pause is at most a third longer than needed."""
PROBE_S_MAX = 30.0
"""The longest pause between two single rows, in seconds."""
PROBES_MAX = 20
"""Single rows that may be refused in one pause, in five to nine minutes. After that the mailboxes wait on their own."""
USED_SHARE_MIN = 0.5
"""The rate grows only if at least this share of it went through lately: a rate that is not used has not been tried."""
FIRST_GROWTH_S = 2.0
"""In these seconds after a pause the rate grows in any case, because too few answers have come to know what is used."""
BATCH_S = 0.25
"""Seconds' worth of rows that leave in one batch, so that a rate is not exceeded in bursts."""
DROPPED_S = 60.0
"""Seconds in which no limit is learned after one was dropped. They double each time."""
DROPPED_S_MAX = 1_800.0
"""The most of these seconds."""
TOLD_AGAIN = 0.1
"""Change of the rate, as a share, that is worth recording again."""
TOLD_S_MIN = 10.0
"""Seconds between two records of a rate that grows."""
TRUSTED_DOUBLES_S = 600.0
"""A recorded rate counts as double after so many seconds, because the limit may have risen."""
TRUSTED_S_MAX = 3_600.0
"""A recorded rate is forgotten after so many seconds."""


class LearnedRate(NamedTuple):
    """A rate in rows per second that an earlier run found, and its age in seconds."""

    per_s: float
    age_s: float


class _AppState(Enum):
    OPEN = "nothing is held back"
    PAUSED = "single rows leave"
    LIMITED = "rows leave at a rate"


class AppRate:
    """Decides when the next batch may leave, as far as the whole app is concerned, and how many rows it may have.

    Instants are monotonic seconds. `refill` comes first in each turn.
    """

    def __init__(
        self, batch_rows_max: int, now: float, learned: LearnedRate | None = None, *, learns: bool = True
    ) -> None:
        """``learned`` is what an earlier run found. If ``learns`` is false, nothing is ever concluded from refusals."""
        self._rows_max = batch_rows_max
        self._state = _AppState.OPEN
        self._since = now
        """The beginning of this state. Batches that left before it say nothing about it."""
        self._rate = GrowingRate()
        self._bucket = TokenBucket(1.0, 1.0, now)
        self._resumes_at = now
        self._pause_s = PAUSE_S
        self._probes = 0
        self._score = RefusalScore()
        self._throughput = Throughput(now)
        self._cycle_passed = self._cycle_refused = 0
        """Rows since the last pause."""
        self._useless = 0
        self._ignores_until = -inf if learns else inf
        self._dropped_s = DROPPED_S
        self._told = 0.0
        self._told_at = -inf
        if learned is not None and learned.age_s < TRUSTED_S_MAX:
            self._told = learned.per_s
            self._limit_to(learned.per_s * 2.0 ** (max(0.0, learned.age_s) / TRUSTED_DOUBLES_S), now)

    # -------------------------------------------------------------------------------------------------------- the rate

    @property
    def per_s(self) -> float | None:
        """Rows per second that the service takes, as far as is known; None if no limit is known."""
        match self._state:
            case _AppState.OPEN:
                return None
            case _AppState.PAUSED:
                held = self._rate.held
                seen = self._throughput.per_s(self._bucket.at) if self._rate.measures else held
                return max(PER_S_MIN, min(held, seen))
            case _AppState.LIMITED:
                return self._rate.per_s

    @property
    def rows_max(self) -> int:
        """The most rows of the next batch."""
        if self._state is _AppState.OPEN:
            return self._rows_max
        return 1 if self._state is _AppState.PAUSED else min(self._rows_max, max(1, int(self._rate.per_s * BATCH_S)))

    @property
    def allowed(self) -> bool:
        """True if a batch of `rows_max` rows may leave, as of the last `refill`."""
        match self._state:
            case _AppState.OPEN:
                return True
            case _AppState.PAUSED:
                return self._resumes_at <= self._bucket.at
            case _AppState.LIMITED:
                return self._bucket.covers(self.rows_max)

    @property
    def allowed_at(self) -> float:
        """When that may leave. The past if it may leave now."""
        match self._state:
            case _AppState.OPEN:
                return -inf
            case _AppState.PAUSED:
                return self._resumes_at
            case _AppState.LIMITED:
                return self._bucket.covers_at(self.rows_max)

    def refill(self, now: float) -> None:
        """Let time pass until ``now``: the rate grows if it is used."""
        if self._state is _AppState.LIMITED and (
            now < self._since + FIRST_GROWTH_S or self._throughput.per_s(now) > USED_SHARE_MIN * self._rate.per_s
        ):
            self._rate.grow(max(0.0, now - self._bucket.at - self._bucket.idle_s(now)))
        self._bucket.refill(now)
        if self._state is _AppState.LIMITED:
            if self._rate.limit_is_gone:
                self._open(now)
            else:
                self._bucket.change(self._rate.per_s, self.rows_max)

    def spend(self, rows: int) -> None:
        """Record that a batch of ``rows`` rows leaves at the last `refill`."""
        if self._state is _AppState.PAUSED:
            self._resumes_at = self._bucket.at + self._pause_s
        elif self._state is _AppState.LIMITED:
            self._bucket.spend(rows)

    def worth_recording(self, now: float) -> float | None:
        """Return the rate to record for later runs, 0 if there is no limit any more; None if what was recorded still holds."""
        if self._state is _AppState.PAUSED:
            return None
        rate = self._rate.per_s if self._state is _AppState.LIMITED else 0.0
        if abs(rate - self._told) <= TOLD_AGAIN * self._told or (
            rate > self._told > 0 and now < self._told_at + TOLD_S_MIN
        ):
            return None
        self._told, self._told_at = rate, now
        return rate

    # ------------------------------------------------------------------------------------------------------- the answers

    def answered(
        self, passed: int, refused: Collection[tuple[int, int]], wait_s: float, sent_at: float, now: float
    ) -> bool:
        """Take in the answer to a batch that left at ``sent_at``. Return True if its refusals are to be put down to the app's rate.

        ``passed`` rows were not refused as too fast. ``refused`` has the number of each mailbox that is not at its own limits,
        and its refused rows. ``wait_s`` is the shortest wait that the service asked for with them, in seconds, or 0. While the
        run is paused, and for batches that left before, every refusal is put down to the rate.
        """
        if passed:
            self._throughput.count(passed, now)
        if sent_at < self._since:
            return self._state is not _AppState.OPEN
        if self._state is _AppState.PAUSED:
            self._probed(passed, refused, now)
            return True
        self._cycle_passed += passed
        self._cycle_refused += sum(count for _, count in refused)
        if now < self._ignores_until:
            return False
        threshold = NO_LIMIT_KNOWN if self._state is _AppState.OPEN else LIMIT_KNOWN
        return self._score.add(passed, refused, threshold) and self._pause(wait_s, now)

    def _probed(self, passed: int, refused: Collection[tuple[int, int]], now: float) -> None:
        """Take in the answer to a single row."""
        if passed:
            self._resume(now)
        elif refused:
            self._probes += 1
            self._pause_s = min(PROBE_S_MAX, self._pause_s * PROBE_GROWTH)
            self._resumes_at = now + self._pause_s
            if self._probes >= PROBES_MAX:
                self._drop(now)

    # -------------------------------------------------------------------------------------------------------- the states

    def _pause(self, wait_s: float, now: float) -> bool:
        """Let only single rows leave, because too many rows were refused. Return False if the limit is dropped instead."""
        if self._state is _AppState.LIMITED:
            if self._cycle_refused > HELPED_SHARE_MAX * (self._cycle_passed + self._cycle_refused):
                self._useless += 1
                self._rate.did_not_help()
            else:
                self._useless, self._dropped_s = 0, DROPPED_S
                self._rate.refused(self._throughput, now)
            if self._useless >= USELESS_MAX:
                self._drop(now)
                return False
        self._throughput.stand(now)
        self._state, self._since = _AppState.PAUSED, now
        self._pause_s = min(PAUSE_S_MAX, wait_s or PAUSE_S)
        self._resumes_at = now + self._pause_s
        self._probes = 0
        return True

    def _resume(self, now: float) -> None:
        """Let rows leave at a rate, because the service takes rows again."""
        self._rate.measured(self._throughput.per_s(now))
        self._limit_to(self._rate.held, now)

    def _limit_to(self, held: float, now: float) -> None:
        self._state, self._since = _AppState.LIMITED, now
        self._rate.begin(held)
        self._bucket = TokenBucket(self._rate.per_s, self.rows_max, now)
        self._begin_cycle(now)

    def _drop(self, now: float) -> None:
        """Drop the limit, because the rate is not the cause of the refusals."""
        self._open(now)
        self._ignores_until = now + self._dropped_s
        self._dropped_s = min(DROPPED_S_MAX, 2.0 * self._dropped_s)

    def _open(self, now: float) -> None:
        """Hold nothing back any more."""
        self._state, self._since = _AppState.OPEN, now
        self._rate.forget()
        self._useless = 0
        self._begin_cycle(now)

    def _begin_cycle(self, now: float) -> None:
        self._throughput.go_on(now)
        self._cycle_passed = self._cycle_refused = 0
        self._score.clear()
