"""How close a run comes to the limit of the whole app, where only single rows are refused and no answer names the limit.

    python -m benchmarks.app_limit               (half a minute)
    python -m benchmarks.app_limit --json out.json

Everything runs in simulated time, like `benchmarks.makespan`. The service takes so many requests in a sliding window over all
mailboxes, refused ones included, and asks each refused row to come again after a second. The limit may change, and another
program may use a part of it. A ratio is the makespan divided by the least time: that of a client which knows the limit at
every moment. In parentheses: refusals for each row. The last column is the same scheduler without the learned rate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from benchmarks.makespan import engine
from benchmarks.makespan.service import Answered, Load, Service
from purgeengine.core.forecast.latency import Latency
from purgeengine.core.limits.app_rate import AppRate
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.app_window import AppWindow
from purgeengine.sim.graph.counters import Counters
from purgeengine.sim.tenant_settings import TenantSettings

STEP_S = 0.25
"""Seconds between two looks at what changes over time."""
RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """A limit of the app, and a job. ``requests_at`` and ``others_at`` give the limit, and the others' requests a second."""

    name: str
    requests: int
    window_s: float
    mailboxes: int
    rows: int
    requests_at: Callable[[float], int] | None = None
    others_at: Callable[[float], float] = field(default=lambda now: 0.0)

    def allowed(self, now: float) -> int:
        """Return the requests in a window at this time."""
        return self.requests if self.requests_at is None else self.requests_at(now)

    @property
    def least_s(self) -> float:
        """The seconds that the rows take if the limit is used to the full; the first window is there at once."""
        now, left = 0.0, float(self.rows - self.allowed(0.0))
        while left > 0.0:
            left -= STEP_S * max(0.0, self.allowed(now) / self.window_s - self.others_at(now))
            now += STEP_S
        return max(now, STEP_S)


CASES = (
    Case("100 in 5 s, 60 mailboxes", 100, 5.0, 60, 1_200),
    Case("100 in 5 s, 1,000 mailboxes", 100, 5.0, 1_000, 4_000),
    Case("2,000 in 10 s", 2_000, 10.0, 200, 20_000),
    Case("6,500 in 5 s", 6_500, 5.0, 1_000, 60_000),
    Case("6,000 in 10 min", 6_000, 600.0, 100, 12_000),
    Case("200/s, after 20 s 40/s", 1_000, 5.0, 60, 6_000, lambda now: 1_000 if now < 20 else 200),
    Case("40/s, after 60 s 200/s", 200, 5.0, 60, 12_000, lambda now: 200 if now < 60 else 1_000),
    Case("100/s, others take 60/s at times", 500, 5.0, 60, 6_000, others_at=lambda now: 60.0 if now % 60 > 30 else 0.0),
)


class LimitedService(Service):
    """The service of `benchmarks.makespan`, with a limit of the whole app."""

    def __init__(self, case: Case, limits: Limits) -> None:
        super().__init__(Latency(), "four", window_requests=limits.mailbox_requests, window_s=limits.mailbox_window_s)
        self.counters = Counters()
        settings = TenantSettings(
            app_requests=case.requests, app_window_s=case.window_s, app_retry_after_s=RETRY_AFTER_S
        )
        self._window = AppWindow(settings, self.counters)
        self._case = case
        self._seen_until = 0.0
        self._owed = 0.0

    def begin(self, loads: Sequence[Load], sequential: bool, now: float) -> Answered:
        """Begin a call, and refuse the rows beyond the limit of the app. They do not reach their mailboxes."""
        self._let_pass(now)
        over = [sum(self._window.admit(now) is not None for _ in range(rows)) for _, rows in loads]
        rest = [Load(mailbox, rows - refused) for (mailbox, rows), refused in zip(loads, over, strict=True)]
        answered = super().begin(rest, sequential, now)
        refused = [
            (rows + mine, max(wait_s, RETRY_AFTER_S if mine else 0.0))
            for (rows, wait_s), mine in zip(answered.refused, over, strict=True)
        ]
        return Answered(answered.at, tuple(refused), answered.turned_away)

    def _let_pass(self, now: float) -> None:
        while self._seen_until < now:
            self._window.allow(self._case.allowed(self._seen_until))
            self._owed += STEP_S * self._case.others_at(self._seen_until)
            self._window.note_others(self._seen_until, int(self._owed))
            self._owed %= 1.0
            self._seen_until += STEP_S


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of a case: the least time, the makespan, and the refusals for each row."""

    least_s: float
    makespan_s: float
    refused: float

    @property
    def ratio(self) -> float:
        """The makespan divided by the least time."""
        return self.makespan_s / self.least_s


def play(case: Case, *, learns: bool) -> Figures:
    """Play one case, with or without the learned rate."""
    limits = Limits()
    service = LimitedService(case, limits)
    job = [case.rows // case.mailboxes] * case.mailboxes
    with nullcontext() if learns else patch.object(AppRate, "answered", return_value=None):
        makespan_s = engine.run(job, limits, service)
    return Figures(case.least_s, makespan_s, service.counters.refused_app / case.rows)


def main() -> None:
    """Play all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    print(f"{'limit of the app':36}{'least':>8}{'learned rate':>18}{'without':>18}")
    told = []
    for case in CASES:
        figures = [play(case, learns=learns) for learns in (True, False)]
        cells = "".join(f"{one.ratio:9.2f} {f'({one.refused:.2f})':>8}" for one in figures)
        print(f"{case.name:36}{case.least_s:7.0f}s{cells}")
        sys.stdout.flush()
        told += [
            {
                "case": case.name,
                "learns": learns,
                "ratio": round(one.ratio, 3),
                "refused_for_each_row": round(one.refused, 3),
            }
            for learns, one in zip((True, False), figures, strict=True)
        ]
    if arguments.json:
        arguments.json.write_text(json.dumps(told, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
