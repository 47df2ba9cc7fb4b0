"""Tests of the quick encoding of spans: it equals the SDK's own, and every exporter gets what it can take."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from purgeengine.edges.telemetry.ended_call import EndedCall
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.edges.telemetry.otel_encoding import CallSpanExporter, SpanEncoder
from purgeengine.edges.telemetry.otel_spans import CallSpan, RunSpans
from tests.edges.telemetry.test_measurements import URL
from tests.support.otlp_collector import collecting_http

ENDS = [
    (200, None, "graph-1"),
    (200, None, "graph-2"),
    (503, "503", "graph-3"),
    (403, "intercepted", ""),
    (None, "no_answer", ""),
    (None, "abandoned", ""),
    (200, None, ""),
    (200, None, "g" * 100),
    (200, None, "ü" * 127),
    (200, None, "g" * 20_000),
]


@pytest.fixture
def run() -> RunSpans:
    """Return the spans of a run that sends to Graph."""
    counts = Measurements()
    counts.begins(URL)
    return RunSpans(TracerProvider(shutdown_on_exit=False), [], counts)


def calls_of(run: RunSpans) -> list[CallSpan]:
    """Return a span for each kind of end, and several of the usual kind."""
    return [
        CallSpan(run, EndedCall(1 + number, 1, f"client-{number}", 0.1 * number, *end, 10**18 + number), 1_000 + number)
        for number, end in enumerate(ENDS)
    ]


def spans_in(request: Any) -> list[bytes]:
    """Return the spans of a message with their resource and scope, sorted and each by itself. Bytes are read by the library."""
    if isinstance(request, bytes):
        request = ExportTraceServiceRequest.FromString(request)
    return sorted(
        b"|".join(
            (
                resource.resource.SerializeToString(),
                scope.scope.SerializeToString(),
                span.SerializeToString(deterministic=True),
            )
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


def test_a_span_is_encoded_as_the_sdk_encodes_it(run: RunSpans) -> None:
    """For every way in which a call can end, the message is the one that the SDK's own encoder makes, byte for byte."""
    calls = calls_of(run)
    encoder = SpanEncoder()
    usual = encode_spans([call.readable() for call in calls])
    assert len(spans_in(usual)) == len(ENDS)
    for _ in range(2):  # with templates that are new, and with those of before
        assert spans_in(encoder.encode(calls)) == spans_in(usual)


def test_other_spans_are_encoded_with_the_calls(run: RunSpans) -> None:
    """Spans of the SDK among the calls, such as that of the run, are encoded as well."""
    call, other = calls_of(run)[0], calls_of(run)[1].readable()
    assert spans_in(SpanEncoder().encode([call, other])) == spans_in(encode_spans([call.readable(), other]))


@pytest.mark.parametrize(
    ("exporter", "is_quick"), [(HttpExporter, True), (GrpcExporter, True), (ConsoleSpanExporter, False)]
)
def test_the_exporters_of_otlp_take_what_is_encoded_already(exporter: type[SpanExporter], is_quick: bool) -> None:
    """The exporters of OTLP that are installed have the place where encoded spans can be handed over; others have none."""
    inner = exporter()
    assert CallSpanExporter(inner).is_quick == is_quick
    inner.shutdown()


def test_any_other_exporter_gets_spans_of_the_sdk(run: RunSpans) -> None:
    """An exporter that knows only the SDK's spans gets them."""
    inner = InMemorySpanExporter()
    CallSpanExporter(inner).export(calls_of(run))  # type: ignore[arg-type]
    found = inner.get_finished_spans()
    assert [span.context.span_id for span in found] == [1_000 + number for number in range(len(ENDS))]


def test_an_exporter_without_that_place_encodes_by_itself(run: RunSpans) -> None:
    """A version of the exporter that has no place for encoded spans still exports all of them."""

    class Older(HttpExporter):
        """Its module is another one, so that its insides are not relied on."""

    with collecting_http() as collected:
        inner = Older(endpoint=f"{collected.endpoint}/v1/traces")
        exporter = CallSpanExporter(inner)
        assert not exporter.is_quick
        exporter.export(calls_of(run))  # type: ignore[arg-type]
        inner.shutdown()
    assert len(collected.spans) == len(ENDS)
