"""The result of a run: its figures, its JSON object and its exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from purgeengine.core.forecast.eta import Closeness
from purgeengine.core.graph.operations import Action
from purgeengine.core.model import Outcome
from purgeengine.core.policy.absent_rows import Absence
from purgeengine.core.policy.advice import Advice
from purgeengine.core.policy.input_words import plain
from purgeengine.errors import ErrorKind
from purgeengine.json_output.envelope import Error
from purgeengine.json_output.run_output import RunOutput
from purgeengine.json_output.shared import Outcomes, advised_steps


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a purge. ``rows``, ``outcomes``, ``waiting`` and ``in_doubt`` count the whole ledger, with earlier runs."""

    ledger: str
    """The folder of the ledger."""
    rows: int
    """All rows of the input: those with an outcome, those ``waiting`` and those ``in_doubt``."""
    outcomes: Mapping[Outcome, int]
    """Number of rows by outcome."""
    waiting: int
    """Rows that are still to be sent, or to be sent again."""
    in_doubt: int
    """Rows that were sent and whose answer is unknown. Resuming settles them."""
    complete: bool
    """True if every row has its outcome, so that there is nothing to resume. Some rows may have failed all the same."""
    calls: int
    """Calls to Graph in this run. One call carries one batch of 1 to 20 sub-requests."""
    requests: int
    """Sub-requests in those calls."""
    throttled: int
    """Sub-responses of this run that throttled a mailbox (429, for example). Their rows are sent again."""
    lost_calls: int
    """Calls of this run that got no usable answer."""
    closed_mailboxes: int
    """Mailboxes that this run gave up, so that their other rows were skipped."""
    settled_now: int
    """Rows settled by this run."""
    duration_s: float
    """Duration of this run, in seconds."""
    exit_code: int
    """What the command line would exit with: 0 if all rows ended well, 1 if some did not, 3 to 5 if the run ended early."""
    stopped: str | None = None
    """Why the run ended early and what to do, in sentences. None if it did not."""
    stopped_kind: ErrorKind | None = None
    """The kind of the error that ended the run early, as ``--json`` names it. None if none did."""
    fanout: int | None = None
    """How many rows of one mailbox share a batch: 4 or 20. None if that was not decided or nothing was sent."""
    late_answers: int = 0
    """Answers that came after their call had been given up as lost. These calls are not in ``lost_calls``."""
    left_out_rows: int = 0
    """Rows that a filter left out, as asked. They are among the skipped rows."""
    action: Action = Action.PERMANENT_DELETE
    """What was done to the contacts."""
    app_limit_per_s: float | None = None
    """Requests per second that Graph took from the whole app at the end of the run. None if the run met no such limit."""
    held_s: float = 0.0
    """Seconds of ``duration_s`` in which ``hours`` did not allow the run to send."""
    absence: Absence | None = None
    """A warning that hardly any contact was found in a mailbox or in the whole list. None if there is nothing to warn about."""
    advice: Sequence[Advice] = ()
    """What to do next, as sentences with commands."""
    closeness: Closeness | None = None
    """The shortest time in which the rows of this run could have been settled. None if the run did not begin."""

    reading: Mapping[str, Any] | None = None
    """How the input was read: its columns, and the files that were left alone (see `purgeengine.core.policy.input_words`)."""

    @property
    def times_the_least(self) -> float | None:
        """The duration of the run divided by the shortest possible time. Waits for Graph count, hours without sending do not."""
        if self.closeness is None or not self.closeness.least_s:
            return None
        return (self.duration_s - self.held_s) / self.closeness.least_s

    def as_json(self, command: str = "run") -> dict[str, Any]:
        """Return the object that ``--json`` prints for a command (see docs/json.md). Its keys are stable."""
        found: dict[str, Any] = msgspec.to_builtins(self.output(command))
        return found

    def output(self, command: str) -> RunOutput:
        """Return the same object, typed."""
        return RunOutput(**self.output_fields(command))

    def output_fields(self, command: str) -> dict[str, Any]:
        """Return the fields of that object, for an object that has more."""
        times = self.times_the_least
        closeness = None if times is None else self.closeness
        return {
            "command": command,
            "exit_code": self.exit_code,
            "error": None if self.stopped is None else Error.of(self.stopped_kind or "failed", self.stopped),
            **plain(self.reading),
            "ledger": self.ledger,
            "action": self.action.value,
            "rows": self.rows,
            "outcomes": Outcomes.of(self.outcomes),
            "waiting": self.waiting,
            "in_doubt": self.in_doubt,
            "complete": self.complete,
            "calls": self.calls,
            "requests": self.requests,
            "throttled": self.throttled,
            "app_limit_per_s": None if self.app_limit_per_s is None else round(self.app_limit_per_s, 1),
            "lost_calls": self.lost_calls,
            "late_answers": self.late_answers,
            "left_out_rows": self.left_out_rows,
            "closed_mailboxes": self.closed_mailboxes,
            "settled_now": self.settled_now,
            "duration_s": round(self.duration_s, 3),
            "items_per_s": round(self.settled_now / self.duration_s, 1) if self.duration_s > 0 else 0.0,
            "held_s": round(self.held_s, 3),
            "least_s": None if closeness is None else round(closeness.least_s, 3),
            "times_the_least": None if times is None else round(times, 2),
            "latencies": None if closeness is None else "timed" if closeness.timed else "assumed",
            "fanout": self.fanout,
            "nothing_found": None if self.absence is None else self.absence.as_json(),
            "advice": advised_steps((one.sentence, one.commands) for one in self.advice),
            "stopped": self.stopped,
        }


def exit_code_of(outcomes: Mapping[Outcome, int], unfinished: int) -> int:
    """Return 4 if rows are unfinished, 1 if some row did not end well, otherwise 0.

    A duplicate ends as its first row did. If that one failed, the code is 1 already, so duplicates are not looked at.
    """
    if unfinished:
        return 4
    return 1 if any(rows for outcome, rows in outcomes.items() if outcome.ended_badly) else 0
