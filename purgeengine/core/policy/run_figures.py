"""The figures of a run as a value that another process can add to those of other runs.

All counts are of one run, from its beginning on. So a message that is lost, doubled or late does no harm: the next one has
everything.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from purgeengine.core.messages import Entry
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.auto_stop import MAILBOXES_WEIGHED, FailureThreshold, TurnFigures, TurnReader


class StopFigures(NamedTuple):
    """What the automatic stop must know of a run, from its beginning on."""

    ended: int = 0
    """Rows that ended. Rows that were never sent do not count."""
    failed: int = 0
    denials: int = 0
    """Times that a mailbox denied the app."""
    denied_in_a_row: int = 0
    """Mailboxes that denied the app since a row was purged or absent."""
    answers: int = 0
    """Times that a mailbox was answered."""
    recent: tuple[tuple[Hashable, bool], ...] = ()
    """The mailboxes answered last, at most `MAILBOXES_WEIGHED`, and whether each denied the app."""
    denial: Reply | None = None
    """The reply that denied the app last."""

    def since(self, earlier: StopFigures, key: Callable[[Hashable], Hashable]) -> TurnFigures:
        """Return what happened after ``earlier``, as if it were one turn.

        ``key`` makes a name of a mailbox that no other run uses.
        """
        went_well = self.ended - self.failed > earlier.ended - earlier.failed
        denials = self.denials - earlier.denials
        new = min(self.answers - earlier.answers, len(self.recent))
        return TurnFigures(
            ended=self.ended - earlier.ended,
            failed=self.failed - earlier.failed,
            answered=tuple((key(mailbox), denied) for mailbox, denied in self.recent[len(self.recent) - new :]),
            denied_in_a_row=self.denied_in_a_row if went_well else denials,
            went_well=went_well,
            denial=self.denial if denials else None,
        )


class StopCounter:
    """Counts what the automatic stop must know, where it is another process that weighs it."""

    def __init__(self) -> None:
        self._reader = TurnReader()
        self._recent: OrderedDict[Hashable, bool] = OrderedDict()
        self._figures = StopFigures()

    def seen(self, entries: Sequence[Entry], settled: Mapping[Outcome, int]) -> None:
        """Count a turn: its entries, and its rows by outcome, with skipped rows counted apart."""
        turn = self._reader.turn(entries, settled)
        for mailbox, denied in turn.answered:
            self._recent[mailbox] = denied
            self._recent.move_to_end(mailbox)
            if len(self._recent) > MAILBOXES_WEIGHED:
                self._recent.popitem(last=False)
        before = self._figures
        self._figures = before._replace(
            ended=before.ended + turn.ended,
            failed=before.failed + turn.failed,
            denials=before.denials + turn.denied_in_a_row,
            denied_in_a_row=turn.denied_in_a_row + (0 if turn.went_well else before.denied_in_a_row),
            answers=before.answers + len(turn.answered),
            denial=turn.denial or before.denial,
        )

    @property
    def figures(self) -> StopFigures:
        """What was counted so far."""
        return self._figures._replace(recent=tuple(self._recent.items()))


@dataclass(frozen=True, slots=True)
class RunFigures:
    """The figures of a run, or of several runs together."""

    settled: Mapping[Outcome, int] = field(default_factory=dict)
    """Rows that got their outcome in this run, by outcome."""
    calls: int = 0
    requests: int = 0
    lost_calls: int = 0
    closed_mailboxes: int = 0
    throttled: int = 0
    """Sub-requests that Graph refused as too fast."""
    found: int = 0
    not_found: int = 0
    """Contacts that Graph looked for, and did or did not find."""
    per_s: float = 0.0
    """Rows settled a second, lately."""
    left_s: float | None = None
    """Seconds that the run will probably still take. None if that is not known, or if nothing is left."""

    def __add__(self, other: RunFigures) -> RunFigures:
        """Return the figures of both together. They end when the later one does."""
        lefts = [left_s for left_s in (self.left_s, other.left_s) if left_s is not None]
        return RunFigures(
            settled=dict(Counter(self.settled) + Counter(other.settled)),
            calls=self.calls + other.calls,
            requests=self.requests + other.requests,
            lost_calls=self.lost_calls + other.lost_calls,
            closed_mailboxes=self.closed_mailboxes + other.closed_mailboxes,
            throttled=self.throttled + other.throttled,
            found=self.found + other.found,
            not_found=self.not_found + other.not_found,
            per_s=self.per_s + other.per_s,
            left_s=max(lefts, default=None),
        )

    def ended(self) -> RunFigures:
        """Return the figures of a run that settles no more rows."""
        return replace(self, per_s=0.0, left_s=None)

    def crossed(self, threshold: FailureThreshold) -> str | None:
        """Return why too many rows have failed, as a sentence; None if they have not. Rows that were never sent do not count."""
        return crossed(threshold, self.settled)


def crossed(threshold: FailureThreshold, settled: Mapping[Outcome, int]) -> str | None:
    """Return why the run must stop, as a sentence, or None. ``settled`` has the rows by outcome.

    Skipped rows do not count, because they were never sent.
    """
    failed = sum(rows for outcome, rows in settled.items() if outcome.failed)
    return threshold.crossed(failed, sum(settled.values()) - settled.get(Outcome.SKIPPED, 0))
