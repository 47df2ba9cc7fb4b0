"""Judges a purge that was disturbed, by the tenant's own record alone."""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from purgeengine.sim.graph.tenant import Tenant
from tests.support.cli_fixtures import Bench, Row

NOT_COUNTED = (424, 429)
"""Statuses of requests that do not count. Graph forwards no row of a lane that broke. None was refused for a limit, so each 429 was
injected."""
SLACK_S = 0.2
"""Seconds between the moment at which the tenant counts a request and the one at which it runs it."""


def judge_rows(bench: Bench, rows: list[Row], there: set[Row], *, blurred: bool) -> Counter[str]:
    """Hold the export against the truth. Return how often each outcome was told.

    ``blurred`` allows contacts that were gone before to be called purged: a disk was lost. A contact that the ledger knows as sent
    twice, or as in doubt, may be called so anyway: the answer to an earlier call was lost, or its process died.
    """
    truth = bench.server.tenant.truth
    exported = bench.exported()
    assert [(row["user"], row["folder"], row["contact"]) for row in exported] == rows, (
        "not one outcome a row, in input order"
    )
    for row, given in zip(exported, rows, strict=True):
        user, _, contact = given
        outcome, gone = row["outcome"], not truth.exists(user, contact)
        what = f"{user} {contact[-8:]} is called {outcome}"
        assert outcome in ("purged", "absent"), f"{what}"
        assert gone, f"{what}, and exists"
        if given in there:
            assert outcome == "purged", f"{what}, and was purged by us"
        else:
            doubted = int(row["attempts"]) > 1 or row["in_doubt"] == "true"
            assert blurred or outcome == "absent" or doubted, f"{what}, and was never there"
    return Counter(row["outcome"] for row in exported)


def judge_limits(tenant: Tenant, mailbox_requests: int, window_s: float) -> None:
    """Look for anything that Graph would hold against the app: in the tenant's counters, and counted again from its log."""
    counters = tenant.counters
    held = (counters.refused_concurrency, counters.refused_rate, counters.early_retries, counters.violations)
    assert held == (0, 0, 0, 0), (
        f"refused at once, refused for the window, early, violations: {held} {tenant.violations[:3]}"
    )
    assert counters.mailbox_running_max <= 4
    times: dict[str, list[float]] = {}
    for entry in tenant.log:
        if entry.status in NOT_COUNTED:
            continue
        times.setdefault(entry.mailbox, []).append(entry.started_at)
    for mailbox, seen in times.items():
        seen.sort()
        first = 0
        for number, at in enumerate(seen):
            while seen[first] <= at - window_s + SLACK_S:
                first += 1
            assert number - first + 1 <= mailbox_requests, (
                f"{mailbox} got {number - first + 1} requests in {window_s} s"
            )


def calls_in(ledgers: Iterable[Path]) -> set[str]:
    """Return the ids of all calls that these ledgers know."""
    found: set[str] = set()
    for ledger in ledgers:
        with closing(sqlite3.connect(f"file:{ledger / 'ledger.sqlite'}?mode=ro", uri=True)) as connection:
            for (one,) in connection.execute("SELECT client_request_id FROM batch"):
                found.add(str(uuid.UUID(bytes=one)) if isinstance(one, bytes) else one)
    return found


def arrivals(tenant: Tenant, calls: set[str]) -> list[float]:
    """Return when requests of these calls were run, in seconds since 1970."""
    return sorted(tenant.utc_at_zero_s + entry.started_at for entry in tenant.log if entry.client_request_id in calls)
