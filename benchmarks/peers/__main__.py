"""Purge the same rows with other Graph clients that a user might choose, against the same service, in the same run.

    python -m pip install -e '.[fast,peers]'            (the other clients, for this benchmark only)
    python -m benchmarks.peers                          (6,000 rows, with and without a few faults; about ten minutes)
    python -m benchmarks.peers --full                   (20,000 rows, every case; some four hours)
    python -m benchmarks.peers --full --rows 4000 --no-serial --rounds 3 --jobs 4     (every case with 16 connections, half an hour)
    python -m benchmarks.peers --dispatch all --order shuffled --faults many --no-serial --json out.json

With one connection every client purges a tenth of the rows, because its pace does not change. Each client is a
process of its own. The simulated tenant is another process, new for each client, and throttles as Graph does. Rows
per second count the whole process, including its start. *Lost* are rows that still exist although the client has
ended, and rows about which it cannot tell what became of them. *Refused* are the 429s that the tenant gave for a
mailbox's limits (not those injected as faults). Faults are those of `benchmarks.fault_levels` without calls that hang,
because some clients would wait for ever.

Faults and latencies are drawn, so a single round says little where faults are: with ``--rounds`` the tables show the
median. With ``--jobs`` several runs go on at once, each with a tenant of its own. A client waits most of its time, and so
four of them take half of two cores.

The last table has a line for each case: us against the best other client, both with 16 connections, beside us with
the 64 of our defaults. Its *lost* and *refused* are those of both of our runs. Clients that are not installed are left
out with a sentence. Needs a POSIX system.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib.util import find_spec
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from benchmarks import processes
from benchmarks.fault_levels import LEVELS, PROBABILITIES
from benchmarks.peers.cells import CONNECTIONS, DEFAULT_CONNECTIONS, OURS, Case, Found, cells_of, median_of, table_of
from benchmarks.peers.task import GONE
from benchmarks.tenant import Row, Service, read_rows, rows_of, serving, write_rows

OTHERS = {
    "msgraph-sdk": ("msgraph", "benchmarks.peers.msgraph_client"),
    "office365-rest-python-client": ("office365", "benchmarks.peers.office365_client"),
}
"""For each client, the package that must be installed, and the script."""
SERIAL = 1
MAILBOX_ROWS = 40
QUICK_ROWS, FULL_ROWS = 6_000, 20_000
SERIAL_PART = 10
"""With one connection, one row in this many is purged."""
TIMEOUT_S = 1_800.0
AIM_TIMES = 5.0


def measure(case: Case, client: str, connections: int, source: Path, seed: int) -> Found:
    """Measure one client, on a tenant of its own that draws its faults and latencies from ``seed``."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), source, case.dispatch, fault_p=PROBABILITIES[case.faults], seed=seed) as service,
    ):
        run = purge_with_ours if client == OURS else purge_with_other
        ended, told = run(client, connections, source, service, Path(folder))
    seen, rows = service.seen, len(read_rows(source))
    told = told if len(told) == rows else [None] * rows
    left = set(seen["left"])
    untold = {number for number, status in enumerate(told) if status is None}
    return Found(
        case=case,
        client=client,
        connections=connections,
        rows=rows,
        wall_s=ended.wall_s,
        cpu_s=ended.cpu_s,
        rows_per_s=(rows - len(left)) / ended.wall_s,
        lost=len(left | untold),
        still_exist=len(left),
        untold=len(untold),
        wrongly_gone=sum(told[number] in GONE for number in left),
        refused=seen["refused_concurrency"] + seen["refused_rate"],
        calls=seen["calls"],
        record="ledger" if client == OURS else "none",
        code=ended.code,
    )


def purge_with_ours(
    _: str, connections: int, source: Path, service: Service, folder: Path
) -> tuple[processes.Ended, list[int | None]]:
    """Run our command line. Return how it ended, and the status of each row in its ledger."""
    ledger, out = str(folder / "ledger"), folder / "export.csv"
    command = ["-m", "purgeengine", "run", str(source), "--ledger", ledger, "--yes", "--quiet", "--json"]
    endpoint = ["--graph-url", service.url, "--ca-file", str(service.ca_file), "--connections", str(connections)]
    ended = processes.run([*command, *endpoint], {"PURGEENGINE_ACCESS_TOKEN": service.token}, TIMEOUT_S)
    processes.run(["-m", "purgeengine", "export", ledger, str(out)], {}, TIMEOUT_S)
    if not out.exists():
        print(f"{OURS} ended with {ended.code} and left no ledger: {ended.err[-500:]}", file=sys.stderr)
        return ended, []
    with out.open(encoding="utf-8", newline="") as lines:
        return ended, [_status(row["outcome"], row["status"]) for row in csv.DictReader(lines)]


def _status(outcome: str, status: str) -> int | None:
    """Return the end of a row in the words of the other clients."""
    known = {"purged": 204, "absent": 404}.get(outcome)
    return known or (int(status or 0) if outcome else None)


def purge_with_other(
    client: str, connections: int, source: Path, service: Service, _: Path
) -> tuple[processes.Ended, list[int | None]]:
    """Run a client's script. Return how it ended, and the status that it got for each row."""
    command = ["-m", OTHERS[client][1], "--input", str(source), "--url", service.url, "--connections", str(connections)]
    trust = {"SSL_CERT_FILE": str(service.ca_file), "REQUESTS_CA_BUNDLE": str(service.ca_file)}
    ended = processes.run(command, {"BENCHMARK_TOKEN": service.token, **trust}, TIMEOUT_S)
    if ended.code != 0:
        print(f"{client} ended with {ended.code}: {ended.err[-500:]}", file=sys.stderr)
        return ended, []
    told: list[int | None] = json.loads(ended.out)["told"]
    return ended, told


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """Yield the cases to run."""
    full = arguments.full
    for dispatch in arguments.dispatch or (["four", "all"] if full else ["four"]):
        for order in arguments.order or (["sorted", "shuffled"] if full else ["sorted"]):
            for faults in arguments.faults or (LEVELS if full else ["none", "few"]):
                yield Case(arguments.rows or (FULL_ROWS if full else QUICK_ROWS), dispatch, order, faults)


def clients() -> list[str]:
    """Return our client and those that are installed."""
    found = [OURS]
    for name, (package, _) in OTHERS.items():
        if find_spec(package) is not None:
            found.append(name)
        else:
            print(f"{name} is not installed and is left out; pip install -e '.[peers]' brings it.", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="more rows, both kinds of service, sorted and shuffled")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--dispatch", action="append", choices=["four", "all"], help="how the service runs a batch")
    parser.add_argument("--order", action="append", choices=["sorted", "shuffled"], help="of the rows, by mailbox")
    parser.add_argument("--faults", action="append", choices=LEVELS, help="how often things fail; may be given again")
    parser.add_argument("--no-serial", action="store_true", help="leave out the runs with one connection")
    parser.add_argument("--rounds", type=int, default=1, help="how often each client is measured; an odd number")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs go on at once")
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    if arguments.rounds % 2 != 1:
        parser.error("--rounds must be odd, so that one round is the median.")
    names, found = clients(), []
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(arguments.jobs) as pool:
        measured = []
        for case in cases(arguments):
            for client, connections, rows in runs(names, case.rows, serial=not arguments.no_serial):
                source = write_rows(Path(folder) / f"{rows}-{case.order}.csv", ordered(rows, case.order))
                seeds = range(arguments.rounds)
                rounds = [pool.submit(measure, case, client, connections, source, seed) for seed in seeds]
                measured.append((case, rounds))
        for case, group in groupby(measured, key=itemgetter(0)):
            print(f"\n{case.rows:,} rows, {case.order}; service: {case.dispatch}; faults: {case.faults}")
            print(
                f"{'client':30} {'conns':>5} {'time':>8} {'rows/s':>7} {'lost':>6} {'refused':>7} {'calls':>6}  record"
            )
            of_case = []
            for _, rounds in group:
                of_case.append(median_of([one.result() for one in rounds]))
                show(of_case[-1])
            compare(of_case)
            found += of_case
    if cells := cells_of(found):
        print(f"\nAll cells, {CONNECTIONS} connections, rows/s:\n{table_of(cells)}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in found], indent=2), encoding="utf-8")


def runs(names: list[str], rows: int, *, serial: bool) -> Iterator[tuple[str, int, int]]:
    """Yield the runs of a case as (client, connections, rows)."""
    if serial:
        yield from ((client, SERIAL, rows // SERIAL_PART) for client in names)
    yield from ((client, CONNECTIONS, rows) for client in names)
    yield OURS, DEFAULT_CONNECTIONS, rows


def ordered(count: int, order: str) -> list[Row]:
    """Return the rows, sorted by mailbox like an export, or shuffled, which helps clients that know no mailboxes."""
    full, rest = divmod(count, MAILBOX_ROWS)
    rows = rows_of([MAILBOX_ROWS] * full + ([rest] if rest else []))
    if order == "shuffled":
        random.Random(5).shuffle(rows)
    return rows


def show(one: Found) -> None:
    """Print a line of the table."""
    print(
        f"{one.client:30} {one.connections:5} {one.wall_s:6.1f} s {one.rows_per_s:7.1f} {one.lost:6,} {one.refused:7,} "
        f"{one.calls:6,}  {one.record}"
    )
    sys.stdout.flush()


def compare(found: list[Found]) -> None:
    """Print how much faster we are than each serial client."""
    ours = {one.connections: one.rows_per_s for one in found if one.client == OURS}
    others = [one for one in found if one.client != OURS]
    for one in (one for one in others if one.connections == SERIAL):
        print(
            f"{OURS} is {ours[CONNECTIONS] / one.rows_per_s:.1f} times as fast as serial {one.client} (aim: {AIM_TIMES:.0f}), "
            f"and {ours[SERIAL] / one.rows_per_s:.2f} times with one connection as well"
        )


if __name__ == "__main__":
    main()
