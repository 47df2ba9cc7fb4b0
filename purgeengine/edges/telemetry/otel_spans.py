"""The spans of a run: one for each call to Graph, and above them one for the whole run.

A call has its client request id and Graph's request id, which Microsoft's support asks for. No span has the name or the id of a
person, a mailbox, a folder or a contact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from purgeengine.edges.telemetry import metric_table as table
from purgeengine.edges.telemetry.ended_call import EndedCall
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.version import __version__

RUN_SPAN = "purgeengine run"
CALL_SPAN = "POST /v1.0/$batch"
CLIENT_REQUEST_ID = "purgeengine.client_request_id"
REQUEST_ID = "purgeengine.request_id"
RUN_FAILED_FROM = 2
"""The lowest exit code of a run that did not come to its end."""
SPAN_ID_MAX = 2**64 - 1
"""The protocol's largest id of a span. 0 stands for no id."""
_OK, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class CallSpan:
    """The span of a call that has ended. It becomes a span of the SDK, or a message of OTLP, when it is exported."""

    __slots__ = ("_run", "call", "context", "span_id")

    def __init__(self, run: RunSpans, call: EndedCall, span_id: int) -> None:
        self._run = run
        self.context = run.context
        """The context of the run, by which the SDK sees that it is sampled."""
        self.call = call
        self.span_id = span_id

    @property
    def start_ns(self) -> int:
        """When the call left, in nanoseconds since 1970."""
        return self.call.ended_ns - round(self.call.duration_s * 1e9)

    @property
    def kind(self) -> object:
        """What calls have in common that differ in their times and ids only."""
        call = self.call
        return call.rows, call.mailboxes, call.status, call.error, not call.request_id

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the span. An id that is not known is left out."""
        call = self.call
        known = {
            **self._run.fixed,
            "purgeengine.batch.rows": call.rows,
            "purgeengine.batch.mailboxes": call.mailboxes,
            table.STATUS: call.status,
            table.ERROR: call.error,
            CLIENT_REQUEST_ID: call.client_request_id,
            REQUEST_ID: call.request_id or None,
        }
        return {name: value for name, value in known.items() if value is not None}

    def readable(self) -> ReadableSpan:
        """Return it as a span of the SDK."""
        run = self._run
        parent = run.context
        return ReadableSpan(
            CALL_SPAN,
            SpanContext(parent.trace_id, self.span_id, is_remote=False, trace_flags=parent.trace_flags),
            parent,
            run.resource,
            self.attributes(),
            kind=SpanKind.CLIENT,
            status=_OK if self.call.error is None else _ERROR,
            start_time=self.start_ns,
            end_time=self.call.ended_ns,
            instrumentation_scope=run.scope,
        )


class RunSpans:
    """Begins the span of the run, and queues a span below it whenever a call has ended.

    The spans of calls are made at once from what is known at their end, because that takes a fraction of the time of the SDK's
    start and end. The sampler decides about the run, and its calls follow it.
    """

    def __init__(
        self, provider: TracerProvider, processors: Sequence[BatchSpanProcessor], measurements: Measurements
    ) -> None:
        self._measurements = measurements
        self._processors = processors
        self._ids = count(provider.id_generator.generate_span_id())
        """The ids of calls follow each other from a random one on: a random id for each took longer than all else here."""
        self._root = provider.get_tracer("purgeengine", __version__).start_span(RUN_SPAN)
        self.context = self._root.get_span_context()
        self.resource = provider.resource
        self.scope = self._root.instrumentation_scope if isinstance(self._root, ReadableSpan) else None

    @property
    def sampled(self) -> bool:
        """True if the sampler wants the spans of this run."""
        return self._root.is_recording() and self.context.trace_flags.sampled

    @property
    def fixed(self) -> Mapping[str, Any]:
        """The attributes that all calls share; None where one is not known."""
        return {table.METHOD: "POST", **self._measurements.address}

    def call_ended(self, call: EndedCall) -> None:
        """Queue a span for the call."""
        span: Any = CallSpan(self, call, next(self._ids) & SPAN_ID_MAX or 1)
        for processor in self._processors:
            processor.on_end(span)

    def end(self) -> None:
        """Queue the last calls, and end the span of the run. Its exit code is known by then."""
        self._measurements.count()
        exit_code = self._measurements.exit_code
        if exit_code is not None:
            self._root.set_attribute("purgeengine.exit_code", exit_code)
            if exit_code >= RUN_FAILED_FROM:
                self._root.set_attribute(table.ERROR, f"exit_code_{exit_code}")
                self._root.set_status(StatusCode.ERROR)
        self._root.end()
