"""The simulated tenant in a process of its own, so that the measured client has a process to itself.

    python -m benchmarks.tenant --ca-file ca.pem --contacts rows.csv

It prints where it listens as one line of JSON, serves until its standard input closes, and then prints what it saw as
another line. `Service` starts it and reads both.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fault_levels import A_FEW
from purgeengine.core.forecast.latency import Dispatch
from purgeengine.engine.event_loop import run_loop
from purgeengine.sim.graph.call import Call, Ending, EndKind
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.server.http_server import SimulatedTenant
from purgeengine.sim.tenant_settings import TenantSettings

START_S_MAX = 60.0
TICK_S = 0.02

Row = tuple[str, str, str]


def read_rows(path: Path) -> list[Row]:
    """Read the (user, folder, contact) of an input that `write_rows` wrote."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [(row["user"], row["folder"], row["contact"]) for row in csv.DictReader(lines)]


def write_rows(path: Path, rows: list[Row]) -> Path:
    """Write an input for every client."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("user", "folder", "contact"))
        writer.writerows(rows)
    return path


def rows_of(rows_by_mailbox: list[int]) -> list[Row]:
    """Return this many contacts in each mailbox, sorted by mailbox, with ids of ordinary length."""
    return [
        (f"user{mailbox:05d}@contoso.example", "", f"AAMkAGI2{'T' * 100}{mailbox:05d}{row:07d}=")
        for mailbox, count in enumerate(rows_by_mailbox)
        for row in range(count)
    ]


@dataclass(slots=True)
class Service:
    """A tenant that listens. ``seen`` is filled when it has stopped."""

    url: str
    ca_file: Path
    token: str
    """A ready token, for clients that get one."""
    login: dict[str, str]
    """The environment for a client that signs in by itself."""
    authority_url: str
    seen: dict[str, Any] = field(default_factory=dict)
    """What the tenant saw.

    Its counters; ``left``: the rows that still exist; ``cpu_s``; ``call_s``: seconds of all calls together, from
    arrival to answer; ``lag_ms``: how late its own timer was, median and worst.
    """


@contextmanager
def serving(
    scratch: Path, source: Path, dispatch: Dispatch, *, fault_p: float = 0.0, seed: int = 0
) -> Iterator[Service]:
    """Run a new tenant with the contacts of ``source``, inside the context."""
    ca_file = scratch / "ca.pem"
    command = [sys.executable, "-m", "benchmarks.tenant", "--ca-file", str(ca_file), "--contacts", str(source)]
    command += ["--dispatch", dispatch, "--fault-p", str(fault_p), "--seed", str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit("The simulated tenant did not start; what it said stands above.")
        service = Service(ca_file=ca_file, **json.loads(line))
        try:
            yield service
        finally:
            process.stdin.close()
            service.seen = json.loads(process.stdout.readline() or "{}")
            process.wait(timeout=START_S_MAX)


class Timed(Tenant):
    """A tenant that adds up how long its calls took."""

    call_s = 0.0

    def _ending(self, call: Call, kind: EndKind, status: int, body: bytes, now: float, wait: Any = None) -> Ending:
        self.call_s += now - call.begun_at
        return super()._ending(call, kind, status, body, now, wait)


async def serve(arguments: argparse.Namespace) -> None:
    """Listen until standard input closes. Print where, and at the end what was seen."""
    rows = read_rows(arguments.contacts)
    faults = Faults(**dict.fromkeys(A_FEW, arguments.fault_p))
    settings = TenantSettings(dispatch=arguments.dispatch, log=False)
    tenant = Timed(settings, contacts=rows, faults=faults, seed=arguments.seed)
    server = SimulatedTenant(tenant, ca_file=arguments.ca_file)
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # no pause that would be taken for latency
    async with server:
        app = server.login.app
        where = {
            "url": server.graph_url,
            "authority_url": server.authority_url,
            "token": server.login.issue(0.0),
            "login": {
                "AZURE_TENANT_ID": app.tenant_id,
                "AZURE_CLIENT_ID": app.client_id,
                "AZURE_CLIENT_SECRET": app.client_secret,
            },
        }
        print(json.dumps(where), flush=True)
        started_s, lags_s = time.process_time(), [0.0]
        watch = asyncio.create_task(_watch(lags_s))
        await asyncio.to_thread(sys.stdin.read)
        watch.cancel()
        lags_s.sort()
        seen = tenant.summary() | {
            "left": [number for number, (user, _, contact) in enumerate(rows) if tenant.truth.exists(user, contact)],
            "cpu_s": time.process_time() - started_s,
            "call_s": tenant.call_s,
            "lag_ms": [lags_s[len(lags_s) // 2] * 1000, lags_s[-1] * 1000],
        }
        print(json.dumps(seen), flush=True)


async def _watch(lags_s: list[float]) -> None:
    """Note again and again how late a timer is: a busy machine adds that to every latency."""
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(TICK_S)
        lags_s.append(loop.time() - before - TICK_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ca-file", type=Path, required=True)
    parser.add_argument("--contacts", type=Path, required=True)
    parser.add_argument("--dispatch", choices=["four", "all"], default="four")
    parser.add_argument("--fault-p", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    run_loop(serve(arguments))


if __name__ == "__main__":
    main()
