"""Real runs with faults, over HTTP and TLS, whose log tells the time left every five seconds. Needs a POSIX system."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

from benchmarks import processes
from benchmarks.fault_levels import PROBABILITIES
from benchmarks.tenant import rows_of, serving, write_rows
from benchmarks.time_left.figures import Sample, samples_of
from benchmarks.time_left.watched import Look
from benchmarks.wall_clock import CONNECTIONS, jobs
from purgeengine import log_events
from purgeengine.core.forecast.latency import DISPATCHES, Dispatch
from purgeengine.core.forecast.time_left import TimeLeft

RUN_S_MAX = 900.0
JOBS = jobs(1)
"""The jobs of `benchmarks.wall_clock`, of about a minute each."""


def runs(seeds: range, names: Collection[str]) -> Iterator[list[Sample]]:
    """Run the jobs with these names, with few faults. Yield the samples of each run."""
    with tempfile.TemporaryDirectory() as scratch:
        for seed in seeds:
            for job, rows_by_mailbox in JOBS.items():
                for dispatch in DISPATCHES if job in names else ():
                    yield measure(job, rows_by_mailbox, dispatch, Path(scratch), seed)


def measure(job: str, rows_by_mailbox: list[int], dispatch: Dispatch, scratch: Path, seed: int) -> list[Sample]:
    """Run a job once, and read from its log what it showed."""
    source = write_rows(scratch / "input.csv", rows_of(rows_by_mailbox))
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        serving(scratch, source, dispatch, fault_p=PROBABILITIES["few"], seed=seed) as service,
    ):
        command = ["-m", "purgeengine", "run", str(source), "--ledger", f"{folder}/ledger", "--yes", "--json"]
        command += ["--graph-url", service.url, "--authority", service.authority_url, "--ca-file", str(service.ca_file)]
        command += ["--log-format", "json", "--connections", str(CONNECTIONS)]
        ended = processes.run(command, service.login, RUN_S_MAX)
    if ended.code not in (0, 1):
        raise SystemExit(f"The run ended with {ended.code}: {ended.err[-2000:]}")
    events = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    looks = [
        Look(_at_s(event), event["settled"], TimeLeft.of_json(event))
        for event in events
        if event["event"] == log_events.RUN_PROGRESSED
    ]
    ended_s = next(_at_s(event) for event in events if event["event"] == log_events.RUN_ENDED)
    began_s = next(_at_s(event) for event in events if event["event"] == log_events.RUN_STARTED)
    looks = [Look(look.at_s - began_s, look.settled, look.shown) for look in looks]
    return samples_of(job, dispatch, seed, looks, ended_s - began_s, sum(rows_by_mailbox))


def _at_s(event: dict[str, str]) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()
