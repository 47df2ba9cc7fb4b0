"""Encodes the spans of calls for OTLP in a small part of the time of the SDK's own encoder.

Calls are alike: twenty rows, and the status 200. So the SDK's encoder makes one message of each kind of call. Of every further call
of that kind only what differs is written, as bytes, behind the fields that it shares with the others: its ids and its times.
Fields of a message of Protocol Buffers may stand in any order, and its length stands before it (protobuf.dev, *Encoding*).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from purgeengine.edges.telemetry.otel_spans import CLIENT_REQUEST_ID, REQUEST_ID, CallSpan

HTTP_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
GRPC_EXPORTER = "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"
KINDS_MAX = 1_000
"""Kinds of calls whose message is kept. A batch has 1 to 20 rows of as many mailboxes, and an end of a few dozen."""
LENGTHS_MAX = 256
"""Different lengths of ids whose beginning is kept. Graph's have one."""
_RESOURCE_SPANS = b"\x0a"
"""A field's tag is its number in opentelemetry/proto, times 8, plus 2 for what has a length and 1 for eight bytes."""
_SCOPE_SPANS, _SPAN, _ATTRIBUTE = b"\x12", b"\x12", b"\x4a"
_KEY, _VALUE, _STRING = b"\x0a", b"\x12", b"\x0a"
_own = Struct("<2s8scQcQ").pack
_ID, _START, _END = b"\x12\x08", b"\x39", b"\x41"


class SpanEncoder:
    """Encodes the spans of one run."""

    def __init__(self) -> None:
        self._shared: dict[object, bytes] = {}
        """The fields that all calls of a kind share."""
        self._resource = self._scope = b""

    def encode(self, spans: Sequence[CallSpan | ReadableSpan]) -> bytes:
        """Return the message (``ExportTraceServiceRequest``) that holds these spans."""
        others = [span for span in spans if not isinstance(span, CallSpan)]
        encoded: bytes = encode_spans(others).SerializeToString() if others else b""
        calls = [self._call(span) for span in spans if isinstance(span, CallSpan)]
        if calls:
            scope = b"".join((self._scope, *calls))
            encoded += _field(_RESOURCE_SPANS, self._resource + _field(_SCOPE_SPANS, scope))
        return encoded

    def _call(self, span: CallSpan) -> bytes:
        shared = self._shared.get(kind := span.kind)
        if shared is None:
            shared = self._learn(kind, span)
        call = span.call
        own = _own(_ID, span.span_id.to_bytes(8, "big"), _START, span.start_ns, _END, call.ended_ns)
        message = shared + own + _attribute(CLIENT_REQUEST_ID, call.client_request_id)
        return _field(_SPAN, message + _attribute(REQUEST_ID, call.request_id) if call.request_id else message)

    def _learn(self, kind: object, call: CallSpan) -> bytes:
        """Return the fields that calls of this kind share, as the SDK encodes them, and keep them."""
        if len(self._shared) >= KINDS_MAX:
            self._shared.clear()
        around = encode_spans([call.readable()]).resource_spans[0]
        scope = around.scope_spans.pop()
        span = scope.spans.pop()
        for name in ("span_id", "start_time_unix_nano", "end_time_unix_nano"):
            span.ClearField(name)
        for place in reversed(range(len(span.attributes))):
            if span.attributes[place].key in (CLIENT_REQUEST_ID, REQUEST_ID):
                del span.attributes[place]
        self._resource, self._scope = around.SerializeToString(), scope.SerializeToString()
        shared: bytes = span.SerializeToString()
        self._shared[kind] = shared
        return shared


def _attribute(name: str, value: str) -> bytes:
    text = value.encode(errors="replace")
    return _attribute_begin(name, len(text)) + text


@lru_cache(LENGTHS_MAX)
def _attribute_begin(name: str, length: int) -> bytes:
    """Return an attribute of the span up to its text, which has ``length`` bytes."""
    string = _STRING + _varint(length)
    begin = _field(_KEY, name.encode()) + _VALUE + _varint(len(string) + length) + string
    return _ATTRIBUTE + _varint(len(begin) + length) + begin


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first. Each but the last has its eighth bit set."""
    if number < 128:
        return bytes((number,))
    found = bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


class CallSpanExporter(SpanExporter):
    """Hands spans to an exporter: encoded already to one of OTLP, and to any other as the spans of the SDK.

    If a version of an OTLP exporter has no place for what is encoded already, it gets spans as well, and encodes them itself.
    """

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._encoder = SpanEncoder()
        self._send = self._sending()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans, `CallSpan` among them."""
        return self._send(spans)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do what the other exporter does."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Do what the other exporter does."""
        self._inner.shutdown()

    @property
    def is_quick(self) -> bool:
        """True if the other exporter takes what is encoded already."""
        return self._send != self._as_spans

    def _sending(self) -> Callable[[Sequence[Any]], SpanExportResult]:
        inner: Any = self._inner
        module = type(inner).__module__
        if module == HTTP_EXPORTER and callable(getattr(getattr(inner, "_client", None), "export", None)):
            return self._by_http
        if module == GRPC_EXPORTER and callable(getattr(inner, "_translate_data", None)):
            inner._translate_data = self._message
            return self._inner.export
        return self._as_spans

    def _by_http(self, spans: Sequence[Any]) -> SpanExportResult:
        inner: Any = self._inner
        sent = inner._client.export(self._encoder.encode(spans))
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE

    def _message(self, spans: Sequence[Any]) -> Any:
        return ExportTraceServiceRequest.FromString(self._encoder.encode(spans))

    def _as_spans(self, spans: Sequence[Any]) -> SpanExportResult:
        return self._inner.export([span.readable() if isinstance(span, CallSpan) else span for span in spans])
