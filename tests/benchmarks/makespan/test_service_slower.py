"""Services that become slower while calls are lost: never more than four requests of a mailbox run at once.

What a cooldown is learned from may be long past when a call is lost, so each way of becoming slower is tried.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from benchmarks.fault_levels import faults_with_hangs
from benchmarks.makespan.engine import mailboxes_of, play
from benchmarks.makespan.faulty_wire import FaultyWire
from benchmarks.makespan.service import Answered, Load, Service
from purgeengine.core.forecast.latency import DISPATCHES, Dispatch, Latency
from purgeengine.core.limits import lost_calls
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits

JOB = [700, 600, 500, *[40] * 20]
PROBED = 4
"""Rows that the service *all* refuses of a probe of the fanout."""
Slowness = Callable[[int, float], float]
SLOWNESS: dict[str, Slowness] = {
    "four times at once": lambda mailbox, now: 4.0 if now >= 30.0 else 1.0,
    "four times within 20 s": lambda mailbox, now: 1.0 + 3.0 * min(1.0, max(0.0, (now - 20.0) / 20.0)),
    "eight times within two minutes": lambda mailbox, now: 1.0 + 7.0 * min(1.0, now / 120.0),
    "four times for every third mailbox": lambda mailbox, now: 4.0 if now >= 30.0 and mailbox % 3 == 0 else 1.0,
    "four times for 15 s in turn": lambda mailbox, now: 4.0 if now % 30.0 >= 15.0 else 1.0,
}


class SlowingService(Service):
    """A service whose calls take longer, by mailbox and time. A call takes as long as its slowest mailbox demands."""

    slowness: Slowness

    def begin(self, loads: Sequence[Load], sequential: bool, now: float) -> Answered:
        answered = super().begin(loads, sequential, now)
        times = max(self.slowness(mailbox, now) for mailbox, _ in loads)
        return replace(answered, at=now + times * (answered.at - now))


def refused(dispatch: Dispatch, slowness: Slowness, seed: int) -> int:
    """Purge the job with many faults. Return how many rows came while four of their mailbox were running."""
    limits, latency = Limits(connections=32), Latency()
    service = SlowingService(
        latency, dispatch, window_requests=limits.mailbox_requests, window_s=limits.mailbox_window_s, seed=seed
    )
    service.slowness = slowness
    wire = FaultyWire(service, faults_with_hangs("many"), latency.overhead_s, seed=seed)
    play(Scheduler(limits, random.Random(seed), rows_left=sum(JOB)), iter(mailboxes_of(JOB)), wire)
    return service.refused_concurrency


@pytest.mark.parametrize("slowness", SLOWNESS.values(), ids=SLOWNESS)
@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_a_service_that_becomes_slower_is_never_sent_more_than_four(dispatch: Dispatch, slowness: Slowness) -> None:
    """Beside the probe of the fanout, which comes before any call is slow, no row is refused."""
    assert refused(dispatch, slowness, seed=5) <= (PROBED if dispatch == "all" else 0)


def test_cooldowns_without_a_margin_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same services refuse rows if lost calls are taken to have ended when the slowest answer has come."""
    monkeypatch.setattr(lost_calls, "MARGIN", 0.5)
    monkeypatch.setattr(lost_calls, "LANE_COOLDOWN_FACTOR", 1.0)
    assert sum(refused("all", slowness, seed=5) for slowness in SLOWNESS.values()) > PROBED * len(SLOWNESS)
