"""How long real runs take, divided by the least time that any schedule could take.

    python -m benchmarks.wall_clock                        (eight runs of about a minute; ten minutes)
    python -m benchmarks.wall_clock --full                 (ten times the rows; an hour and a half)
    python -m benchmarks.wall_clock --shape uniform        (only this job; may be given again)
    python -m benchmarks.wall_clock --json out.json

Each run is ``purgeengine run`` as a process of its own, over HTTP and TLS, against a simulated tenant in another process, whose
calls take as long as `purgeengine.core.forecast.latency.Latency` says. *Run* is the ``duration_s`` of its summary; *process* adds
the start of the interpreter, reading and staging the list, signing in and the summary. *Simulated* is the same job played in
simulated time (`benchmarks.makespan`): what of the ratio is the schedule's; the rest is the program's or the machine's. *Busy*
is the share of the connections' time in which the tenant had a call of theirs. *Late* is how late the tenant's own timers were,
median and worst: a busy machine adds that to every latency, and the bound does not. Needs a POSIX system.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks import processes
from benchmarks.makespan import engine
from benchmarks.makespan.service import Service as SimulatedTime
from benchmarks.makespan.shapes import zipf
from benchmarks.tenant import rows_of, serving, write_rows
from purgeengine.core.forecast.bound import bound, by_rows
from purgeengine.core.forecast.latency import Dispatch, Latency
from purgeengine.run_limits import Limits

CONNECTIONS = 16
DISPATCHES: tuple[Dispatch, ...] = ("four", "all")
FULL_TIMES = 10
SIMULATIONS = 5
"""Simulations, each with other latencies. The median is shown, because the last calls of so short a job depend on chance."""
TIMEOUT_TIMES = 10
"""A run that takes this many times the bound, plus a minute, is stopped."""
AIM = 1.15


def jobs(times: int) -> dict[str, list[int]]:
    """Return the rows of each mailbox, by the name of the job: shapes of `benchmarks.makespan` in a size for one minute."""
    return {
        "uniform": [200] * (90 * times),
        "skewed (zipf 0.8)": zipf(12_000 * times, 60 * times, 0.8),
        "few mailboxes": [1_200 * times] * 10,
        "large and many small": [1_200 * times] * 5 + [20] * (330 * times),
    }


@dataclass(frozen=True, slots=True)
class Found:
    """The result of one run. All times are in seconds except ``late_ms``."""

    job: str
    dispatch: Dispatch
    rows: int
    mailboxes: int
    bound_s: float
    run_s: float
    process_s: float
    simulated_s: float
    cpu_s: float
    service_cpu_s: float
    call_s: float
    """Seconds of all calls together, from arrival to answer, as the tenant saw them."""
    calls: int
    throttled: int
    refused_concurrency: int
    refused_rate: int
    late_ms: tuple[float, float]

    @property
    def busy(self) -> float:
        """The share of the connections' time in which they carried a call."""
        return self.call_s / (CONNECTIONS * self.run_s)

    @property
    def ratio(self) -> float:
        """The time of the run divided by the least time."""
        return self.run_s / self.bound_s


def measure(job: str, rows_by_mailbox: list[int], dispatch: Dispatch, scratch: Path, seed: int) -> Found:
    """Measure one run, and the same job in simulated time."""
    limits, latency = Limits(connections=CONNECTIONS), Latency()
    least_s = bound(by_rows(rows_by_mailbox), limits, latency, dispatch).least_s
    source = write_rows(scratch / "input.csv", rows_of(rows_by_mailbox))
    with tempfile.TemporaryDirectory(dir=scratch) as folder, serving(scratch, source, dispatch, seed=seed) as service:
        command = ["-m", "purgeengine", "run", str(source), "--ledger", f"{folder}/ledger", "--yes", "--quiet"]
        command += ["--graph-url", service.url, "--authority", service.authority_url, "--ca-file", str(service.ca_file)]
        command += ["--json", "--connections", str(CONNECTIONS)]
        ended = processes.run(command, service.login, TIMEOUT_TIMES * least_s + 60)
    if ended.code != 0:
        raise SystemExit(f"The run ended with {ended.code}: {ended.err[-2000:]}")
    if service.seen["left"]:
        raise SystemExit(
            f"{len(service.seen['left'])} contacts still exist though the run ended well. That is a mistake of ours."
        )
    said = json.loads(ended.out)
    return Found(
        job=job,
        dispatch=dispatch,
        rows=sum(rows_by_mailbox),
        mailboxes=len(rows_by_mailbox),
        bound_s=least_s,
        run_s=said["duration_s"],
        process_s=ended.wall_s,
        simulated_s=median(simulate(rows_by_mailbox, limits, latency, dispatch, seed) for seed in range(SIMULATIONS)),
        cpu_s=ended.cpu_s,
        service_cpu_s=service.seen["cpu_s"],
        call_s=service.seen["call_s"],
        calls=said["calls"],
        throttled=said["throttled"],
        refused_concurrency=service.seen["refused_concurrency"],
        refused_rate=service.seen["refused_rate"],
        late_ms=(service.seen["lag_ms"][0], service.seen["lag_ms"][1]),
    )


def simulate(rows_by_mailbox: list[int], limits: Limits, latency: Latency, dispatch: Dispatch, seed: int) -> float:
    """Return the seconds of the job in simulated time, where disk, network and processor take no time."""
    requests, window_s = limits.mailbox_requests, limits.mailbox_window_s
    service = SimulatedTime(latency, dispatch, window_requests=requests, window_s=window_s, seed=seed)
    return engine.run(rows_by_mailbox, limits, service)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help=f"{FULL_TIMES} times the rows")
    parser.add_argument("--shape", action="append", choices=list(jobs(1)), help="only this job; may be given again")
    parser.add_argument("--rounds", type=int, default=1, help="repeat everything with other latencies")
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    wanted = {
        job: sizes
        for job, sizes in jobs(FULL_TIMES if arguments.full else 1).items()
        if not arguments.shape or job in arguments.shape
    }
    found = []
    print(
        f"{'job':21} {'service':7} {'rows':>7} {'bound':>7} {'run':>7} {'process':>7}  "
        f"{'run':>5} {'proc.':>5} {'simul.':>6} {'busy':>5}  {'CPU':>6} {'refused':>7} {'late, ms':>10}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(arguments.rounds):
            for job, sizes in wanted.items():
                for dispatch in DISPATCHES:
                    found.append(measure(job, sizes, dispatch, Path(scratch), seed))
                    show(found[-1])
    print(
        f"Median of run / bound: {median(one.ratio for one in found):.3f}, worst {max(one.ratio for one in found):.3f} (aim: {AIM})"
    )
    if arguments.json:
        figures = [asdict(one) | {"ratio": one.ratio, "process_ratio": one.process_s / one.bound_s} for one in found]
        arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


def show(one: Found) -> None:
    """Print a line of the table."""
    late = f"{one.late_ms[0]:.1f}/{one.late_ms[1]:.0f}"
    print(
        f"{one.job:21} {one.dispatch:7} {one.rows:7,} {one.bound_s:5.1f} s {one.run_s:5.1f} s {one.process_s:5.1f} s  "
        f"{one.ratio:5.3f} {one.process_s / one.bound_s:5.3f} {one.simulated_s / one.bound_s:6.3f} {one.busy:5.0%}  "
        f"{one.cpu_s:4.1f} s {one.refused_concurrency + one.refused_rate:7,} {late:>10}"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
