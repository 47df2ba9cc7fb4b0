"""A collector of OpenTelemetry for tests, made of the protocol's own library. It shares nothing with the program or the SDK.

It takes traces and metrics over HTTP and over gRPC, and keeps what it was sent as messages of the protocol.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

Attributes = dict[str, Any]


class Collected:
    """What a collector was sent."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.requests = 0
        self.headers: list[dict[str, str]] = []
        self.trace_requests: list[Any] = []
        self.metric_requests: list[Any] = []
        self._lock = threading.Lock()

    def take(self, request: Any) -> Any:
        """Keep a request, and return its response."""
        with self._lock:
            self.requests += 1
            if isinstance(request, trace_service_pb2.ExportTraceServiceRequest):
                self.trace_requests.append(request)
                return trace_service_pb2.ExportTraceServiceResponse()
            self.metric_requests.append(request)
            return metrics_service_pb2.ExportMetricsServiceResponse()

    @property
    def spans(self) -> list[Any]:
        """All spans, as messages of the protocol."""
        return [
            span
            for request in self.trace_requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resources(self) -> list[Attributes]:
        """The attributes of the resource of each request."""
        found = [one.resource for request in self.trace_requests for one in request.resource_spans]
        found += [one.resource for request in self.metric_requests for one in request.resource_metrics]
        return [attributes_of(resource) for resource in found]

    @property
    def metrics(self) -> dict[str, Any]:
        """The last message of each metric, by its name."""
        return {
            metric.name: metric
            for request in self.metric_requests
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """Return the last values of a metric by their attributes: numbers, or (count, sum) of a histogram."""
        metric = self.metrics[name]
        if metric.HasField("histogram"):
            return {key_of(point): (point.count, point.sum) for point in metric.histogram.data_points}
        points = (metric.sum if metric.HasField("sum") else metric.gauge).data_points
        return {key_of(point): getattr(point, point.WhichOneof("value")) for point in points}

    def everything(self) -> bytes:
        """Return all that was sent as one piece, to look for what must not be in it."""
        return b"".join(one.SerializeToString() for one in (*self.trace_requests, *self.metric_requests))


def attributes_of(message: Any) -> Attributes:
    """Return the attributes of a span, a resource or a data point."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in message.attributes}


def key_of(point: Any) -> tuple[tuple[str, Any], ...]:
    """Return the attributes of a data point, sorted."""
    return tuple(sorted(attributes_of(point).items()))


@contextmanager
def collecting_http(status: int = 200) -> Iterator[Collected]:
    """Collect over HTTP inside the context. Every request is answered with this status."""
    collected = Collected()
    kinds = {
        "/v1/traces": trace_service_pb2.ExportTraceServiceRequest,
        "/v1/metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collected.headers.append(dict(self.headers.items()))
            answer = collected.take(kinds[self.path].FromString(body)).SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        collected.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield collected
        finally:
            server.shutdown()


@contextmanager
def collecting_grpc() -> Iterator[Collected]:
    """Collect over gRPC inside the context."""
    collected = Collected()

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: Any) -> Any:
            return collected.take(request)

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: Any) -> Any:
            return collected.take(request)

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    collected.endpoint = f"http://127.0.0.1:{port}"
    try:
        yield collected
    finally:
        server.stop(None).wait()
