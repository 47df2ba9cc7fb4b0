"""Drills of ``run --scheduler``: a scheduler and workers as administrators start them, judged by the tenant's own record."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from purgeengine.sim.tenant_settings import TenantSettings
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.cluster_judge import arrivals, calls_in, judge_limits, judge_rows
from tests.support.dask_cluster import DaskCluster, a_cluster, wait_until
from tests.support.json_judge import judged
from tests.support.process_memory import occurrences

pytest.importorskip("distributed", reason="dask.distributed is not installed; it comes with the extra dask")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups of POSIX")

ROWS = rows_of([90, 70, 60, 50, 40, 40, 30, 20])
NEVER_THERE = {ROWS[40], ROWS[130], ROWS[280]}
THERE = {*ROWS} - NEVER_THERE
WINDOW_S, REQUESTS = 3.0, 60
LIMITS = ("--mailbox-window-s", f"{WINDOW_S:g}", "--mailbox-requests", str(REQUESTS))
SETTINGS = TenantSettings(
    mailbox_requests=REQUESTS, mailbox_window_s=WINDOW_S, latency_median_s=0.02, latency_s_max=0.3, overhead_s=0.02
)
SLOW = ("--rate", "60")
"""So that something can happen before all rows are sent: about seven seconds."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A tenant with all contacts of the list but three."""
    tenant = a_tenant([row for row in ROWS if row in THERE], settings=SETTINGS)
    for user in {row[0] for row in ROWS}:
        tenant.truth.add_mailbox(user)
    with a_bench(tmp_path, tenant, ROWS) as made:
        yield made


def purged(bench: Bench) -> int:
    """Return how many contacts were purged so far."""
    return bench.server.tenant.counters.purged


def judge(bench: Bench, code: int, out: str, *, blurred: bool = False) -> None:
    """Judge the end of a purge."""
    assert code == 0, out
    told = judged(out, "run")
    assert (told["complete"], told["rows"]) == (True, len(ROWS))
    assert judge_rows(bench, ROWS, THERE, blurred=blurred) == {
        outcome: count for outcome, count in told["outcomes"].items() if count
    }
    judge_limits(bench.server.tenant, REQUESTS, WINDOW_S)


def shards_of(cluster: DaskCluster, number: int) -> list[Path]:
    """Return the shards on the disk of a worker."""
    return [place for place in cluster.disk(number).glob("*-shard-*") if re.search(r"-g\d+$", place.name)]


def test_a_cluster_purges_and_its_scheduler_and_coordinator_never_see_a_secret(bench: Bench) -> None:
    """Three workers with folders and environments of their own; the secret and the tokens are in their memory alone."""
    with a_cluster(bench, 3) as cluster:
        process = cluster.coordinator(*LIMITS, *SLOW)
        wait_until(lambda: purged(bench) > 60)
        copy = bench.here("run", "--ledger", str(bench.folder / "ledger-shards" / "shard-01"), "--yes", "--json")
        assert (copy.code, "is a copy" in copy.json["error"]["message"]) == (2, True)
        local = bench.run("--workers", "3")
        assert local.code == 5, "the head is locked"
        if sys.platform == "linux":
            secret = bench.server.login.app.client_secret.encode()
            process.send_signal(signal.SIGSTOP)  # so that it does not end while it is searched
            for marker in (secret, b"Bearer ey"):
                assert occurrences(cluster.processes["worker-1"].pid, marker), "the search finds it where it is"
                for pid in (process.pid, cluster.processes["scheduler"].pid):
                    assert occurrences(pid, marker) == 0
            process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60.0)
        judge(bench, process.returncode, out)
        assert not err
        wait_until(lambda: not any(shards_of(cluster, number) for number in range(3)))


def test_a_killed_worker_goes_on_and_one_that_was_replaced_sends_nothing_when_it_wakes(bench: Bench) -> None:
    """Kill -9 of one worker, which comes back with its disk. SIGSTOP of another: its shard is run again, in doubt, without it."""
    with a_cluster(bench, 3) as cluster:
        process = cluster.coordinator(*LIMITS, *SLOW, "--lost-after", "0.05")
        wait_until(lambda: purged(bench) > 60)
        cluster.kill("worker-2", signal.SIGSTOP)
        (stopped,) = shards_of(cluster, 2)
        cluster.kill("worker-0")
        cluster.start_worker(0)
        wait_until(lambda: any(place.name.endswith("-g2") for n in (0, 1) for place in shards_of(cluster, n)))
        cluster.kill("worker-2", signal.SIGCONT)
        woken = time.time()
        out, err = process.communicate(timeout=60.0)
        judge(bench, process.returncode, out, blurred=True)
        assert "is taken for lost" in err
        late = [at for at in arrivals(bench.server.tenant, calls_in([stopped])) if at > woken]
        assert not late, "a run that was replaced has sent after it was woken"


def test_after_a_lost_scheduler_and_coordinator_the_same_command_goes_on(bench: Bench) -> None:
    """Kill -9 of both, and the disk of one worker deleted: sends stop within the lease, and the same command ends the purge."""
    with a_cluster(bench, 2) as cluster:
        process = cluster.coordinator(*LIMITS, *SLOW)
        wait_until(lambda: purged(bench) > 60)
        process.kill()
        cluster.kill("scheduler")
        process.communicate(timeout=30.0)
        time.sleep(3.5)  # the lease is 3 s
        silent = purged(bench)
        time.sleep(1.0)
        assert purged(bench) == silent < len(THERE)
        for number in range(2):
            cluster.kill(f"worker-{number}")
        shutil.rmtree(cluster.disk(1))
        cluster.start_scheduler()
        for number in range(2):
            cluster.start_worker(number)
        other = bench.run("--workers", "2", *LIMITS)
        assert (other.code, "was begun elsewhere" in other.json["error"]["message"]) == (2, True)
        again = cluster.coordinator(*LIMITS, "--lost-after", "0.02")
        out, err = again.communicate(timeout=60.0)
        judge(bench, again.returncode, out, blurred=True)
        assert "is taken for lost" in err


def test_a_scheduler_without_tls_or_without_certificates_is_refused(bench: Bench) -> None:
    """Each refusal is a sentence, comes before anything is made, and says what to do."""
    for address, said in (
        ("tcp://10.0.0.4:8786", "has no TLS"),
        ("tls://", "is no address"),
        ("http://127.0.0.1:1", "is no address"),
        ("tls://127.0.0.1:1", "wants certificates"),
    ):
        refused = bench.here(*bench.run_arguments("--scheduler", address))
        assert refused.code == 2, address
        assert said in refused.json["error"]["message"], address
    assert not bench.ledger.exists()
    for more in (("--workers", "2", "--lost-after", "5"), ("--lost-after", "5")):
        assert bench.here(*bench.run_arguments(*more)).code == 2


def test_shards_of_this_machine_whose_folders_are_gone_are_run_again(bench: Bench) -> None:
    """``--workers`` refuses that as before; with ``--lost-after 0`` the rows of both shards are run again, in doubt."""
    workers = ("--workers", "2", "--quarantine-s", "2", *LIMITS)
    process = bench.start(*bench.run_arguments(*workers, *SLOW))
    wait_until(lambda: purged(bench) > 60)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30.0)
    for place in (bench.folder / "ledger-shards").glob("shard-*"):
        shutil.rmtree(place)
    refused = bench.run_here(*workers)
    assert (refused.code, "add --lost-after 0" in refused.json["error"]["message"]) == (5, True)
    ended = bench.run(*workers, "--lost-after", "0")
    judge(bench, ended.code, ended.out, blurred=True)
