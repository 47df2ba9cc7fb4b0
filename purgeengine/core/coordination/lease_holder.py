"""The side of a run that holds a lease: what it asks, and what the answers mean for its engine. It sends nothing itself."""

from __future__ import annotations

from math import inf

from purgeengine.core.coordination.lease_clock import Instant, LeaseClock
from purgeengine.core.coordination.lease_messages import Notice, Over, Question, ReportedWait, Said, Tenure
from purgeengine.core.coordination.quota_book import NO_QUOTA
from purgeengine.core.messages import AskedToWait, QuotaChanged
from purgeengine.core.policy.run_figures import RunFigures, StopFigures


class LeaseHolder:
    """Holds the lease of one run. Give it every answer; it knows which of them count."""

    def __init__(self, tenure: Tenure, run: str, disk: str, client_id: str, lease_s: float) -> None:
        self.tenure = tenure
        self.run = run
        self.quota = NO_QUOTA
        """What the run may use of the app while its lease lasts."""
        self.wants = True
        """False while all mailboxes of the shard only wait, so that others may have its quota. Change it with `want`."""
        self.asks_now = True
        """True if the run should ask at once: it has news, or others wait for what it no longer uses."""
        self.over: str | None = None
        """Why the run may never send again; None while it may."""
        self.stop: str | None = None
        """Why the run must stop in order; None if it need not."""
        self._disk = disk
        self._client_id = client_id
        self._clock = LeaseClock(lease_s)
        self._term = 0
        self._waits = 0
        self._wait_until = -inf
        self._wait_cut = False
        self._wait_heard = 0

    def left_s(self, now: Instant) -> float:
        """Return for how many seconds the run may send. 0 or less if it may not."""
        return -inf if self.over is not None else self._clock.left_s(now)

    def ask(self, now: Instant, figures: RunFigures | None = None, stop: StopFigures | None = None) -> Question:
        """Return the next question. It must be sent after this call, never kept: the lease counts from ``now``."""
        self.asks_now = False
        holds = self.quota if self.left_s(now) > 0.0 else NO_QUOTA
        wait = None
        if now.boot < self._wait_until:
            wait = ReportedWait(self._waits, self._wait_until - now.boot, self._wait_cut)
        return Question(
            self.tenure,
            self.run,
            self._clock.ask(now),
            self._disk,
            self._client_id,
            holds,
            self.wants,
            wait,
            self._wait_heard,
            figures or RunFigures(),
            stop or StopFigures(),
        )

    def want(self, wants: bool) -> None:
        """Take in whether the run has something to send before long."""
        self.asks_now = self.asks_now or wants != self.wants
        self.wants = wants

    def asked_to_wait(self, for_s: float, now: Instant, *, cut: bool) -> None:
        """Take in that Graph asked this run to wait, so that the others are told."""
        if now.boot + for_s <= self._wait_until:
            return
        self._waits += 1
        self._wait_until = now.boot + for_s
        self._wait_cut = cut
        self.asks_now = True

    def heard(self, said: Said) -> list[QuotaChanged | AskedToWait]:
        """Take in an answer. Return what the engine must be told, in this order."""
        if said.run != self.run or said.term < self._term or self.over is not None:
            return []
        self._term = said.term
        if isinstance(said, Over):
            self.over = said.reason
            self._clock.end()
            return []
        events: list[QuotaChanged | AskedToWait] = []
        if said.wait is not None and said.wait.number > self._wait_heard:
            self._wait_heard = said.wait.number
            events.append(AskedToWait(said.wait.for_s, said.wait.cut))
        self.stop = self.stop or said.stop
        if isinstance(said, Notice) or not self._clock.granted(said.number):
            return events
        if said.quota != self.quota:
            lowered = said.quota[0] < self.quota[0] or said.quota[1] < self.quota[1]
            self.asks_now = self.asks_now or lowered
            self.quota = said.quota
            events.append(QuotaChanged(float(said.quota.requests_per_s), said.quota.connections))
        return events
