"""The jobs on which the time left is compared with the truth, and what goes wrong in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.fault_levels import faults_of, faults_with_hangs
from benchmarks.makespan.shapes import zipf
from purgeengine.sim.graph.faults import Faults


@dataclass(frozen=True, slots=True)
class OtherSoftware:
    """Another program that uses the slots of a few mailboxes at times, by the same app."""

    mailboxes: tuple[int, ...]
    slots: int = 4
    works_s: float = 4.0
    """The mean time for which it takes the slots, each time."""
    rests_s: float = 1.0
    """The mean time between two such times."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A job, the service, and its faults."""

    rows_by_mailbox: tuple[int, ...]
    faults: Faults = field(default_factory=Faults)
    connections: int = 16
    settings: Mapping[str, float] = field(default_factory=dict)
    """Settings of the tenant that differ from Graph's."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Limits of the run that differ from the usual ones."""
    others: OtherSoftware | None = None
    shuffled: bool = False


FEW, MANY, HANGS = faults_of("few"), faults_of("many"), faults_with_hangs("many")
WAITS = Faults(item_throttled_before=0.02, call_throttled=0.005, retry_after_s_max=15)
WINDOW_S = 60.0

SHAPES: dict[str, Shape] = {
    "100 x 40": Shape((40,) * 100, FEW),
    "giant and small": Shape((3_000, *[20] * 150), FEW),
    "many small": Shape((4,) * 2_000, FEW, shuffled=True),
    "zipf, no faults": Shape(tuple(zipf(9_000, 60, 0.8))),
    "throttled by others": Shape((40,) * 100, FEW, others=OtherSoftware((7,), slots=3, works_s=3.0, rests_s=2.0)),
    "waits asked for": Shape((60,) * 100, WAITS),
    "hanging calls": Shape((60,) * 100, HANGS),
    "limit of the app": Shape((40,) * 60, settings={"app_requests": 200, "app_window_s": 5.0}),
    "90 x 200": Shape((200,) * 90, FEW),
    "zipf 12,000": Shape(tuple(zipf(12_000, 60, 0.8)), FEW),
    "10 x 1,200": Shape((1_200,) * 10, FEW),
    "5 x 1,200 and small": Shape((1_200,) * 5 + (20,) * 330, FEW),
    "outage": Shape((60,) * 150, Faults(outage=(4.0, 16.0))),
}
"""The jobs that the estimate was developed with."""

KEPT_BACK: dict[str, Shape] = {
    "150 x 40, many faults": Shape((40,) * 150, MANY),
    "zipf, few faults": Shape(tuple(zipf(9_000, 60, 0.8)), FEW, shuffled=True),
    "few mailboxes, others": Shape((500,) * 8, FEW, others=OtherSoftware((0, 1), slots=2, works_s=6.0, rests_s=3.0)),
    "request windows": Shape(
        (700, *[20] * 100),
        FEW,
        settings={"mailbox_requests": 300, "mailbox_window_s": WINDOW_S},
        limits={"mailbox_requests": 300, "mailbox_window_s": WINDOW_S},
    ),
    "one mailbox": Shape((2_500,), FEW),
    "slow service": Shape((40,) * 100, FEW, settings={"latency_median_s": 0.4, "overhead_s": 0.3}),
    "64 connections": Shape((60,) * 300, FEW, connections=64, shuffled=True),
    "throttled and hanging": Shape((50,) * 80, HANGS, others=OtherSoftware((3, 40), works_s=3.0, rests_s=2.0)),
    "long waits": Shape((60,) * 60, Faults(item_throttled_before=0.01, retry_after_s_max=40)),
}
"""Jobs that the estimate was not developed with."""

LONG: dict[str, Shape] = {
    "900 x 200": Shape((200,) * 900, FEW),
    "zipf 120,000": Shape(tuple(zipf(120_000, 600, 0.8)), FEW),
}
"""Jobs of ten minutes, as users have them. They are played only if they are named."""
