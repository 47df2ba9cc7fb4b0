"""What became of a run: the contract of ``--json``, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purgeengine.core.forecast.eta import Closeness
from purgeengine.core.graph.operations import Action
from purgeengine.core.model import Outcome
from purgeengine.core.policy.absent_rows import Absence
from purgeengine.core.policy.advice import Advice
from purgeengine.core.policy.input_words import plain


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
    """What was taken from the input and left alone there (see `purgeengine.core.policy.input_words`)."""

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
    return 1 if any(rows for outcome, rows in outcomes.items() if outcome.ended_badly) else 0
