"""Counts entries: what a run has done so far, for the progress display and the summary."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from purgeengine import log_events, logs
from purgeengine.core.messages import BatchEnded, BatchSent, Entry, MailboxClosed, Settled
from purgeengine.core.model import Outcome
from purgeengine.core.policy.auto_stop import AbsenceWatch, AutoStop, FailureThreshold
from purgeengine.core.policy.run_figures import RunFigures, crossed

PACE_S = 10.0
"""The seconds over which the shown rate is taken: steady enough to read, and short enough to stand beside the time left. Over half
a minute, the last rows of a large mailbox looked as fast as all mailboxes had been."""


class Tally:
    """Counts the entries of a run. ``settled_before`` are the outcomes that earlier runs of the ledger left."""

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
        self.late_answers = 0
        """Answers that came after their call had been given up. Those calls are not lost any more."""
        self.closed_mailboxes = 0
        self._threshold = threshold
        self._auto_stop = auto_stop
        self._absence = AbsenceWatch()
        self._marks: deque[tuple[float, int]] = deque([(0.0, 0)])

    def seen(self, entries: Sequence[Entry]) -> str | None:
        """Count a turn's entries. Returns the reason if the run must stop, else None."""
        settled: Counter[Outcome] = Counter()
        for entry in entries:
            if type(entry) is Settled:
                settled[entry.outcome] += entry.rows
                self._absence.take(entry)
            elif type(entry) is BatchSent:
                self.calls += 1
                self.requests += sum([len(share.attempts) for share in entry.shares])
            elif type(entry) is BatchEnded:
                self.lost_calls += (entry.status is None) - entry.late
                self.late_answers += entry.late
            elif type(entry) is MailboxClosed:
                self.closed_mailboxes += 1
                settled[Outcome.SKIPPED] += entry.skipped
        self.outcomes.update(settled)
        self.settled_now.update(settled)
        if (warning := self._absence.warning()) is not None:
            logs.get_logger().warning(log_events.RUN_DOUBTED, because=warning)
        return self._crossed() or (None if self._auto_stop is None else self._auto_stop.seen(entries, settled))

    def _crossed(self) -> str | None:
        """Return why too many rows have failed; None if they have not.

        Skipped rows do not count, because they were never sent.
        """
        return None if self._threshold is None else crossed(self._threshold, self.settled_now)

    def figures(self, *, throttled: int, per_s: float, left_s: float | None) -> RunFigures:
        """Return what this run has done so far, to be added to the figures of other runs.

        ``throttled`` are the sub-requests that Graph refused as too fast. ``per_s`` are the rows settled a second, and ``left_s``
        the seconds that the run will still take, or None.
        """
        sought = self._absence.sought
        return RunFigures(
            settled=dict(self.settled_now),
            calls=self.calls,
            requests=self.requests,
            lost_calls=self.lost_calls,
            closed_mailboxes=self.closed_mailboxes,
            throttled=throttled,
            found=sought.found,
            not_found=sought.not_found,
            per_s=per_s,
            left_s=left_s,
        )

    @property
    def settled(self) -> int:
        """Rows with an outcome, including those of earlier runs and those that were never sent."""
        return self.outcomes.total()

    @property
    def left(self) -> int:
        """Rows without an outcome."""
        return max(0, self.rows - self.settled)

    def rate(self, elapsed_s: float) -> float:
        """Return the rows settled a second over the last ten seconds, ``elapsed_s`` seconds after the start.

        It remembers the counts at earlier calls. If it is asked less often, it returns the rate since the last call but one.
        """
        now = elapsed_s
        self._marks.append((now, self.settled_now.total()))
        while len(self._marks) > 2 and self._marks[1][0] <= now - PACE_S:
            self._marks.popleft()
        since, settled = self._marks[0]
        return (self.settled_now.total() - settled) / (now - since) if now > since else 0.0
