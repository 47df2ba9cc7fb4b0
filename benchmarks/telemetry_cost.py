"""What it costs in CPU to watch a run from outside.

    python -m benchmarks.telemetry_cost                           (40,000 rows at 1 s a call and 64 connections; about 8 minutes)
    python -m benchmarks.telemetry_cost --latency-s 0 --rows 500000    (a service that answers at once: the worst case)
    python -m benchmarks.telemetry_cost --way "metrics file"      (only this way; may be given again)
    python -m benchmarks.telemetry_cost --pairs                   (compares watched runs with unwatched ones instead)

Each run is ``purgeengine run`` as a process of its own against the service of `benchmarks.null_graph`. The collector is a process
of its own as well, and takes all that it is sent.

The run itself tells what telemetry takes of its CPU: the time of each of telemetry's threads, and the time in each of its functions
that the run calls. *Start* is what is paid once, at the start: imports and set-up. *Rows* is all the rest, as a share of the CPU
that the run takes after its start without telemetry. Because both are taken from one run, a busy machine changes the share little.
With ``--pairs``, the CPU of whole processes is compared, off and on in turn, which needs a quiet machine.
Needs a POSIX system, and the extras ``otel`` and ``prometheus``.
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
from statistics import median
from typing import Any

from benchmarks.throughput import cost_of, write_input

ROUNDS = 3
SMALL_ROWS = 20


@dataclass(frozen=True, slots=True)
class Watching:
    """A way of watching a run: options and variables. ``{collector}`` and ``{scratch}`` stand for an address and a folder."""

    name: str
    options: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


_ENDPOINT = ("OTEL_EXPORTER_OTLP_ENDPOINT", "{collector}")
WAYS = (
    Watching("metrics file", ("--metrics-file", "{scratch}/purge.prom")),
    Watching("metrics port", ("--metrics-port", "0")),
    Watching("OpenTelemetry metrics", (), (_ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"))),
    Watching("OpenTelemetry metrics and spans", (), (_ENDPOINT,)),
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
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--latency-s", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--way", action="append", choices=[way.name for way in WAYS])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--collect", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--inside", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.collect:
        collect()
        return
    if arguments.inside:
        run_inside(arguments.inside)
    ways = [way for way in WAYS if arguments.way is None or way.name in arguments.way]
    with (
        tempfile.TemporaryDirectory() as scratch,
        service(Path(scratch), arguments.latency_s) as (url, ca_file),
        collector() as address,
    ):
        bench = Bench(Path(scratch), url, ca_file, arguments.connections, {"collector": address, "scratch": scratch})
        print(f"{arguments.rows:,} rows, {arguments.latency_s:g} s a call, {arguments.connections} connections")
        if not arguments.pairs:
            show_shares(bench, ways, arguments.rows, arguments.rounds)
            return
        found = measure(bench, ways, arguments.rows, arguments.rounds)
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
        with changed(self._variables(way)):
            return cost_of(["-m", "purgeengine", *self._arguments(source, way)]).cpu_s

    def shares(self, source: Path, way: Watching) -> dict[str, float]:
        """Return what a run says of its own CPU, in seconds."""
        command = [sys.executable, "-m", "benchmarks.telemetry_cost", "--inside", *self._arguments(source, way)]
        with changed({**self._variables(way), "PURGEENGINE_ACCESS_TOKEN": "benchmark"}):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    def _arguments(self, source: Path, way: Watching | None) -> list[str]:
        ledger = self.scratch / "ledger"
        shutil.rmtree(ledger, ignore_errors=True)
        arguments = ["run", str(source), "--ledger", str(ledger), "--yes", "--quiet", "--json", "--rate", "1000000"]
        arguments += ["--connections", str(self.connections), "--graph-url", self.url, "--ca-file", str(self.ca_file)]
        return arguments + ([] if way is None else [option.format(**self.names) for option in way.options])

    def _variables(self, way: Watching | None) -> dict[str, str]:
        return {} if way is None else {name: value.format(**self.names) for name, value in way.variables}


def show_shares(bench: Bench, ways: Sequence[Watching], rows: int, rounds: int) -> None:
    """Print for each way what telemetry takes of a run's CPU, by medians."""
    source = write_input(bench.scratch / "rows.csv", rows)
    print(f"{'way':<34}{'CPU of the run':>16}{'start':>9}{'rows':>9}{'a call':>11}")
    for way in ways:
        found = [bench.shares(source, way) for _ in range(rounds)]
        middle = {name: median(one[name] for one in found) for name in found[0]}
        share = median(one["telemetry_s"] / one["others_s"] for one in found)
        a_call = middle["telemetry_s"] / middle["calls"] * 1e6
        print(f"{way.name:<34}{middle['others_s']:>14.2f} s{middle['start_s']:>7.2f} s{share:>9.1%}{a_call:>8.1f} µs")


def run_inside(arguments: Sequence[str]) -> None:
    """Run the command line in this process, and print at its end what telemetry took of its CPU."""
    import atexit
    import time

    from purgeengine.cli.main import main as command_line
    from purgeengine.edges.telemetry.measurements import Measurements
    from purgeengine.jobs import run_telemetry

    spent = {"telemetry_s": 0.0, "start_s": 0.0, "calls": 0.0}

    def timed(function: Any, name: str = "telemetry_s") -> Any:
        def call(*given: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                spent[name] += time.thread_time() - began

        return call

    def run(thread: threading.Thread) -> None:
        plain_run(thread)
        if thread.name.startswith(("Otel", "otel", "telemetry", "metrics file")):
            spent["telemetry_s"] += time.thread_time()

    def call_left(self: Measurements, *given: Any) -> None:
        spent["calls"] += 1
        counted_left(self, *given)

    plain_run = threading.Thread.run
    setattr(threading.Thread, "run", run)  # noqa: B010 - mypy forbids the assignment
    counted_left = Measurements.call_left
    for kind, names in (
        (Measurements, ("call_left", "call_ended", "recorded")),
        (run_telemetry.GaugeReader, ("show",)),
    ):
        for name in names:
            setattr(kind, name, timed(call_left if name == "call_left" else getattr(kind, name)))
    context = run_telemetry.watched

    @contextlib.contextmanager
    def watched(*given: Any, **named: Any) -> Iterator[Any]:
        entered = context(*given, **named)
        began = time.process_time()
        telemetry = entered.__enter__()
        spent["start_s"] = time.process_time() - began
        spent["others_s"] = -time.process_time()
        try:
            yield telemetry
        finally:
            entered.__exit__(None, None, None)
            spent["others_s"] += time.process_time() - spent["telemetry_s"]

    run_telemetry.watched = watched
    empty = timed(lambda: None, "empty_s")
    spent["empty_s"] = 0.0
    for _ in range(10_000):
        empty()
    a_look_s = spent.pop("empty_s") / 10_000  # at the clock, twice: it is not telemetry's

    def show() -> None:
        spent["telemetry_s"] -= 3 * spent["calls"] * a_look_s
        print(json.dumps(spent), flush=True)

    atexit.register(show)
    command_line(arguments)


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
