"""A run that holds a lease: the `Supervisor` that joins the engine with what the coordinator says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from purgeengine.core.coordination.lease_messages import Tenure
from purgeengine.core.coordination.shard_lease import LeaseTimes
from purgeengine.core.messages import Entry, RunBlocked
from purgeengine.core.model import Outcome
from purgeengine.core.policy.run_figures import StopCounter
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.lease import RunLease
from purgeengine.engine.ports import Clock, Transport, Watcher
from purgeengine.engine.supervision import Tell
from purgeengine.engine.tally import Tally

LOOK_EVERY_S = 1.0
"""Seconds between two looks at what the run does. It is told with the next question, or at once if nothing is left to send for a
while."""


class LeasedRun:
    """Supervises one run. The lease must be renewed for as long as the run lasts (`RunLease.renewed`)."""

    def __init__(
        self, lease: RunLease, tenure: Tenure, worker: str, times: LeaseTimes, clock: Clock | None = None
    ) -> None:
        """``worker`` is the name of the machine, for people."""
        self.lease = lease
        self.noted: Mapping[str, object] = {
            "shard": tenure.shard,
            "generation": tenure.generation,
            "epoch": tenure.epoch,
            "worker": worker,
        }
        self._times = times
        self._clock = clock or SystemClock()
        self._began = self._clock.monotonic()
        self._watcher: LeasedWatcher | None = None

    def fence(self, transport: Transport) -> Transport:
        """Return the transport behind the fence of the lease."""
        return self.lease.fence(transport)

    def watching(self, tally: Tally, scheduler: Scheduler) -> Watcher:
        """Return a watcher that shows everything to the tally as well."""
        self._watcher = LeasedWatcher(self.lease, tally, scheduler)
        return self._watcher

    @contextmanager
    def telling(self, tell: Tell) -> Iterator[None]:
        """Pass on what the coordinator says while inside, and look at the run regularly. To be used inside a running loop."""
        looking = asyncio.ensure_future(self._look_regularly())
        try:
            with self.lease.telling(tell):
                yield
        finally:
            looking.cancel()
            self._look()

    async def _look_regularly(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    def _look(self) -> None:
        if self._watcher is not None:
            now = self._clock.monotonic()
            self._watcher.tell_figures(now - self._began, now)
            # A quota that was given away comes back with the second question at the latest.
            self.lease.want(self._watcher.scheduler.has_work_within(2.0 * self._times.ask_s, now))


class LeasedWatcher:
    """Sees the entries of a run. It counts what the coordinator adds up, and tells at once that Graph asked the app to wait."""

    def __init__(self, lease: RunLease, tally: Tally, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._lease = lease
        self._tally = tally
        self._stop_counter = StopCounter()
        self._connections = scheduler.connections

    def seen(self, entries: Sequence[Entry]) -> str | None:
        """Count a turn. Return the reason if the run must stop, else None."""
        before: Counter[Outcome] = self._tally.settled_now.copy()
        reason = self._tally.seen(entries)
        self._stop_counter.seen(entries, self._tally.settled_now - before)
        allowed = min(self._connections, self.scheduler.connections_allowed)
        cut, self._connections = self.scheduler.connections < allowed, self.scheduler.connections
        for entry in entries:
            if type(entry) is RunBlocked and not entry.passed_on:
                self._lease.asked_to_wait(entry.for_s, cut=cut)
        return reason

    def tell_figures(self, elapsed_s: float, now: float) -> None:
        """Give the figures of the run to the lease, which sends them with its next question."""
        view = self.scheduler.view
        left_s = view.time_left(now).seconds if self._tally.left else None
        figures = self._tally.figures(throttled=view.throttled, per_s=self._tally.rate(elapsed_s), left_s=left_s)
        self._lease.take_figures(figures, self._stop_counter.figures)
