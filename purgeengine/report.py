"""Entries in, figures out: what a run has done so far, for the progress display and the summary."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purgeengine import logs
from purgeengine.core.absence import Absence
from purgeengine.core.action import Action
from purgeengine.core.advice import Advice
from purgeengine.core.course import Closeness
from purgeengine.core.guard import FAILURES, AbsenceWatch, AutoStop, FailureThreshold
from purgeengine.core.input_words import plain
from purgeengine.core.messages import BatchEnded, BatchSent, Entry, MailboxClosed, Settled
from purgeengine.core.model import Outcome

ENDED_BADLY = (Outcome.REFUSED, Outcome.EXHAUSTED, Outcome.INVALID, Outcome.SKIPPED)
PACE_S = 30.0
"""The rate shown is that of the last half minute: steady enough to read, quick enough to see a throttle."""


class Tally:
    """Counts what the engine reports. ``settled_before`` are the outcomes an earlier run of the same ledger left."""

    def __init__(
        self,
        rows: int,
        settled_before: Mapping[Outcome, int],
        threshold: FailureThreshold | None = None,
        auto_stop: AutoStop | None = None,
    ) -> None:
        self.rows = rows
        self.outcomes: Counter[Outcome] = Counter(settled_before)
        self.settled_now: Counter[Outcome] = Counter()
        self.calls = 0
        self.requests = 0
        self.lost_calls = 0
        self.closed_mailboxes = 0
        self._threshold = threshold
        self._auto_stop = auto_stop
        self._absence = AbsenceWatch()
        self._marks: deque[tuple[float, int]] = deque([(0.0, 0)])

    def seen(self, entries: Sequence[Entry]) -> str | None:
        """Count a turn's entries; answer why the run must stop, if it must."""
        settled: Counter[Outcome] = Counter()
        for entry in entries:
            if type(entry) is Settled:
                settled[entry.outcome] += entry.rows
                self._absence.take(entry)
            elif type(entry) is BatchSent:
                self.calls += 1
                self.requests += sum([len(part.attempts) for part in entry.parts])
            elif type(entry) is BatchEnded:
                self.lost_calls += entry.status is None
            elif type(entry) is MailboxClosed:
                self.closed_mailboxes += 1
                settled[Outcome.SKIPPED] += entry.skipped
        self.outcomes.update(settled)
        self.settled_now.update(settled)
        if (warning := self._absence.warning()) is not None:
            logs.get_logger().warning(logs.RUN_DOUBTED, because=warning)
        return self._crossed() or (None if self._auto_stop is None else self._auto_stop.seen(entries, settled))

    def _crossed(self) -> str | None:
        """A row that was skipped was never sent: it is no failure, and no success that would outweigh one."""
        if self._threshold is None:
            return None
        failed = sum(self.settled_now[outcome] for outcome in FAILURES)
        return self._threshold.crossed(failed, self.settled_now.total() - self.settled_now[Outcome.SKIPPED])

    @property
    def settled(self) -> int:
        """Rows with an outcome, those of earlier runs and those never sent included."""
        return self.outcomes.total()

    @property
    def left(self) -> int:
        """Rows without an outcome."""
        return max(0, self.rows - self.settled)

    def rate(self, elapsed_s: float) -> float:
        """Rows settled a second over the last half minute, ``elapsed_s`` after the start; to be asked regularly."""
        now = elapsed_s
        self._marks.append((now, self.settled_now.total()))
        while self._marks[0][0] < now - PACE_S:
            self._marks.popleft()
        since, settled = self._marks[0]
        return (self.settled_now.total() - settled) / (now - since) if now > since else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of a run; `as_json` is the contract of ``--json``."""

    ledger: str
    rows: int
    outcomes: Mapping[Outcome, int]
    waiting: int
    in_doubt: int
    complete: bool
    calls: int
    requests: int
    throttled: int
    lost_calls: int
    closed_mailboxes: int
    settled_now: int
    """Rows settled by this run; ``outcomes`` tells of all."""
    duration_s: float
    exit_code: int
    stopped: str | None = None
    """Why the run ended before its time, as a sentence."""
    fanout: int | None = None
    action: Action = Action.PERMANENT_DELETE
    """What was done to the contacts."""
    held_s: float = 0.0
    """The part of ``duration_s`` in which it was not the time to send."""
    absence: Absence | None = None
    """Where nothing, or nearly nothing, was found under its id; None where that is nowhere so."""
    advice: Sequence[Advice] = ()
    """What to do next, most of it where rows did not end well."""
    closeness: Closeness | None = None
    """The least time of the rows that this run settled by asking Graph; None where it did not begin."""

    reading: Mapping[str, Any] | None = None
    """What was taken from the input and left alone there (see `purgeengine.core.input_words`)."""

    @property
    def times_the_least(self) -> float | None:
        """How many times the least time the run took, waits for Graph included and hours in which it was not to send left out."""
        if self.closeness is None or not self.closeness.least_s:
            return None
        return (self.duration_s - self.held_s) / self.closeness.least_s

    def as_json(self) -> dict[str, Any]:
        """Plain values; every outcome is present, also with 0."""
        return {
            "ledger": self.ledger,
            "action": self.action.value,
            "rows": self.rows,
            "outcomes": {outcome.value: self.outcomes.get(outcome, 0) for outcome in Outcome},
            "waiting": self.waiting,
            "in_doubt": self.in_doubt,
            "complete": self.complete,
            "calls": self.calls,
            "requests": self.requests,
            "throttled": self.throttled,
            "lost_calls": self.lost_calls,
            "closed_mailboxes": self.closed_mailboxes,
            "settled_now": self.settled_now,
            "duration_s": round(self.duration_s, 3),
            "items_per_s": round(self.settled_now / self.duration_s, 1) if self.duration_s > 0 else 0.0,
            "held_s": round(self.held_s, 3),
            **self._closeness_as_json(),
            "fanout": self.fanout,
            "nothing_found": None if self.absence is None else self.absence.as_json(),
            "advice": [advice.as_json() for advice in self.advice],
            **plain(self.reading),
            "stopped": self.stopped,
            "exit_code": self.exit_code,
        }

    def _closeness_as_json(self) -> dict[str, Any]:
        closeness, times = self.closeness, self.times_the_least
        if closeness is None or times is None:
            return {"least_s": None, "times_the_least": None, "latencies": None}
        return {
            "least_s": round(closeness.least_s, 3),
            "times_the_least": round(times, 2),
            "latencies": "timed" if closeness.timed else "assumed",
        }


def exit_code_of(outcomes: Mapping[Outcome, int], unfinished: int) -> int:
    """4 while rows are open; 1 when some row did not end well; else 0.

    A duplicate ends as its first row did, so that it matters only where that one failed, and then the code is 1 already.
    """
    if unfinished:
        return 4
    return 1 if any(outcomes.get(outcome, 0) for outcome in ENDED_BADLY) else 0
