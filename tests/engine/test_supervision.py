"""Tests of a purge that is one of several: in any thread, fenced, stopped from outside, and told what the others make necessary."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.messages import AskedToWait, Entry, QuotaChanged, SendWindow
from purgeengine.core.policy.run_figures import RunFigures
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.login.environment import tokens_from_environment
from purgeengine.edges.source.opened import open_source
from purgeengine.engine.ports import RawAnswer, Transport, Watcher
from purgeengine.engine.supervision import Tell
from purgeengine.engine.tally import Tally
from purgeengine.errors import HeldBack
from purgeengine.jobs.callbacks import StopHandle
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.progress import Silence
from purgeengine.jobs.purge import Purge
from purgeengine.jobs.summary import Summary
from purgeengine.run_limits import Limits
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of


class Above:
    """A supervisor whose word a test gives."""

    def __init__(self, then: Callable[[Tell], None] = lambda tell: None, *, allowed: bool = True) -> None:
        self.lease = self
        self.allowed = allowed
        self.noted = {"epoch": 7}
        self.entries: list[Entry] = []
        self.held_back = 0
        self._then = then

    def at(self, utc: float) -> SendWindow:
        return SendWindow(True, 30.0, None)

    def fence(self, transport: Transport) -> Transport:
        above = self

        class Fence:
            async def post(self, body: bytes, client_request_id: str, token: str) -> RawAnswer:
                if not above.allowed:
                    above.held_back += 1
                    raise HeldBack("the lease was over")
                return await transport.post(body, client_request_id, token)

        return Fence()

    def watching(self, tally: Tally, scheduler: Scheduler) -> Watcher:
        above, self.tally = self, tally

        class Both:
            def seen(self, entries: Sequence[Entry]) -> str | None:
                above.entries += entries
                return tally.seen(entries)

        return Both()

    @contextmanager
    def telling(self, tell: Tell) -> Iterator[None]:
        threading.Thread(target=self._then, args=(tell,), daemon=True).start()
        yield


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A list of 120 rows, and a tenant that has them."""
    rows = rows_of([60, 40, 20])
    with a_bench(tmp_path, a_tenant(rows), rows) as made:
        yield made


def purged(bench: Bench, above: Above, stop: StopHandle | None = None) -> Summary:
    """Purge the bench's list in a thread that is not the main one, and return the summary."""
    app, server = bench.server.login.app, bench.server
    environment = {
        "AZURE_TENANT_ID": app.tenant_id,
        "AZURE_CLIENT_ID": app.client_id,
        "AZURE_CLIENT_SECRET": app.client_secret,
    }
    endpoint = GraphEndpoint(server.graph_url, server.authority_url, server.ca_file)
    tokens = tokens_from_environment(
        environment, authority_url=server.authority_url, graph_url=server.graph_url, ca_file=server.ca_file
    )
    found: list[Any] = []

    def work() -> None:
        with Ledger.open(bench.ledger, open_source([bench.input]), tenant_id=app.tenant_id) as ledger:
            stopping = {} if stop is None else {"stopping": stop.stopping}
            found.append(Purge(ledger, tokens, endpoint, Limits(), Silence(), supervisor=above, **stopping).run())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60.0)
    assert found, "the purge did not end"
    summary: Summary = found[0]
    return summary


def test_a_supervised_purge_runs_in_any_thread_and_notes_what_it_is_told_to(bench: Bench) -> None:
    """All rows are purged, the start of the run has the epoch, and the supervisor has seen every entry and the figures."""
    above = Above()
    summary = purged(bench, above)
    assert (summary.complete, summary.outcomes["purged"]) == (True, 120)  # type: ignore[index]
    with closing(sqlite3.connect(bench.ledger / "ledger.sqlite")) as ledger:
        (options,) = ledger.execute("SELECT options FROM start").fetchone()
    assert json.loads(options)["epoch"] == 7
    figures = above.tally.figures(throttled=0, per_s=0.0, left_s=None)
    assert figures == RunFigures(
        {"purged": 120},  # type: ignore[dict-item]
        summary.calls,
        summary.requests,
        found=120,
    )


def test_a_purge_in_any_thread_is_stopped_by_a_handle(bench: Bench) -> None:
    """A run that has no share of the rate sends nothing, and ends in order when it is told to stop."""
    stop = StopHandle()

    def then(tell: Tell) -> None:
        tell(QuotaChanged(0.0, 0))
        time.sleep(0.3)
        stop.stop("the coordinator asked for it")

    summary = purged(bench, Above(then, allowed=False), stop)
    assert (summary.exit_code, bench.server.tenant.counters.calls) == (4, 0)
    assert "the coordinator asked for it" in (summary.stopped or "")
    assert summary.in_doubt == 0


def test_nothing_passes_a_closed_fence_and_no_row_is_in_doubt(bench: Bench) -> None:
    """Batches that the fence holds back are sent later, once each, and are no outage."""
    above = Above(allowed=False)

    def then(tell: Tell) -> None:
        time.sleep(0.3)
        assert bench.server.tenant.counters.calls == 0
        tell(AskedToWait(0.1))
        above.allowed = True

    above._then = then
    summary = purged(bench, above)
    assert summary.complete
    assert above.held_back > 0
    assert bench.server.tenant.counters.calls <= summary.calls - above.held_back
    assert bench.server.tenant.counters.requests == 120
