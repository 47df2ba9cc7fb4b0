"""The real command line against a service of its own that answers oddly, judged by that service's own log."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from purgeengine.sim.server.background_server import in_background
from tests.campaigns.kills import LedgerReader, csv, export
from tests.simulation.odd_service import OddService
from tests.support.cli_fixtures import rows_of, write_csv

SUMMARY = "Real runs against a service that answers oddly, compared with that service's own log."
JOBS_PER_CORE = 3
"""Jobs for each core. A run mostly waits: for the waits that it is told."""
SEEDS_PER_CHUNK = 1
RUN_S_MAX = 600.0
"""Seconds after which a run of these small jobs must be hanging, even on a busy machine."""
RUNS_MAX = 4
"""How often the same command is given. A run may stop at odd answers (exit 4, or 3 if a page makes the app look unknown)."""
SENDS_MAX = 30
"""Most times that one contact may be sent: eight attempts, plus those that were not attempted, over all runs."""
USELESS_CALLS_MAX = 30
"""Most calls in ``forever_s`` to a mailbox whose service always asks for a wait of 0. A growing backoff makes only a few."""
UNTOLD_S = 2.0
"""Seconds by which a call that was on its way when the wait was told may arrive later."""
STOP_S_MAX = 60.0
"""Seconds that a run may take to stop. 30 s are promised, on a machine that is not busy."""


def case(seed: int) -> Counter[str]:
    """Play one job. Raises AssertionError on a broken promise."""
    rng = random.Random(f"answers {seed}")
    rows = rows_of([rng.randint(1, 30) for _ in range(rng.randint(3, 8))])
    mailboxes = sorted({user for user, _, _ in rows})
    gone = set(rng.sample(rows, k=rng.choice([0, len(rows) // 5])))
    listed = {(user, contact) for user, _, contact in rows}
    beside = {(user, contact[:-1] + "B=") for user, contact in listed}
    there = {(user, contact) for user, folder, contact in rows if (user, folder, contact) not in gone}
    kind = ("far", "forever")[seed % 10] if seed % 10 < 2 else ""
    with tempfile.TemporaryDirectory(prefix="purgeengine-") as name:
        folder = Path(name)
        service = OddService(
            folder, there | beside, seed, odd_calls=rng.choice([10, 40]), odd=0.0 if kind else rng.choice([0.3, 0.7]),
            far_s=rng.choice([7_200, 604_800]), **({kind: mailboxes[-1]} if kind else {}),
        )  # fmt: skip
        with in_background(service):  # type: ignore[arg-type]
            command = _command(folder, rows, service, rng.choice([1, 2, 8]))
            where = f"seed {seed}: {len(rows)} rows in {len(mailboxes)} mailboxes, {kind or 'odd answers'}"
            counts = _until_stopped(command, service, where) if kind == "far" else _to_the_end(command, where)
        _judge(folder, service, listed, beside, there, where)
        counts.update({f"answer: {shape}": count for shape, count in service.shapes.items() if count})
        return counts + Counter(rows=len(rows), requests=len(service.log))


def _command(folder: Path, rows: list[tuple[str, str, str]], service: OddService, connections: int) -> list[str]:
    source = write_csv(folder / "input.csv", rows)
    endpoint = ["--graph-url", service.url, "--ca-file", str(service.ca_file), "--quarantine-s", "2"]
    more = ["--connections", str(connections), "--yes", "--json", "--quiet"]
    return [
        sys.executable,
        "-m",
        "purgeengine",
        "run",
        str(source),
        "--ledger",
        str(folder / "ledger"),
        *endpoint,
        *more,
    ]


def _started(command: list[str]) -> subprocess.Popen[str]:
    """Start the command so that it receives SIGTERM. A campaign's processes ignore it, and children would inherit that."""
    own = {"PURGEENGINE_ACCESS_TOKEN": "e30.e30.x", "PURGEENGINE_CONFIG": os.devnull}
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        return subprocess.Popen(
            command,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGTERM, before)


def _ended(process: subprocess.Popen[str], where: str, within_s: float) -> tuple[int, str]:
    try:
        _, err = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{where}: a run goes on and on") from None
    assert "Traceback" not in err, f"{where}: {err}"
    assert process.returncode in (0, 1, 3, 4), f"{where}: exit {process.returncode}: {err}"
    return process.returncode, err


def _to_the_end(command: list[str], where: str) -> Counter[str]:
    """Give the same command until it has finished. Return how often it was given, and how it ended."""
    counts: Counter[str] = Counter()
    for _ in range(RUNS_MAX):
        code, err = _ended(_started(command), where, RUN_S_MAX)
        counts[f"exit {code}"] += 1
        if code in (0, 1):
            return counts
        assert err.strip(), f"{where}: exit {code} without a word"
    raise AssertionError(f"{where}: {RUNS_MAX} runs did not finish a small job: {err}")


def _until_stopped(command: list[str], service: OddService, where: str) -> Counter[str]:
    """Run a job in which one mailbox must wait for hours or a week: all others end, and the wait is not cut short.

    The run is asked to stop while it waits, and may give up rows whose wait is longer than it may take.
    """
    with _started(command) as process:
        deadline = time.monotonic() + RUN_S_MAX
        while process.poll() is None and (service.far_told_at is None or _others_left(service)):
            assert time.monotonic() < deadline, f"{where}: the other mailboxes were not served"
            time.sleep(0.05)
        time.sleep(UNTOLD_S + 1.0)
        process.send_signal(signal.SIGTERM)
        code, _ = _ended(process, where, STOP_S_MAX)
    told = service.far_told_at
    late = [deed for deed in service.log if deed.mailbox == service.far and told and deed.at > told + UNTOLD_S]
    assert not late, (
        f"{where}: told to wait for {service.far_s} s, and asked again after {late[0].at - (told or 0):.1f} s"
    )
    return Counter({f"exit {code}": 1})


def _others_left(service: OddService) -> bool:
    return any(mailbox != service.far and not contact.endswith("B=") for mailbox, contact in service.exists)


def _judge(
    folder: Path, service: OddService, listed: set[tuple[str, str]], beside: set[tuple[str, str]],
    there: set[tuple[str, str]], where: str,
) -> None:  # fmt: skip
    """Check that only rows of the list were touched, the ledger is true, no token went elsewhere, and no mailbox was hammered."""
    asked = Counter((deed.mailbox, deed.contact) for deed in service.log)
    assert set(asked) <= listed, f"{where}: not in the list: {sorted(set(asked) - listed)[:3]}"
    assert beside <= service.exists, f"{where}: contacts beside the list are gone"
    assert {deed.method for deed in service.log} <= {"POST"}, where
    assert not service.stray, f"{where}: {service.stray[:3]}"
    worst, times = max(asked.items(), key=lambda pair: pair[1])
    assert times <= SENDS_MAX, f"{where}: {worst} was sent {times} times"
    if service.forever and service.forever_since is not None:
        end = service.forever_since + service.forever_s
        calls = {deed.call for deed in service.log if deed.mailbox == service.forever and deed.at < end}
        assert len(calls) <= USELESS_CALLS_MAX, f"{where}: {len(calls)} calls in {service.forever_s:g} s that said 0"
    out = folder / "export.csv"
    with LedgerReader.open(folder / "ledger") as reader:
        export(reader, out)
    with out.open(encoding="utf-8", newline="") as lines:
        exported = list(csv.DictReader(lines))
    assert {(row["user"], row["contact"]) for row in exported} == listed, where
    for row in exported:
        key = (row["user"], row["contact"])
        assert row["outcome"] or service.far, f"{where}: without an outcome: {json.dumps(row)}"
        if row["outcome"] in ("purged", "absent"):
            assert key not in service.exists, f"{where}: still exists: {json.dumps(row)}"
        if row["outcome"] == "absent":
            assert key not in there, f"{where}: was there before: {json.dumps(row)}"
