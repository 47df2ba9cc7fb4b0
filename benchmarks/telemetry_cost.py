"""What it costs in CPU to watch a run from outside: pairs of runs in turn, the same but for being watched.

    python -m benchmarks.telemetry_cost                           (20,000 rows at 1 s a call and 64 connections; about 4 minutes)
    python -m benchmarks.telemetry_cost --latency-s 0 --rows 1000000   (a service that answers at once: the worst case)
    python -m benchmarks.telemetry_cost --way "metrics file"      (only this way; may be given again)

Each run is ``purgeengine run`` as a process of its own against the service of `benchmarks.null_graph`. The collector is a process
of its own as well, and takes all that it is sent. The system accounts for the CPU of each process when it ends. *Start* is the CPU
that a run of 20 rows takes more; it is paid once in a run. *Rows* is what is left of the difference, as a share of the unwatched
run. Needs a POSIX system, and the extras ``otel`` and ``prometheus``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from benchmarks.throughput import cost_of, write_input

ROUNDS = 5
SMALL_ROWS = 20


@dataclass(frozen=True, slots=True)
class Watching:
    """A way of watching a run: options and variables. ``{collector}`` and ``{scratch}`` stand for an address and a folder."""

    name: str
    options: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


_ENDPOINT = ("OTEL_EXPORTER_OTLP_ENDPOINT", "{collector}")
_OFTEN = ("OTEL_METRIC_EXPORT_INTERVAL", "5000")
WAYS = (
    Watching("metrics file", ("--metrics-file", "{scratch}/purge.prom")),
    Watching("metrics port", ("--metrics-port", "0")),
    Watching("OpenTelemetry metrics", (), (_ENDPOINT, _OFTEN, ("OTEL_TRACES_EXPORTER", "none"))),
    Watching("OpenTelemetry metrics and spans", (), (_ENDPOINT, _OFTEN)),
)


@dataclass(frozen=True, slots=True)
class Price:
    """What a way of watching costs. Seconds of CPU, the least of the rounds: what else the machine does only adds to them."""

    way: str
    unwatched_s: float
    """The unwatched run."""
    more_s: float
    """The watched run takes this much more."""
    start_s: float
    """So much of it is paid once, at the start and at the end."""

    @property
    def share(self) -> float:
        """The whole difference as a share of the unwatched run."""
        return self.more_s / self.unwatched_s

    @property
    def share_of_rows(self) -> float:
        """The difference that grows with the rows, as a share of the unwatched run."""
        return (self.more_s - self.start_s) / self.unwatched_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--latency-s", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--way", action="append", choices=[way.name for way in WAYS])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--collect", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.collect:
        collect()
        return
    ways = [way for way in WAYS if arguments.way is None or way.name in arguments.way]
    with (
        tempfile.TemporaryDirectory() as scratch,
        service(Path(scratch), arguments.latency_s) as (url, ca_file),
        collector() as address,
    ):
        bench = Bench(Path(scratch), url, ca_file, arguments.connections, {"collector": address, "scratch": scratch})
        found = measure(bench, ways, arguments.rows, arguments.rounds)
    print(f"{arguments.rows:,} rows, {arguments.latency_s:g} s a call, {arguments.connections} connections")
    print(f"{'way':<34}{'unwatched':>11}{'more':>9}{'start':>9}{'whole':>8}{'rows':>8}")
    for price in found:
        print(
            f"{price.way:<34}{price.unwatched_s:>9.2f} s{price.more_s:>7.2f} s{price.start_s:>7.2f} s"
            f"{price.share:>8.1%}{price.share_of_rows:>8.1%}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(price) for price in found], indent=2), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Bench:
    """Where runs are made, and what they talk to."""

    scratch: Path
    url: str
    ca_file: Path
    connections: int
    names: Mapping[str, str]

    def cpu_s(self, source: Path, way: Watching | None) -> float:
        """Return the CPU of one run with a new ledger, in seconds."""
        ledger = self.scratch / "ledger"
        shutil.rmtree(ledger, ignore_errors=True)
        command = ["-m", "purgeengine", "run", str(source), "--ledger", str(ledger), "--yes", "--quiet", "--json"]
        command += ["--rate", "1000000", "--connections", str(self.connections)]
        command += ["--graph-url", self.url, "--ca-file", str(self.ca_file)]
        variables: dict[str, str] = {}
        if way is not None:
            command += [option.format(**self.names) for option in way.options]
            variables = {name: value.format(**self.names) for name, value in way.variables}
        with changed(variables):
            return cost_of(command).cpu_s


def measure(bench: Bench, ways: Sequence[Watching], rows: int, rounds: int) -> list[Price]:
    """Measure in turn: unwatched, then each way, small and large. Return the differences between the least of each."""
    small = write_input(bench.scratch / "small.csv", SMALL_ROWS)
    large = write_input(bench.scratch / "large.csv", rows)
    bench.cpu_s(small, None)  # compiles what was never imported
    for way in ways:
        bench.cpu_s(small, way)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        found.setdefault("", []).append((bench.cpu_s(small, None), bench.cpu_s(large, None)))
        for way in ways:
            found.setdefault(way.name, []).append((bench.cpu_s(small, way), bench.cpu_s(large, way)))
    least = {name: tuple(map(min, zip(*costs, strict=True))) for name, costs in found.items()}
    start_s, whole_s = least.pop("")
    return [Price(name, whole_s, whole - whole_s, start - start_s) for name, (start, whole) in least.items()]


@contextlib.contextmanager
def changed(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables inside, and none of OpenTelemetry beside them."""
    before = dict(os.environ)
    kept = {name: value for name, value in before.items() if not name.startswith("OTEL_")}
    os.environ.clear()
    os.environ.update({**kept, "NO_PROXY": "127.0.0.1", **variables})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def service(scratch: Path, latency_s: float) -> Iterator[tuple[str, Path]]:
    """Run the service in a process of its own, inside the context."""
    ca_file = scratch / "ca.pem"
    arguments = ["-m", "benchmarks.null_graph", "--ca-file", str(ca_file), "--latency-s", str(latency_s)]
    with printing(arguments) as url:
        yield url, ca_file


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """Run the collector in a process of its own, inside the context."""
    with printing(["-m", "benchmarks.telemetry_cost", "--collect"]) as url:
        yield url


@contextlib.contextmanager
def printing(arguments: Sequence[str]) -> Iterator[str]:
    """Run Python with these arguments inside, and yield the line that it prints. It ends when its standard input closes."""
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()
        process.wait(timeout=10)


class Taking(BaseHTTPRequestHandler):
    """Takes all that it is sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the body, and answer 200."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""


class Collector(socketserver.ThreadingTCPServer):
    """A thread for each connection. None of them keeps the process from ending."""

    daemon_threads = True


def collect() -> None:
    """Listen on a free port of 127.0.0.1, print the URL, and stop when standard input closes."""
    with Collector(("127.0.0.1", 0), Taking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
