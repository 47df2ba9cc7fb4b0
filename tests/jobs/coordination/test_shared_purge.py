"""Tests of ``run --workers``: the real command line and its worker processes, judged by the tenant's truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from purgeengine.sim.wire.answers import Trouble
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.json_judge import judged

pytest.importorskip("distributed", reason="dask.distributed is not installed; it comes with the extra dask")

ROWS = [*rows_of([90, 70, 60, 50, 40, 40, 30, 20]), ("nobody", "", "x"), *rows_of([1])]
SENT, GONE, LARGEST = 400, ROWS[100], ROWS[0][0]
SLOW = ("--rate", "100")
"""So that something can happen before all rows are sent: about four seconds."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A tenant with all contacts of the list but one."""
    with a_bench(tmp_path, a_tenant([row for row in ROWS[:SENT] if row != GONE]), ROWS) as made:
        yield made


def started(bench: Bench, *more: str) -> subprocess.Popen[str]:
    """Start the command."""
    return bench.start(*bench.run_arguments("--workers", "3", "--quarantine-s", "2", *more))


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end of a command. Return its exit code and what it printed."""
    try:
        out, err = process.communicate(timeout=90.0)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def wait_until(true: Callable[[], Any]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + 60.0
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def owner_of(shard: Path) -> psutil.Process | None:
    """Return the process that has the shard's ledger open, as the operating system tells; None if none has."""
    for process in psutil.process_iter():
        try:
            if any(Path(file.path).parent == shard for file in process.open_files()):
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return None


def facts(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """Return what two exports of one purge have in common."""
    return [tuple(row[name] for name in ("row", "user", "folder", "contact", "outcome", "status")) for row in rows]


def refused(bench: Bench) -> tuple[int, int, int]:
    """Return what the tenant holds against the app: requests beyond its limits, and those before a wait was over."""
    counters = bench.server.tenant.counters
    return counters.refused_concurrency, counters.refused_rate, counters.early_retries


def all_is_gone(bench: Bench, exit_code: int, out: str) -> None:
    """Judge the end of a purge that was disturbed: every row has its outcome, and nothing that was there still is."""
    assert exit_code == 1, out
    told = judged(out, "run")
    assert (told["complete"], told["rows"], told["outcomes"]["invalid"], told["outcomes"]["duplicate"]) == (
        True,
        402,
        1,
        1,
    )
    assert told["outcomes"]["purged"] + told["outcomes"]["absent"] == SENT
    assert told["outcomes"]["absent"] <= 1, "a contact that we purged is called absent"
    assert bench.server.tenant.truth.remaining() == 0
    assert refused(bench) == (0, 0, 0)
    assert {row["outcome"] for row in bench.exported()} <= {"purged", "absent", "invalid", "duplicate"}


def test_three_workers_leave_what_one_run_leaves(bench: Bench, tmp_path: Path) -> None:
    """Export, JSON and exit code are those of one run; the same command again sends nothing."""
    code, out, err = ended(started(bench))
    assert code == 1, err
    all_is_gone(bench, code, out)
    again = ended(started(bench))
    assert (again[0], json.loads(again[1])["calls"]) == (1, 0)
    (tmp_path / "one").mkdir()
    with a_bench(tmp_path / "one", a_tenant([row for row in ROWS[:SENT] if row != GONE]), ROWS) as alone:
        assert alone.run_here().code == 1
        assert facts(bench.exported()) == facts(alone.exported())
    shown = bench.here("status", str(bench.ledger), "--json")
    assert json.loads(shown.out)["complete"]


def test_a_killed_worker_is_replaced_and_its_ledger_goes_on(bench: Bench) -> None:
    """Kill -9 of one worker in the midst of sending: one command ends the purge all the same."""
    process = started(bench, *SLOW)
    wait_until(lambda: bench.server.tenant.counters.purged > 60)
    owner = owner_of(bench.folder / "ledger-shards" / "shard-01")
    assert owner is not None
    assert owner.pid != process.pid
    owner.kill()
    code, out, err = ended(process)
    assert "worker" in err
    all_is_gone(bench, code, out)


def test_after_a_killed_coordinator_the_same_command_goes_on(bench: Bench) -> None:
    """Kill -9 of the coordinator: its workers fall silent, a plain run is refused, and the same command ends the purge."""
    process = started(bench, *SLOW)
    wait_until(lambda: bench.server.tenant.counters.purged > 60)
    process.kill()
    process.communicate(timeout=30.0)
    wait_until(lambda: owner_of(bench.folder / "ledger-shards" / "shard-01") is None)
    time.sleep(1.0)  # what the tenant had then, it has carried out
    silent = bench.server.tenant.counters.purged
    assert silent < SENT - 1
    plain = bench.run()
    assert plain.code == 2
    assert "was cut into 3 shards" in plain.err
    other = bench.run("--workers", "2")
    assert other.code == 2
    assert "give --workers 3" in other.err
    assert bench.server.tenant.counters.purged == silent
    code, out, _ = ended(started(bench))
    all_is_gone(bench, code, out)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group are POSIX")
def test_a_ctrl_c_at_the_terminal_drains_all_workers(bench: Bench) -> None:
    """SIGINT to the whole group, as a terminal sends it: exit code 4, and no row in doubt. What resumes may leave out more."""
    process = started(bench, *SLOW)
    wait_until(lambda: bench.server.tenant.counters.purged > 60)
    os.killpg(process.pid, signal.SIGINT)
    code, out, err = ended(process)
    told = judged(out, "run")
    assert code == 4, err
    assert "SIGINT was received" in told["stopped"]
    assert (told["complete"], told["in_doubt"]) == (False, 0)
    assert told["outcomes"]["purged"] == bench.server.tenant.counters.purged
    shard, elsewhere = bench.folder / "ledger-shards" / "shard-00", bench.folder / "elsewhere"
    shard.rename(elsewhere)
    lost = ended(started(bench))
    assert lost[0] == 5
    assert "Shard 0 is not in" in judged(lost[1], "run")["error"]["message"]
    elsewhere.rename(shard)
    keep = bench.folder / "keep.txt"
    keep.write_text("5157a1ed-0000-4000-8000-00000000000a\n", encoding="utf-8")
    too_many = bench.run_here("--workers", "3", "--max-items", "50")
    assert too_many.code == 2
    assert f"There are {told['waiting']} rows to purge" in too_many.json["error"]["message"]
    blind = ended(started(bench, "--exclude-users", str(keep)))
    assert blind[0] == 2, "a list of object ids leaves out no user principal name"
    keep.write_text(LARGEST, encoding="utf-8")
    code, out, _ = ended(started(bench, "--exclude-users", str(keep)))
    outcomes = judged(out, "run")["outcomes"]
    left = outcomes["skipped"] + outcomes["exhausted"]  # a batch that was kept at the stop counts as an attempt
    assert (code, left) == (1, bench.server.tenant.truth.remaining())
    assert left > 0, "the filter of the command that resumes holds for the shards"
    assert {row["user"] for row in bench.exported() if row["outcome"] in ("skipped", "exhausted")} == {LARGEST}
    assert refused(bench) == (0, 0, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals are POSIX")
def test_at_a_terminal_one_block_shows_all_workers(bench: Bench) -> None:
    """It tells the rows of all workers and the time left, and at the end that all is done."""
    from tests.support.pseudo_terminal import PseudoTerminal

    asked = [
        argument for argument in bench.run_arguments("--workers", "2", *SLOW) if argument not in ("--json", "--quiet")
    ]
    environment = {**bench._environment({}), "LC_ALL": "C.UTF-8"}
    with PseudoTerminal(
        [sys.executable, "-m", "purgeengine", *asked], columns=100, environment=environment
    ) as terminal:
        terminal.until(lambda: "left about" in terminal.text and "2 workers, 2 shards left" in terminal.text)
        assert "of 402 rows" in terminal.text
        assert terminal.ended() == 1, terminal.lines
        text = terminal.text
    assert text.count("100 %") == 1
    assert "402 of 402 rows" in text
    assert "2 workers, 0 shards left" in text


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group are POSIX")
def test_a_second_signal_ends_everything_at_once(bench: Bench) -> None:
    """Two SIGTERMs: the command ends within seconds, and no worker is left."""
    process = started(bench, *SLOW)
    wait_until(lambda: bench.server.tenant.counters.purged > 60)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    assert code == 4, err
    _, alive = psutil.wait_procs(workers, timeout=10.0)
    assert not alive


def test_failures_are_counted_over_all_workers(tmp_path: Path) -> None:
    """Every mailbox refuses. The rows of all shards together are counted, and all workers stop."""
    rows = rows_of([4] * 150)
    tenant = a_tenant(rows)
    for user in {row[0] for row in rows}:
        tenant.truth.mailbox(user).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        code, out, err = ended(started(bench, "--max-failures", "5", "--no-auto-stop", *SLOW))
        told = judged(out, "run")
    assert code == 4, err
    assert "rows failed, more than the 5" in told["stopped"]
    assert not told["complete"]
    assert tenant.counters.requests < 600
