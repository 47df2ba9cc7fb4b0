"""Tests of watching whole runs from outside: through the command line and from Python, over HTTP, into real readers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

import purgeengine
from purgeengine.core.messages import BatchEnded
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.edges.telemetry.metric_table import APP_LIMIT, CALLS_LOST, METRICS
from purgeengine.errors import TokenError, UsageProblem
from purgeengine.jobs.run_telemetry import UNWATCHED, GaugeReader, close_all, watched
from purgeengine.sim.graph.faults import CallFault, Chance, Faults
from purgeengine.sim.wire.answers import Trouble
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, Ended, a_bench, rows_of
from tests.support.otlp_collector import Collected, attributes_of, collecting_http
from tests.support.telemetry_fixtures import missing

ROWS = [40, 30, 20, 10]
DENIED = "user0002@contoso.example"


def as_flags(setting: str) -> str:
    """Spell a setting as an option."""
    return f"--{setting.replace('_', '-')}"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the variables of this machine and its proxies."""
    for name in list(os.environ):
        if name.startswith("OTEL_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@contextmanager
def a_bench_that_denies(folder: Path, faults: Faults | None = None) -> Iterator[Bench]:
    """Open a bench whose tenant denies one mailbox."""
    rows = rows_of(ROWS)
    tenant = a_tenant(rows, faults=faults)
    tenant.truth.mailbox(DENIED).trouble = Trouble.DENIED
    with a_bench(folder, tenant, rows) as opened:
        yield opened


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Open a bench without faults, for runs that are about something else."""
    with a_bench_that_denies(tmp_path_factory.mktemp("bench")) as opened:
        yield opened


class Watched(NamedTuple):
    """A run with faults that was watched in both ways."""

    ended: Ended
    path: Path
    collected: Collected
    secrets: tuple[str, ...]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Return a run in which the first two answers were cut, and mailboxes were throttled."""
    folder = tmp_path_factory.mktemp("faulty")
    faults = Faults(item_throttled_before=0.05, retry_after_s_max=1)
    first = iter((CallFault.TRUNCATED, CallFault.TRUNCATED))
    with (
        patch.object(Chance, "call_fault", lambda self, may_expire=True: next(first, None)),
        a_bench_that_denies(folder, faults) as opened,
        collecting_http() as collected,
    ):
        path = folder / "purge.prom"
        ended = run(opened, folder, "--metrics-file", str(path), OTEL_EXPORTER_OTLP_ENDPOINT=collected.endpoint)
        app = opened.server.login.app
    return Watched(ended, path, collected, (app.client_secret, app.client_id, app.tenant_id))


def read(path: Path) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Return the samples of a metrics file by their names and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in parse(path.read_text(encoding="utf-8")):
        for sample in family.samples:
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if value))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def run(bench: Bench, tmp_path: Path, *more: str, **environment: str) -> Ended:
    """Run a purge of the whole list with a new ledger, in this process."""
    arguments = bench.run_arguments("--quarantine-s", "1", *more)
    arguments[arguments.index("--ledger") + 1] = str(tmp_path / "ledger")
    return bench.here(*arguments, **environment)


def test_a_file_and_a_collector_tell_what_the_summary_tells(faulty: Watched) -> None:
    """After a run with faults, the metrics file has the figures of the summary, and every metric of the table occurs."""
    assert faulty.ended.code == 1, faulty.ended.err
    summary, samples = faulty.ended.json, read(faulty.path)
    outcomes = {labels[0][1]: value for labels, value in samples["purgeengine_rows_settled_total"].items()}
    assert outcomes == summary["outcomes"]
    assert samples["purgeengine_ledger_rows"] == samples["purgeengine_rows_settled_total"]
    assert samples["purgeengine_calls_lost_total"][()] == summary["lost_calls"] == 2
    assert samples["purgeengine_mailboxes_closed_total"][()] == summary["closed_mailboxes"] == 1
    assert samples["purgeengine_run_exit_code"][()] == 1
    assert samples["purgeengine_rows_left"][()] == samples["purgeengine_run_active"][()] == 0
    assert samples["purgeengine_calls_in_flight"][()] == 0
    assert sum(samples["http_client_request_duration_seconds_count"].values()) == summary["calls"]
    assert sum(samples["purgeengine_subrequests_total"].values()) == summary["requests"]
    assert 0 <= samples["purgeengine_token_age_seconds"][()] < 600
    names = {re.sub("_(?:bucket|sum|count)$", "", name) for name in samples}
    assert {metric.prometheus_name for metric in METRICS} - names == {APP_LIMIT.prometheus_name}  # it has met none


def test_a_collector_gets_what_the_summary_tells(faulty: Watched) -> None:
    """The collector has the same figures, and a span for each call of the summary, below that of the run."""
    summary, collected = faulty.ended.json, faulty.collected
    points = collected.points("purgeengine.rows.settled")
    assert {labels[0][1]: value for labels, value in points.items()} == summary["outcomes"]
    assert collected.points("purgeengine.run.exit_code")[()] == 1
    calls = [span for span in collected.spans if span.name == "POST /v1.0/$batch"]
    assert len(calls) == summary["calls"]
    assert sum(attributes_of(span)["purgeengine.batch.rows"] for span in calls) == summary["requests"]
    assert len([span for span in calls if "error.type" in attributes_of(span)]) == summary["lost_calls"]
    assert {span.parent_span_id for span in calls} == {
        s.span_id for s in collected.spans if s.name == "purgeengine run"
    }


def test_nothing_that_is_exported_names_anybody(faulty: Watched) -> None:
    """Neither the file nor anything that the collector got holds a name or an id of a mailbox or a contact, or a secret."""
    exported = faulty.path.read_bytes() + faulty.collected.everything()
    assert b"purgeengine.client_request_id" in exported
    for text in ("contoso.example", "user000", "AAMkAGI2", "eyJ", *faulty.secrets):
        assert text.encode() not in exported, text


def test_prometheus_reads_a_run_that_goes_on(tmp_path: Path) -> None:
    """While a run goes on, Prometheus reads its figures at the port that the log names."""
    rows = rows_of([200])
    with a_bench(tmp_path, a_tenant(rows, faults=Faults(outage=(0.3, 3_600.0))), rows) as bench:
        arguments = [
            one for one in bench.run_arguments("--metrics-port", "0", "--log-format", "json") if one != "--quiet"
        ]
        with bench.start(*arguments) as process:
            assert process.stderr is not None
            try:
                url = next(found[1] for line in process.stderr if (found := re.search(r'"url": "(http[^"]+)"', line)))
                script = f"import urllib.request as u; print(u.build_opener(u.ProxyHandler({{}})).open({url!r}).read().decode())"
                deadline = time.monotonic() + 60.0
                while not active(script) and time.monotonic() < deadline:  # the port is told before the run may send
                    time.sleep(0.1)
                assert active(script)
            finally:
                process.kill()


def active(script: str) -> bool:
    """Return whether the page that a script fetches says that the run is active."""
    text = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    (family,) = [family for family in parse(text) if family.name == "purgeengine_run_active"]
    return family.samples[0].value == 1


def test_a_run_that_cannot_begin_leaves_its_exit_code_in_the_file(bench: Bench, tmp_path: Path) -> None:
    """A run that gets no token ends with 3, and the file says so, for alerts about unattended runs."""
    path = tmp_path / "purge.prom"
    ended = run(bench, tmp_path, "--metrics-file", str(path), AZURE_CLIENT_SECRET="wrong")
    assert ended.code == 3
    assert read(path)["purgeengine_run_exit_code"][()] == 3


def test_a_collector_that_cannot_be_reached_changes_nothing_of_a_run(bench: Bench, tmp_path: Path) -> None:
    """With a collector that nobody runs, a run ends as without, and standard error has one line more."""
    arguments = bench.run_arguments("--quarantine-s", "1")
    arguments[arguments.index("--ledger") + 1] = str(tmp_path / "ledger")
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_METRIC_EXPORT_INTERVAL": "50"}
    ended = bench.command(*arguments, **variables)
    assert ended.code == 1
    assert ended.json["complete"]
    (line,) = [line for line in ended.err.splitlines() if "mailbox.closed" not in line and "run.doubted" not in line]
    assert "telemetry.failed" in line
    assert "http://127.0.0.1:9" in line


def test_the_environment_alone_starts_nothing_that_was_not_asked_for(bench: Bench, tmp_path: Path) -> None:
    """A run that nobody watches imports neither OpenTelemetry nor Prometheus, nor our own modules for them."""
    script = (
        "import atexit, sys\n"
        "heavy = ('opentelemetry', 'prometheus_client', 'grpc', 'google', 'purgeengine.edges.telemetry')\n"
        "atexit.register(lambda: print('loaded', [n for n in sys.modules if n.startswith(heavy)], file=sys.stderr))\n"
        "from purgeengine.cli.main import main\n"
        "main()"
    )
    arguments = bench.run_arguments("--quarantine-s", "1")
    arguments[arguments.index("--ledger") + 1] = str(tmp_path / "ledger")
    with bench.start(*arguments, program=("-c", script)) as process:
        _, said = process.communicate(timeout=100)
    assert process.returncode == 1, said
    assert "loaded []" in said


@pytest.mark.parametrize(
    ("option", "value", "package"),
    [("metrics_port", 0, "prometheus_client"), ("metrics_file", Path("purge.prom"), "prometheus_client")],
)
def test_an_option_without_its_package_says_what_to_install(
    option: str, value: object, package: str, tmp_path: Path
) -> None:
    """Without the extra, an option is refused with what to install, before anything is sent."""
    if isinstance(value, Path):
        value = tmp_path / value
    with (
        missing(package),
        pytest.raises(UsageProblem, match=rf"{as_flags(option)} needs .*pip install 'purgeengine\[prometheus\]'"),
        watched({}, as_flags, **{option: value}),  # type: ignore[arg-type]
    ):
        raise AssertionError("it was refused before")


def test_an_error_tells_its_exit_code_and_anything_else_that_the_run_was_cut_short(tmp_path: Path) -> None:
    """What leaves the context decides the exit code that is exported: that of an error, or 4."""
    for number, (raised, code) in enumerate(((TokenError("no"), 3), (KeyboardInterrupt(), 4))):
        path = tmp_path / f"{number}.prom"
        with pytest.raises(type(raised)), watched({}, as_flags, metrics_file=path):
            raise raised
        assert read(path)["purgeengine_run_exit_code"][()] == code


def test_a_run_that_nobody_watches_is_handed_nothing() -> None:
    """Without options and variables the context is empty; variables that only describe the service count as none."""
    with watched({"OTEL_SERVICE_NAME": "purge"}, as_flags) as telemetry:
        assert telemetry is UNWATCHED


def test_a_gauge_that_cannot_be_read_ends_the_counting_and_not_the_run() -> None:
    """If a look at the gauges fails, nothing is raised into the run, and nothing more is counted."""
    counts = Measurements()
    reader = GaugeReader(counts, object())  # type: ignore[arg-type]
    reader.show(object())  # type: ignore[arg-type]
    counts.recorded([BatchEnded(1, None, "")], 0.1)
    assert counts.read(CALLS_LOST) == {(): 0}
    assert counts.gauges is None


def test_an_exporter_that_hangs_is_left_behind() -> None:
    """Closing waits no longer than an exporter's own bound, and the others have been closed by then."""
    let_go, closed = threading.Event(), threading.Event()

    class Hanging:
        closing_s = 0.01

        def close(self) -> None:
            let_go.wait(60)

    class Quick:
        closing_s = 30.0

        def close(self) -> None:
            closed.set()

    close_all([Hanging(), Quick()])
    assert closed.is_set()
    assert not let_go.is_set()
    let_go.set()


def test_a_program_is_watched_by_the_same_variables(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge from Python exports as the variables ask, below the span that is current in the program."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import use_span

    own = TracerProvider(shutdown_on_exit=False).get_tracer("program").start_span("nightly job")
    app = bench.server.login.app
    for name, value in (
        ("AZURE_TENANT_ID", app.tenant_id),
        ("AZURE_CLIENT_ID", app.client_id),
        ("AZURE_CLIENT_SECRET", app.client_secret),
    ):
        monkeypatch.setenv(name, value)
    request = purgeengine.PurgeRequest(
        inputs=str(bench.input),
        ledger=tmp_path / "ledger",
        graph_url=bench.server.graph_url,
        authority_url=bench.server.authority_url,
        ca_file=bench.server.ca_file,
        limits=purgeengine.Limits(quarantine_s=1.0),
        yes=True,
    )
    with collecting_http() as collected, use_span(own):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.endpoint)
        summary = purgeengine.purge(request)
    run_span = next(span for span in collected.spans if span.name == "purgeengine run")
    assert run_span.parent_span_id == own.get_span_context().span_id.to_bytes(8, "big")
    assert len(collected.spans) == summary.calls + 1
    assert collected.points("purgeengine.run.exit_code")[()] == summary.exit_code
