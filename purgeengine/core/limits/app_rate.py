"""How many requests a second the service takes from the whole app, learned from the rows that it refuses as too fast (429).

A refused row usually concerns its mailbox. Where rows of many mailboxes are refused at once, and these mailboxes are not at
their own limits, the app as a whole is too fast. The rate has three states:

1. *Open*: no limit is known, and nothing is held back.
2. *Paused*: too much was refused. Nothing leaves but one row at a time, to see whether the service takes rows again. A service
   may count refused requests as well, so that it takes none until the run has been still for a while.
3. *Limited*: rows leave at a rate. The first rate is what went through lately, waits included. Then it grows as TCP's CUBIC
   does (RFC 9438): quickly towards the highest rate that held, slowly around it, and quickly beyond it. A refusal pauses the
   run again, and each refusal near that rate makes the next attempt to exceed it later.

Other causes must not slow a run down. If a lower rate does not lower the share of refused rows, the rate is not the cause: the
limit is dropped, and nothing is concluded for a while.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from math import inf
from typing import NamedTuple

from purgeengine.core.limits.rate_limit import TokenBucket
from purgeengine.core.limits.throughput import Throughput

MAILBOXES_MIN = 3
"""Mailboxes that must have been refused lately. One or two may have a cause of their own, such as other software."""
ROWS_TO_LIMIT = 20.0
"""Refused rows, less the rows that went through, that show a limit while none is known: a full batch."""
ROWS_TO_PAUSE = 4.0
"""The same while a limit is known, so that an attempt at a higher rate costs few refusals."""
PASSED_TO_LIMIT, PASSED_TO_PAUSE = 1.0, 1.0 / 3.0
"""Refused rows that one row outweighs that went through, while no limit is known and while one is. So nothing is concluded from
less than a half, or a quarter, of refused rows: the waits of single mailboxes cope with that."""
HELPED_SHARE_MAX = 0.25
"""Share of refused rows since the last pause up to which the lower rate has helped."""
USELESS_MAX = 3
"""Lower rates in a row that did not help before the limit is dropped. Two may be needed after a limit that fell to a tenth."""
PAUSE_S, PAUSE_S_MAX = 1.0, 10.0
"""Seconds of the first pause if the service does not ask for a wait, and at most. Mailboxes keep longer waits themselves."""
PROBE_GROWTH = 1.3
"""Growth of the pause with each refused row, so that a pause is at most a third longer than needed."""
PROBE_S_MAX = 30.0
"""The longest pause between two single rows, in seconds."""
PROBES_MAX = 20
"""Single rows that may be refused in one pause, in five to nine minutes. After that the mailboxes wait on their own."""
RECENTLY_S = 4.0
"""Seconds before a refusal that show at which rate rows went through then. They are fewer, because the rate grew meanwhile."""
LEFT = 0.9
"""The share of the highest rate that held with which a run goes on after a pause."""
HELD = 0.95
"""The share of a refused rate that is taken to hold."""
USED_SHARE, USED_AFTER_S = 0.5, 2.0
"""The share of the rate that must go through so that it grows, and the seconds after a pause from which this is asked."""
HALVED = 0.5
"""The least that is left of a rate that was refused although a higher one held before: the limit has fallen."""
CUT, CUT_MAX = 0.7, 0.3
"""The most and the least that is left of a rate that did not help."""
PLATEAU_S, PLATEAU_S_MAX = 5.0, 20.0
"""Seconds until the growing rate has reached the highest rate that held: at first, and after that was confirmed twice or more."""
NEAR = 0.2
"""Difference from the highest rate that held, as a share, up to which a refusal confirms it."""
GONE = 8.0
"""Multiple of the highest rate that held at which the limit is taken to be gone."""
BATCH_S = 0.25
"""Seconds' worth of rows that leave in one batch, so that a rate is not exceeded in bursts."""
PER_S_MIN = 0.1
"""The lowest rate, in rows per second: one row in ten seconds."""
DROPPED_S, DROPPED_S_MAX = 60.0, 1_800.0
"""Seconds in which nothing is concluded after a limit was dropped. They double each time."""
TOLD_AGAIN = 0.1
"""Change of the rate, as a share, that is worth recording again."""
TOLD_S_MIN = 10.0
"""Seconds between two records of a rate that grows."""
TRUSTED_DOUBLES_S, TRUSTED_S_MAX = 600.0, 3_600.0
"""Age in seconds at which a recorded rate counts as double, because the limit may have risen; and at which it is forgotten."""


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
        self._held = inf
        """The highest rate that held, as far as is known."""
        self._held_min = 0.0
        """The least that it can be, whatever goes through until the end of the pause."""
        self._measures = True
        """True if what goes through until the end of the pause tells which rate holds."""
        self._plateau_s = PLATEAU_S
        self._grown_s = 0.0
        """Seconds of growth. A rate that is not used does not grow."""
        self._bucket = TokenBucket(1.0, 1.0, now)
        self._resumes_at = now
        self._pause_s = PAUSE_S
        self._probes = 0
        self._score = 0.0
        """Refused rows, less the rows that went through (a CUSUM chart)."""
        self._refused_in: set[int] = set()
        """Mailboxes behind the score, up to `MAILBOXES_MIN`."""
        self._throughput = Throughput(now)
        self._cycle_passed = self._cycle_refused = 0
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
                return max(
                    PER_S_MIN,
                    min(self._held, self._throughput.per_s(self._bucket.at)) if self._measures else self._held,
                )
            case _AppState.LIMITED:
                return self._rate

    @property
    def rows_max(self) -> int:
        """The most rows of the next batch."""
        if self._state is _AppState.OPEN:
            return self._rows_max
        return 1 if self._state is _AppState.PAUSED else min(self._rows_max, max(1, int(self._rate * BATCH_S)))

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
            now < self._since + USED_AFTER_S or self._throughput.per_s(now) > USED_SHARE * self._rate
        ):
            self._grown_s += max(0.0, now - self._bucket.at - self._bucket.idle_s(now))
        self._bucket.refill(now)
        if self._state is _AppState.LIMITED:
            if self._rate > GONE * self._held:
                self._open(now)
            else:
                self._bucket.change(self._rate, self.rows_max)

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
        rate = self._rate if self._state is _AppState.LIMITED else 0.0
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
        """Take in the answer to a batch that left at ``sent_at``. Return True if the app's rate is to blame for its refusals.

        ``passed`` rows were not refused as too fast. ``refused`` has the number of each mailbox that is not at its own limits,
        and its refused rows. ``wait_s`` is the shortest wait that the service asked for with them, in seconds, or 0.
        """
        if passed:
            self._throughput.count(passed, now)
        if sent_at < self._since:
            return self._state is not _AppState.OPEN
        if self._state is _AppState.PAUSED:
            self._probed(passed, refused, now)
            return True
        rows = sum(count for _, count in refused)
        self._cycle_passed += passed
        self._cycle_refused += rows
        if now < self._ignores_until:
            return False
        is_open = self._state is _AppState.OPEN
        enough, weight = (ROWS_TO_LIMIT, PASSED_TO_LIMIT) if is_open else (ROWS_TO_PAUSE, PASSED_TO_PAUSE)
        self._score = max(0.0, self._score + rows - passed * weight)
        if not self._score:
            self._refused_in.clear()
            return False
        for mailbox, _ in refused:
            if len(self._refused_in) < MAILBOXES_MIN:
                self._refused_in.add(mailbox)
        if self._score < enough or len(self._refused_in) < MAILBOXES_MIN:
            return False
        return self._pause(wait_s, now)

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

    @property
    def _rate(self) -> float:
        """The rate now: at first `LEFT` of the highest rate that held, on the plateau all of it, and then more and more."""
        grown = (self._grown_s - self._plateau_s) / self._plateau_s
        return max(PER_S_MIN, self._held * (1.0 + (1.0 - LEFT) * grown**3))

    def _pause(self, wait_s: float, now: float) -> bool:
        """Let only single rows leave, because too many rows were refused. Return False if the limit is dropped instead."""
        if self._state is _AppState.LIMITED:
            self._judge_rate(now)
            if self._useless >= USELESS_MAX:
                self._drop(now)
                return False
        self._throughput.stand(now)
        self._state, self._since = _AppState.PAUSED, now
        self._pause_s = min(PAUSE_S_MAX, wait_s or PAUSE_S)
        self._resumes_at = now + self._pause_s
        self._probes = 0
        return True

    def _judge_rate(self, now: float) -> None:
        """Conclude from a refusal which rate holds."""
        rate = self._rate
        if self._cycle_refused > HELPED_SHARE_MAX * (self._cycle_passed + self._cycle_refused):
            self._useless += 1
            self._held, self._held_min, self._measures = CUT * rate, CUT_MAX * rate, True
            return
        self._useless, self._dropped_s = 0, DROPPED_S
        rate = min(rate, self._throughput.per_s(now, RECENTLY_S))
        confirmed = abs(rate - self._held) <= NEAR * self._held
        self._plateau_s = min(PLATEAU_S_MAX, 2.0 * self._plateau_s) if confirmed else PLATEAU_S
        if rate < self._held:
            self._measures, self._held_min = True, HALVED * rate
        self._held = HELD * rate

    def _resume(self, now: float) -> None:
        """Let rows leave at a rate, because the service takes rows again."""
        if self._measures:
            self._plateau_s = PLATEAU_S
            self._held = min(self._held, max(self._held_min, self._throughput.per_s(now)))
        self._limit_to(self._held, now)

    def _limit_to(self, held: float, now: float) -> None:
        self._state, self._since = _AppState.LIMITED, now
        self._held, self._measures, self._grown_s = max(PER_S_MIN, held), False, 0.0
        self._bucket = TokenBucket(self._rate, self.rows_max, now)
        self._begin_cycle(now)

    def _drop(self, now: float) -> None:
        """Drop the limit, because the rate is not the cause of the refusals."""
        self._open(now)
        self._ignores_until = now + self._dropped_s
        self._dropped_s = min(DROPPED_S_MAX, 2.0 * self._dropped_s)

    def _open(self, now: float) -> None:
        """Hold nothing back any more."""
        self._state, self._since = _AppState.OPEN, now
        self._held, self._held_min, self._measures, self._useless = inf, 0.0, True, 0
        self._begin_cycle(now)

    def _begin_cycle(self, now: float) -> None:
        self._throughput.go_on(now)
        self._cycle_passed = self._cycle_refused = 0
        self._score = 0.0
        self._refused_in.clear()
