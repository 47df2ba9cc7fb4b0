"""Tests of exporting by OpenTelemetry: into a collector made of the protocol's own library, and into none."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from purgeengine import log_events
from purgeengine.core.messages import BatchLost, MailboxBlocked, Settled
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.edges.telemetry.metric_table import APP_LIMIT, METRICS
from purgeengine.edges.telemetry.otel_export import SPANS_MAX, SPANS_QUEUED_MAX, OtelExport, started
from purgeengine.edges.telemetry.otel_log import SdkComplaints
from purgeengine.edges.telemetry.otel_variables import wanted_signals
from purgeengine.edges.telemetry.run_gauges import RunGauges
from tests.edges.telemetry.test_measurements import GONE, URL, a_batch, answered, call
from tests.support.otlp_collector import Collected, attributes_of, collecting_grpc, collecting_http
from tests.support.telemetry_fixtures import Told, missing, told  # noqa: F401 - a fixture

Collecting = Callable[[], AbstractContextManager[Collected]]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the variables of this machine and its proxies."""
    for name in list(os.environ):
        if name.startswith("OTEL_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@contextmanager
def exporting(counts: Measurements, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[OtelExport | None]:
    """Export inside the context as these variables ask, and hand over the last figures at its end."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    logger = logging.getLogger("opentelemetry")  # pytest listens, and would be taken for a program that does
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [one for one in logger.handlers if isinstance(one, logging.NullHandler)])
    signals = wanted_signals(variables)
    assert signals is not None
    export = started(counts, signals, variables)
    yield export
    if export is not None:
        export.close()


def let_happen(counts: Measurements) -> None:
    """Let two calls end, one of them lost."""
    counts.begins(URL)
    first, second = a_batch(1), a_batch(2, rows=1)
    call(counts, first, answered(first, GONE, Reply(429), None), took_s=0.2)
    call(counts, second, BatchLost(2, sent=True, reason="cut"), took_s=5.0)
    counts.recorded([Settled(0, Outcome.PURGED, 1, False, 1, GONE), MailboxBlocked(1, 7.0)], 0.004)
    counts.gauges = RunGauges({Outcome.PURGED: 1}, 3, 2.5, token_issued_utc=1.0, token_expires_utc=2e9)


@pytest.mark.parametrize(
    ("collecting", "protocol"), [(collecting_http, ""), (collecting_http, "http/protobuf"), (collecting_grpc, "grpc")]
)
def test_a_collector_gets_the_figures_and_the_calls(
    collecting: Collecting, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector gets every metric that has a value, and a span for the run and for each call, by both protocols."""
    counts = Measurements()
    with collecting() as collected:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collected.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        if protocol == "grpc":
            variables["OTEL_EXPORTER_OTLP_INSECURE"] = "true"
        with exporting(counts, monkeypatch, **{name: value for name, value in variables.items() if value}):
            let_happen(counts)
            counts.ended(1)
    metrics = collected.metrics
    assert set(metrics) == {metric.name for metric in METRICS if metric is not APP_LIMIT}
    assert {name: metrics[name].unit for name in metrics} == {m.name: m.unit for m in METRICS if m.name in metrics}
    assert metrics["purgeengine.rows.settled"].sum.is_monotonic
    assert collected.points("purgeengine.rows.settled")[(("purgeengine.outcome", "purged"),)] == 1
    assert collected.points("purgeengine.subrequests") == {
        (("http.response.status_code", 204),): 1,
        (("error.type", "429"), ("http.response.status_code", 429)): 1,
        (("error.type", "no_answer"),): 2,
    }
    assert collected.points("purgeengine.wait.duration")[(("purgeengine.wait.scope", "mailbox"),)] == (1, 7.0)
    assert collected.points("purgeengine.time_left")[()] == 2.5
    assert collected.points("purgeengine.run.exit_code")[()] == 1
    durations = collected.points("http.client.request.duration")
    assert sorted(count for count, _ in durations.values()) == [1, 1]
    assert {span.name for span in collected.spans} == {"purgeengine run", "POST /v1.0/$batch"}
    assert len(collected.spans) == 3


def test_the_run_is_the_root_of_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are spans of kind client below the span of the run, as long as they took, and a lost call is an error."""
    counts = Measurements()
    with collecting_http() as collected, exporting(counts, monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collected.endpoint):
        let_happen(counts)
        counts.ended(4)
    root = next(span for span in collected.spans if span.name == "purgeengine run")
    good, lost = sorted(
        (span for span in collected.spans if span is not root and span.name != root.name),
        key=lambda span: attributes_of(span)["purgeengine.client_request_id"],
    )
    assert root.parent_span_id == b""
    assert {good.parent_span_id, lost.parent_span_id} == {root.span_id}
    assert {good.trace_id, lost.trace_id} == {root.trace_id}
    assert len({good.span_id, lost.span_id, root.span_id}) == 3
    assert (root.kind, good.kind) == (Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT)
    assert (lost.end_time_unix_nano - lost.start_time_unix_nano) / 1e9 == pytest.approx(5.0)
    assert attributes_of(good) == {
        "http.request.method": "POST",
        "server.address": "graph.microsoft.com",
        "server.port": 443,
        "url.full": URL,
        "http.response.status_code": 200,
        "purgeengine.batch.rows": 3,
        "purgeengine.batch.mailboxes": 1,
        "purgeengine.client_request_id": "client-1",
        "purgeengine.request_id": "graph-1",
    }
    assert attributes_of(lost)["error.type"] == "no_answer"
    assert (good.status.code, lost.status.code) == (Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR)
    assert root.status.code == Status.STATUS_CODE_ERROR
    assert attributes_of(root) == {"purgeengine.exit_code": 4, "error.type": "exit_code_4"}


def test_the_variables_name_the_service_and_its_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service is called purgeengine unless a variable names it, and the attributes of the variables are added."""
    found = []
    for variables in (
        {},
        {"OTEL_SERVICE_NAME": "nightly", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=lab"},
    ):
        with (
            collecting_http() as collected,
            exporting(Measurements(), monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collected.endpoint, **variables),
        ):
            pass
        found.append(collected.resources[0])
    assert found[0]["service.name"] == "purgeengine"
    assert found[1]["service.name"] == "nightly"
    assert found[1]["deployment.environment.name"] == "lab"
    assert found[0]["service.instance.id"] != found[1]["service.instance.id"]
    assert found[0]["service.version"]


@pytest.mark.parametrize(
    ("variables", "spans", "metrics"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_off"}, 0, True),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.0"}, 3, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, 0, True),
        ({"OTEL_METRICS_EXPORTER": "none"}, 3, False),
    ],
)
def test_sampling_and_exporters_follow_the_variables(
    variables: dict[str, str], spans: int, metrics: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sampler of the variables decides about the run with all its calls, and each signal can be turned off."""
    counts = Measurements()
    with (
        collecting_http() as collected,
        exporting(counts, monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collected.endpoint, **variables),
    ):
        let_happen(counts)
    assert len(collected.spans) == spans
    assert bool(collected.metrics) == metrics


def test_metrics_are_sent_at_the_interval_of_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a short interval, figures arrive while the run goes on."""
    with collecting_http() as collected:
        arrived = threading.Event()
        taken = collected.take
        monkeypatch.setattr(collected, "take", lambda request: (arrived.set(), taken(request))[1])
        variables = {"OTEL_METRIC_EXPORT_INTERVAL": "20", "OTEL_EXPORTER_OTLP_ENDPOINT": collected.endpoint}
        with exporting(Measurements(), monkeypatch, **variables):
            assert arrived.wait(30)


@pytest.mark.parametrize(("preference", "rows", "waits"), [("cumulative", [1, 2], [1, 2]), ("delta", [1, 1], [1, 1])])
def test_the_temporality_of_the_variables_holds_for_every_metric(
    preference: str, rows: list[int], waits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With deltas, counters and histograms hold what came since the last export, and otherwise all."""
    counts, exported = Measurements(), []
    with collecting_http() as collected:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.endpoint)
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        from purgeengine.edges.telemetry.otel_metrics import WithHistograms, make_instruments

        reader = PeriodicExportingMetricReader(WithHistograms(OTLPMetricExporter(), counts), 3_600_000)
        provider = MeterProvider([reader], shutdown_on_exit=False)
        make_instruments(provider.get_meter("purgeengine"), counts)
        for _ in range(2):
            counts.recorded([Settled(0, Outcome.PURGED, 1, False, 1, GONE), MailboxBlocked(1, 7.0)], 0.004)
            assert provider.force_flush()
            exported.append(
                (
                    collected.points("purgeengine.rows.settled")[(("purgeengine.outcome", "purged"),)],
                    collected.points("purgeengine.wait.duration")[(("purgeengine.wait.scope", "mailbox"),)],
                )
            )
        provider.shutdown()
    assert [row for row, _ in exported] == rows
    assert [wait for _, wait in exported] == [(count, 7.0 * count) for count in waits]


def test_headers_for_the_collector_are_sent_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers of the variables, which may hold a key, reach the collector."""
    with collecting_http() as collected:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collected.endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=abc"}
        with exporting(Measurements(), monkeypatch, **variables):
            pass
    assert {headers["x-key"] for headers in collected.headers} == {"abc"}


def test_the_console_exporters_write_beside_the_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The console exporters write to standard error, because standard output is for results."""
    counts = Measurements()
    with exporting(counts, monkeypatch, OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="console"):
        let_happen(counts)
    said = capsys.readouterr()
    assert said.out == ""
    assert "POST /v1.0/$batch" in said.err
    assert "purgeengine.rows.settled" in said.err


# -------------------------------------------------------------------------------------------------------- without one


def a_closed_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_cannot_be_reached_is_told_in_one_sentence(
    protocol: str,
    monkeypatch: pytest.MonkeyPatch,
    told: Told,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    """However often exporting fails, one sentence names the collector, and nothing else is written anywhere."""
    counts = Measurements()
    endpoint = f"http://127.0.0.1:{a_closed_port()}"
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_METRIC_EXPORT_INTERVAL": "10",
        "OTEL_BSP_SCHEDULE_DELAY": "10",
    }
    complained, tell = threading.Event(), SdkComplaints.tell
    monkeypatch.setattr(SdkComplaints, "tell", lambda self, said: (tell(self, said), complained.set()))
    with exporting(counts, monkeypatch, **variables):
        for _ in range(50):
            let_happen(counts)
        assert complained.wait(30)
    (sentence,) = told(log_events.TELEMETRY_FAILED)
    assert sentence.startswith(f"Telemetry to {endpoint} may not be complete: ")
    assert sentence.endswith(". The run goes on. This is said once.")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("opentelemetry").handlers == []


def test_a_collector_that_refuses_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:  # noqa: F811
    """A collector that answers 401 is told in one sentence too."""
    counts = Measurements()
    with (
        collecting_http(401) as collected,
        exporting(counts, monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collected.endpoint),
    ):
        let_happen(counts)
    (sentence,) = told(log_events.TELEMETRY_FAILED)
    assert "401" in sentence


def test_the_queue_is_bounded_and_a_run_never_waits_for_it(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:  # noqa: F811
    """With a collector that never answers, many more calls than the queue holds are handed over without a wait."""
    counts = Measurements()
    counts.begins(URL)
    asked, let_go = threading.Event(), threading.Event()
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    exported = []

    class Hanging(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            asked.set()
            let_go.wait(60)
            exported.extend(spans)  # type: ignore[arg-type, call-overload]
            return SpanExportResult.SUCCESS

    with patch("purgeengine.edges.telemetry.otel_export._exporter", lambda *_: Hanging()):
        variables = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
        }
        with exporting(counts, monkeypatch, **variables):
            for number in range(5_000):
                batch = a_batch(number, rows=1)
                call(counts, batch, answered(batch, GONE))
            assert asked.wait(30)
            let_go.set()
    assert 100 <= len(exported) <= 200


@pytest.mark.parametrize("package", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_missing_packages_are_told_with_what_to_install(
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    told: Told,  # noqa: F811
) -> None:
    """Without the extra, one sentence says what to install, and the run goes on without telemetry."""
    with missing(package):
        from purgeengine.edges.telemetry import otel_export

        signals = wanted_signals({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
        assert signals is not None
        assert otel_export.started(Measurements(), signals, {}) is None
    (sentence,) = told(log_events.TELEMETRY_FAILED)
    assert "pip install 'purgeengine[otel]'" in sentence


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json', and only http/protobuf and grpc",
        ),
        ({"OTEL_TRACES_EXPORTER": "zipkinn"}, "OTEL_TRACES_EXPORTER names 'zipkinn', which cannot be used here"),
        (
            {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_TRACES_EXPORTER": "none"},
            "give --metrics-port or --metrics-file",
        ),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "soon"}, "invalid value for export interval"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "OpenTelemetry could not be started: "),
    ],
)
def test_a_variable_that_cannot_be_used_is_told_and_the_run_goes_on(
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    told: Told,  # noqa: F811
) -> None:
    """A variable that cannot be used gives a sentence that names it, and never an error of the run."""
    with (
        collecting_http() as collected,
        exporting(Measurements(), monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT=collected.endpoint, **variables),
    ):
        pass
    assert said in told(log_events.TELEMETRY_FAILED)[0]


def test_a_program_that_handles_the_logs_of_the_sdk_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a program whose own logging covers the SDK, its handlers are left alone."""
    logger, own = logging.getLogger("opentelemetry"), logging.NullHandler()
    logger.addHandler(own)
    try:
        with exporting(Measurements(), monkeypatch, OTEL_TRACES_EXPORTER="console"):
            assert logger.handlers == [own]
            assert not logger.propagate
    finally:
        logger.removeHandler(own)


@pytest.mark.parametrize(
    ("variables", "sizes"),
    [
        ({}, (SPANS_QUEUED_MAX, SPANS_MAX)),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "3000"}, (3_000, 512)),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "7"}, (2_048, 7)),
    ],
)
def test_the_sizes_of_the_variables_hold_for_spans(
    variables: dict[str, str], sizes: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a variable gives a size, the SDK's own processor has that size, and its own default for the other."""
    made: list[BatchSpanProcessor] = []
    initialize = BatchSpanProcessor.__init__

    def initialized(self: BatchSpanProcessor, *given: Any, **named: Any) -> None:
        initialize(self, *given, **named)
        made.append(self)

    monkeypatch.setattr(BatchSpanProcessor, "__init__", initialized)
    with exporting(Measurements(), monkeypatch, OTEL_TRACES_EXPORTER="console", **variables):
        inner: Any = made[0]._batch_processor  # type: ignore[attr-defined]
        assert (inner._max_queue_size, inner._max_export_batch_size) == sizes
