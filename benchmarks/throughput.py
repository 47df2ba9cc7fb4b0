"""CPU and memory of the whole program compared with the bare aiohttp loop, in the same run against the same service.

    python -m benchmarks.throughput                    (100,000 rows; about a minute)
    python -m benchmarks.throughput --full             (adds 1,000,000 rows for the memory)
    python -m benchmarks.throughput --json out.json

"The whole program" is ``purgeengine run`` as a process of its own: reading and staging the CSV, scheduling, TLS,
recording every intent and outcome durably, and the summary. The operating system accounts for each process when it
ends; both sides include their start. Needs a POSIX system (it asks for the resource usage of child processes).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

MAILBOX_ROWS = 200
ROUNDS = 3
CONNECTIONS = 64
"""Connections of both. A service without latency needs many to keep a client busy that waits for its disk between turns."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process used."""

    cpu_s: float
    wall_s: float
    peak_mib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, service(Path(scratch)) as (url, ca_file):
        found = measure(Path(scratch), url, ca_file, arguments.rows, arguments.rounds, arguments.connections)
        if arguments.full:
            rows = write_input(Path(scratch) / "large.csv", 10 * arguments.rows)
            cost = purge(Path(scratch), rows, url, ca_file, arguments.connections)
            found["large"] = {"rows": 10 * arguments.rows, **asdict(cost)}
    show(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


def measure(scratch: Path, url: str, ca_file: Path, rows: int, rounds: int, connections: int) -> dict[str, object]:
    """Measure both in turn, several times. Return the medians of their CPU per row, and of the ratios pair by pair."""
    source = write_input(scratch / "rows.csv", rows)
    uvloop = has_uvloop()
    pairs = []
    for _ in range(rounds):
        floor = bare_loop(url, ca_file, rows, connections, uvloop)
        whole = purge(scratch, source, url, ca_file, connections)
        pairs.append((floor, whole))
    middle = rounds // 2
    return {
        "rows": rows,
        "connections": connections,
        "uvloop": uvloop,
        "floor_us_per_item": sorted(f.cpu_s / rows * 1e6 for f, _ in pairs)[middle],
        "whole_us_per_item": sorted(w.cpu_s / rows * 1e6 for _, w in pairs)[middle],
        "cpu_ratio": sorted(w.cpu_s / f.cpu_s for f, w in pairs)[middle],
        "items_per_s": sorted(rows / w.wall_s for _, w in pairs)[middle],
        "floor_items_per_s": sorted(rows / f.wall_s for f, _ in pairs)[middle],
        "peak_mib": max(w.peak_mib for _, w in pairs),
    }


def show(found: dict[str, object]) -> None:
    """Print the table."""
    lines = [
        ("rows", f"{found['rows']:,}"),
        ("event loop", "uvloop" if found["uvloop"] else "asyncio"),
        ("CPU per item, bare aiohttp loop", f"{found['floor_us_per_item']:.1f} µs"),
        ("CPU per item, whole program", f"{found['whole_us_per_item']:.1f} µs"),
        ("ratio (aim: at most 2)", f"{found['cpu_ratio']:.2f}"),
        ("items a second, bare loop", f"{found['floor_items_per_s']:,.0f}"),
        ("items a second, whole program", f"{found['items_per_s']:,.0f}"),
        ("peak memory (aim: under 200 MiB)", f"{found['peak_mib']:.0f} MiB"),
    ]
    if isinstance(large := found.get("large"), dict):
        lines.append((f"peak memory at {large['rows']:,} rows", f"{large['peak_mib']:.0f} MiB"))
        lines.append((f"CPU per item at {large['rows']:,} rows", f"{large['cpu_s'] / large['rows'] * 1e6:.1f} µs"))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value:>12}")


def write_input(path: Path, rows: int) -> Path:
    """Write a CSV file sorted by mailbox, with ids of ordinary length."""
    rng = random.Random(1)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    tail = "".join(rng.choices(alphabet, k=120))
    with path.open("w", encoding="utf-8", newline="") as out:
        out.write("user,folder,contact,displayName\n")
        for row in range(rows):
            user = f"user{row // MAILBOX_ROWS:06d}@contoso.example"
            out.write(f"{user},,AAMkAGI2{tail}{row:012d}=,Contact {row}\n")
    return path


def bare_loop(url: str, ca_file: Path, items: int, connections: int, uvloop: bool) -> Cost:
    """Run the bare loop in a process of its own."""
    command = ["-m", "benchmarks.bare_loop", "--url", url, "--ca-file", str(ca_file), "--items", str(items)]
    return cost_of([*command, "--connections", str(connections), *(["--uvloop"] if uvloop else [])])


def purge(scratch: Path, source: Path, url: str, ca_file: Path, connections: int) -> Cost:
    """Run the whole program with a new ledger."""
    ledger = scratch / "ledger"
    shutil.rmtree(ledger, ignore_errors=True)
    command = [
        "-m",
        "purgeengine",
        "run",
        str(source),
        "--ledger",
        str(ledger),
        "--yes",
        "--quiet",
        "--json",
        "--rate",
        "1000000",
    ]
    endpoint = ["--graph-url", url, "--ca-file", str(ca_file), "--connections", str(connections)]
    return cost_of([*command, *endpoint])


def cost_of(arguments: list[str]) -> Cost:
    """Run Python with these arguments, and ask the system what it cost."""
    started = time.perf_counter()
    environment = os.environ | {"PURGEENGINE_ACCESS_TOKEN": "benchmark"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once, not at each start
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    unit = 1024 if sys.platform == "darwin" else 1
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / unit / 1024)


@contextlib.contextmanager
def service(scratch: Path) -> Iterator[tuple[str, Path]]:
    """Run the null service in a process of its own, inside the context."""
    ca_file = scratch / "ca.pem"
    command = [sys.executable, "-m", "benchmarks.null_graph", "--ca-file", str(ca_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip(), ca_file
        process.stdin.close()
        process.wait(timeout=10)


def has_uvloop() -> bool:
    """True if the measured program will use uvloop."""
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
