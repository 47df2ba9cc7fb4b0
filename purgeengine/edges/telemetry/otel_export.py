"""Exports the figures and the calls of a run by the SDK of OpenTelemetry.

The SDK queues what is exported in bounded queues and sends it in threads of its own. So a collector that is slow or cannot be
reached does not hold up a run: what does not fit is dropped.
"""

from __future__ import annotations

import os
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from purgeengine.core.graph.text import printable
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.edges.telemetry.otel_log import SdkComplaints
from purgeengine.edges.telemetry.otel_variables import (
    OTLP,
    PROTOCOLS,
    Signals,
    endpoint_of_collector,
    protocol_of,
)
from purgeengine.version import __version__

SERVICE = "purgeengine"
"""The name of the service, unless a variable gives another."""
CLOSING_S_MAX = 5.0
"""Seconds that the end of a run waits for a collector. One that can be reached takes the last figures in less than a second."""
CLOSING_FAILED_S_MAX = 1.0
"""The same for a collector that has failed before in this run."""
SPANS_EVERY_MS = 15_000
"""Milliseconds between two exports of spans if no variable says how many. An export costs as much CPU as 1,000 spans."""
SPANS_MAX = 4_096
"""Spans in one export, if no variable says how many: the calls of 15 s at 270 calls a second. They take 1.6 MB, and
a collector accepts 4 MiB by gRPC."""
SPANS_QUEUED_MAX = 8_192
"""Spans that wait for an export, if no variable says how many: 4 MB of memory. What does not fit is dropped."""
OWN_EXPORTERS = {
    ("TRACES", "otlp_proto_http"): "opentelemetry.exporter.otlp.proto.http.trace_exporter:OTLPSpanExporter",
    ("TRACES", "otlp_proto_grpc"): "opentelemetry.exporter.otlp.proto.grpc.trace_exporter:OTLPSpanExporter",
    ("METRICS", "otlp_proto_http"): "opentelemetry.exporter.otlp.proto.http.metric_exporter:OTLPMetricExporter",
    ("METRICS", "otlp_proto_grpc"): "opentelemetry.exporter.otlp.proto.grpc.metric_exporter:OTLPMetricExporter",
    ("TRACES", "console"): "opentelemetry.sdk.trace.export:ConsoleSpanExporter",
    ("METRICS", "console"): "opentelemetry.sdk.metrics.export:ConsoleMetricExporter",
}
"""The exporters of the extra ``otel``. Others are found by the names under which their packages are installed."""


class UnusableVariable(Exception):
    """A variable of OpenTelemetry asks for what cannot be had. The text is a sentence."""


class OtelExport:
    """What exports by OpenTelemetry until it is closed. ``closings`` hand over the last figures and end; they run side by side."""

    def __init__(self, closings: list[Callable[[], object]], complaints: SdkComplaints) -> None:
        self._closings = closings
        self._complaints = complaints

    @property
    def closing_s(self) -> float:
        """Seconds that the last figures are worth waiting for: hardly any if the collector has failed before."""
        return CLOSING_FAILED_S_MAX if self._complaints.is_failing else CLOSING_S_MAX

    def close(self) -> None:
        """Hand over what is left. It may take as long as the time-outs of the exporters allow."""
        threads = [threading.Thread(target=closing, name="otel closing", daemon=True) for closing in self._closings]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._complaints.close()


def started(measurements: Measurements, signals: Signals, environment: Mapping[str, str]) -> OtelExport | None:
    """Start to export. If that cannot be done, log one sentence and return None: a run is worth more than its figures."""
    complaints = SdkComplaints(endpoint_of_collector(environment))
    closings: list[Callable[[], object]] = []
    try:
        resource = _resource()
        if signals.traces:
            closings.append(_start_traces(measurements, resource, _exporters("TRACES", signals.traces, environment)))
        if signals.metrics:
            closings.append(_start_metrics(measurements, resource, _exporters("METRICS", signals.metrics, environment)))
    except ImportError:
        complaints.tell(
            "The environment asks for OpenTelemetry, and its packages are not installed. Nothing is exported. Install them: "
            "pip install 'purgeengine[otel]'. Or set OTEL_SDK_DISABLED=true"
        )
    except UnusableVariable as error:
        complaints.tell(str(error))
    except Exception as error:  # whatever the SDK says of a variable that it cannot read
        complaints.tell(f"OpenTelemetry could not be started: {printable(str(error), 300).rstrip('.')}")
    if closings:
        complaints.started()
        return OtelExport(closings, complaints)
    complaints.close()
    return None


class SpanBatches(NamedTuple):
    """How spans are queued and exported. None leaves it to the SDK, which reads the variables."""

    queued_max: int | None
    exported_max: int | None
    every_ms: float | None


def span_batches(environment: Mapping[str, str]) -> SpanBatches:
    """Return how spans are batched. One variable about the sizes leaves both to the SDK, because one must not exceed the other."""
    sized = any(environment.get(f"OTEL_BSP_{name}") for name in ("MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE"))
    queued, exported = (None, None) if sized else (SPANS_QUEUED_MAX, SPANS_MAX)
    return SpanBatches(queued, exported, None if environment.get("OTEL_BSP_SCHEDULE_DELAY") else SPANS_EVERY_MS)


def _resource() -> Any:
    """Return what says who exports: the service, its version, this process, and what the variables add."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    own = {"service.name": SERVICE, "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    named = OTELResourceDetector().detect().attributes
    return Resource.create({**own, **named})


def _start_traces(measurements: Measurements, resource: Any, exporters: list[Any]) -> Callable[[], object]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from purgeengine.edges.telemetry.otel_encoding import CallSpanExporter
    from purgeengine.edges.telemetry.otel_spans import RunSpans

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    bounds = span_batches(os.environ)
    processors = [
        BatchSpanProcessor(
            CallSpanExporter(exporter),
            max_queue_size=bounds.queued_max,
            schedule_delay_millis=bounds.every_ms,
            max_export_batch_size=bounds.exported_max,
        )
        for exporter in exporters
    ]
    for processor in processors:
        provider.add_span_processor(processor)
    spans = RunSpans(provider, processors, measurements)
    if spans.sampled:
        measurements.listen(spans)

    def close() -> None:
        spans.end()
        provider.shutdown()

    return close


def _start_metrics(measurements: Measurements, resource: Any, exporters: list[Any]) -> Callable[[], object]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    from purgeengine.edges.telemetry.otel_metrics import WithHistograms, make_instruments

    readers = [PeriodicExportingMetricReader(WithHistograms(exporter, measurements)) for exporter in exporters]
    provider = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
    make_instruments(provider.get_meter(SERVICE, __version__), measurements)
    return provider.shutdown


def _exporters(signal: str, names: tuple[str, ...], environment: Mapping[str, str]) -> list[Any]:
    return [_exporter(signal, name, environment) for name in names]


def _exporter(signal: str, name: str, environment: Mapping[str, str]) -> Any:
    if name == OTLP:
        protocol = protocol_of(environment, signal)
        if protocol not in PROTOCOLS:
            raise UnusableVariable(
                f"OTEL_EXPORTER_OTLP_PROTOCOL is {printable(protocol, 40)!r}, and only {' and '.join(PROTOCOLS)} can be spoken. "
                "Nothing is exported"
            )
        name = PROTOCOLS[protocol]
    if name == "otlp_proto_grpc":
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else its core writes to standard error
    if (signal, name) in OWN_EXPORTERS:
        module, _, attribute = OWN_EXPORTERS[signal, name].partition(":")
        kind = getattr(import_module(module), attribute)
        return kind(out=sys.stderr) if name == "console" else kind()  # standard output is for results
    found = list(entry_points(group=f"opentelemetry_{signal.lower()}_exporter", name=name))
    if not found or name == "prometheus":
        hint = (
            "For Prometheus, give --metrics-port or --metrics-file" if name == "prometheus" else "Install its package"
        )
        raise UnusableVariable(
            f"OTEL_{signal}_EXPORTER names {printable(name, 40)!r}, which cannot be used here. Nothing is exported. {hint}"
        )
    return found[0].load()()
