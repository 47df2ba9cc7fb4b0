"""Tests of runs that hold leases: real purges in threads and processes, with the product's coordinator between them."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.coordination.coordinator import Coordinator
from purgeengine.core.coordination.coordinator_messages import (
    Collect,
    Collected,
    CoordinatorEvent,
    Give,
    RunReturned,
    Save,
    Tell,
    WorkerSeen,
    WorkersSeen,
)
from purgeengine.core.coordination.lease_holder import LeaseHolder
from purgeengine.core.coordination.lease_messages import Tenure
from purgeengine.core.coordination.quota_book import AppQuota
from purgeengine.core.coordination.shard_lease import LeaseTimes
from purgeengine.core.coordination.shard_record import HeadRecord, ShardRecord
from purgeengine.core.model import Outcome
from purgeengine.edges.lease import RunLease, boot_time
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.login.environment import tokens_from_environment
from purgeengine.edges.source.opened import open_source
from purgeengine.jobs.coordination.leased_run import LeasedRun
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.progress import Silence
from purgeengine.jobs.purge import Purge
from purgeengine.jobs.summary import Summary
from purgeengine.run_limits import Limits
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of, write_csv

ROOT = Path(__file__).parents[3]
TIMES = LeaseTimes(lease_s=5.0, ask_s=0.05, margin_s=1.0, start_s=60.0, again_s=0.1)


def credentials(bench: Bench) -> dict[str, str]:
    """Return the environment of a worker."""
    app = bench.server.login.app
    return {
        "AZURE_TENANT_ID": app.tenant_id,
        "AZURE_CLIENT_ID": app.client_id,
        "AZURE_CLIENT_SECRET": app.client_secret,
    }


def leased(
    environment: dict[str, str], endpoint: GraphEndpoint, ledger: Path, source: Path, run: LeasedRun, limits: Limits
) -> Summary:
    """Purge a shard under its lease."""
    tokens = tokens_from_environment(
        environment, authority_url=endpoint.authority_url, graph_url=endpoint.graph_url, ca_file=endpoint.ca_file
    )
    with Ledger.open(ledger, open_source([source]), tenant_id=environment["AZURE_TENANT_ID"]) as opened:
        return Purge(opened, tokens, endpoint, limits, Silence(), supervisor=run).run()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A tenant with six mailboxes."""
    rows = rows_of([60, 40, 20, 60, 40, 20])
    with a_bench(tmp_path, a_tenant(rows), rows) as made:
        yield made


class Threads:
    """A coordinator whose workers are threads, each with one shard."""

    def __init__(self, bench: Bench, shards: int) -> None:
        self.bench = bench
        rows = rows_of([60, 40, 20, 60, 40, 20])
        self.inputs = [
            write_csv(bench.folder / f"shard-{n}.csv", [row for row in rows if int(row[0][4:8]) % shards == n])
            for n in range(shards)
        ]
        self.inbox: queue.SimpleQueue[CoordinatorEvent] = queue.SimpleQueue()
        self.record = HeadRecord(1, {n: ShardRecord() for n in range(shards)})
        self.core = Coordinator(self.record, AppQuota(1_000, 8), now=boot_time(), utc=time.time(), times=TIMES)
        self.leases: dict[str, RunLease] = {}
        self.summaries: list[Summary] = []
        self.reserved: list[AppQuota] = []

    def play(self) -> None:
        """Carry events and commands until all shards are done."""
        event: CoordinatorEvent = WorkersSeen((WorkerSeen("thread", "disk", "app"),))
        end = time.monotonic() + 60.0
        while not self.core.finished:
            assert time.monotonic() < end, "the purge did not end"
            for command in self.core.handle(event, now=boot_time(), utc=time.time(), term_on_disk=1):
                match command:
                    case Save(record):
                        self.record = record
                    case Give(tenure):
                        threading.Thread(target=self._works, args=(tenure,), daemon=True).start()
                    case Tell(said):
                        self.leases[said.run].heard(said)
                    case Collect(shard, generation):
                        self.inbox.put(Collected(shard, generation))
            self.reserved += self.core.reserved.values()
            event = self.inbox.get(timeout=60.0) if not self.core.finished else event

    def _works(self, tenure: Tenure) -> None:
        server, name = self.bench.server, f"run-{tenure.shard}-{tenure.epoch}"
        lease = RunLease(LeaseHolder(tenure, name, "disk", "app", TIMES.lease_s), self.inbox.put, ask_s=TIMES.ask_s)
        self.leases[name] = lease
        endpoint = GraphEndpoint(server.graph_url, server.authority_url, server.ca_file)
        with lease.renewed():
            assert lease.begins(30.0)
            run = LeasedRun(lease, tenure, "thread", TIMES)
            ledger, source = self.bench.folder / f"ledger-{tenure.shard}", self.inputs[tenure.shard]
            summary = leased(credentials(self.bench), endpoint, ledger, source, run, Limits(connections=8))
            self.summaries.append(summary)
            time.sleep(4 * TIMES.ask_s)  # so that its last figures are told
        self.inbox.put(RunReturned(tenure, name, summary.complete, summary.stopped))


def test_three_runs_share_one_app_and_purge_everything_together(bench: Bench) -> None:
    """All rows are purged, shares never add up to more than the total, and the totals are those of all runs."""
    threads = Threads(bench, 3)
    threads.play()
    assert [summary.exit_code for summary in threads.summaries] == [0, 0, 0]
    assert bench.server.tenant.counters.purged == 240
    assert threads.core.complete
    assert threads.core.totals.figures.settled == {Outcome.PURGED: 240}
    assert threads.core.totals.figures.calls == sum(summary.calls for summary in threads.summaries)
    assert all(share.connections <= 8 and share.requests_per_s <= 1_000 for share in threads.reserved)
    assert any(share.connections > 2 for share in threads.reserved)


# ---------------------------------------------------------------------------------------------- a stopped process

WORKER = """
import sys, threading
from pathlib import Path
from purgeengine.core.coordination.lease_holder import LeaseHolder
from purgeengine.core.coordination.quota_book import AppQuota
from purgeengine.core.coordination.lease_messages import Grant, Tenure
from purgeengine.edges.lease import RunLease
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.coordination.leased_run import LeasedRun
from purgeengine.run_limits import Limits
from tests.jobs.coordination.test_leased_run import TIMES, leased
import dataclasses, os
# mistake
graph, authority, ca, ledger, source, lease_s = sys.argv[1:]
times = dataclasses.replace(TIMES, lease_s=float(lease_s), ask_s=float(lease_s) / 4)
tenure = Tenure(0, 1, 1)
lease = RunLease(LeaseHolder(tenure, "run", "disk", "app", times.lease_s), lambda q: print(q.number, flush=True), ask_s=times.ask_s)
def listen():
    for line in sys.stdin:
        lease.heard(Grant("run", int(line), 1, AppQuota(200, 4)))
threading.Thread(target=listen, daemon=True).start()
with lease.renewed():
    assert lease.begins(30.0)
    endpoint = GraphEndpoint(graph, authority, Path(ca))
    run = LeasedRun(lease, tenure, "w", times)
    summary = leased(dict(os.environ), endpoint, Path(ledger), Path(source), run, Limits(connections=4))
print("done", summary.settled_now, summary.in_doubt, file=sys.stderr)
"""
LEASE_S = 0.6


IGNORED = """
from purgeengine.core.messages import SendWindow
RunLease.left_s = property(lambda self: 60.0)
RunLease.at = lambda self, utc: SendWindow(True, 60.0, None)
"""
"""A mistake: the run goes on without its lease."""


def calls_on_waking(tmp_path: Path, stops: int, mistake: str = "") -> list[int]:
    """Stop a process again and again, each time beyond its lease. Return how many calls arrived after each waking.

    The lease is granted again a while after that. Without a mistake the process must purge all rows in the end.
    """
    rows = rows_of([40] * 20)
    found = []
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        server, counters = bench.server, bench.server.tenant.counters
        arguments = [server.graph_url, server.authority_url, server.ca_file, bench.ledger, bench.input, LEASE_S]
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER.replace("# mistake", mistake), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **credentials(bench), "PYTHONPATH": str(ROOT)},
        )
        granting = threading.Event()
        granting.set()
        threading.Thread(target=grants, args=(process, granting), daemon=True).start()
        try:
            for _ in range(stops):
                before = counters.calls
                wait_until(lambda before=before: counters.calls > before + 2)  # type: ignore[misc]
                process.send_signal(signal.SIGSTOP)
                granting.clear()
                time.sleep(2 * LEASE_S)  # what was on its way has arrived, and the lease is somebody else's
                arrived = counters.calls
                process.send_signal(signal.SIGCONT)
                time.sleep(LEASE_S)
                found.append(counters.calls - arrived)
                granting.set()
            if mistake:
                return found
            process.wait(60.0)
            assert process.stderr is not None
            assert "done 800 0" in process.stderr.read()
            assert counters.purged == 800
        finally:
            process.kill()
            process.communicate()
    return found


@pytest.mark.skipif(
    not hasattr(signal, "SIGSTOP"), reason="a process is stopped by a signal that this system does not have"
)
def test_a_process_that_was_stopped_beyond_its_lease_sends_nothing_on_waking(tmp_path: Path) -> None:
    """It is stopped in the middle of its sending, three times. Nothing arrives until the lease is granted again; then it ends."""
    assert calls_on_waking(tmp_path, 3) == [0] * 3


@pytest.mark.skipif(
    not hasattr(signal, "SIGSTOP"), reason="a process is stopped by a signal that this system does not have"
)
def test_without_its_lease_such_a_process_would_send(tmp_path: Path) -> None:
    """The test above would notice it."""
    assert all(calls_on_waking(tmp_path, 1, IGNORED))


def grants(process: Any, granting: threading.Event) -> None:
    """Answer every question of the process while that is allowed."""
    for line in process.stdout:
        if granting.is_set():
            try:
                process.stdin.write(line)
                process.stdin.flush()
            except (BrokenPipeError, ValueError):
                return


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + 60.0
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.005)
