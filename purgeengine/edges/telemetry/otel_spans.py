"""The spans of a run: one for each call to Graph, and above them one for the whole run.

A call has its client request id and Graph's request id, which Microsoft's support asks for. No span has the name or the id of a
person, a mailbox, a folder or a contact.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from purgeengine.edges.telemetry import metric_table as table
from purgeengine.edges.telemetry.measurements import EndedCall, Measurements
from purgeengine.version import __version__

RUN_SPAN = "purgeengine run"
CALL_SPAN = "POST /v1.0/$batch"
RUN_FAILED_FROM = 2
"""The lowest exit code of a run that did not come to its end."""
_OK, _ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class RunSpans:
    """Begins the span of the run, and adds a span below it whenever a call has ended.

    The spans of calls are made at once from what is known at their end, because that takes a fraction of the time of the SDK's
    start and end. The sampler decides about the run, and its calls follow it.
    """

    def __init__(
        self, provider: TracerProvider, processors: Sequence[SpanProcessor], measurements: Measurements
    ) -> None:
        self._measurements = measurements
        self._processors = processors
        self._new_id = provider.id_generator.generate_span_id
        self._root = provider.get_tracer("purgeengine", __version__).start_span(RUN_SPAN)
        self._run = self._root.get_span_context()
        self._scope = getattr(self._root, "instrumentation_scope", None)
        self._resource = provider.resource
        self._always: dict[str, str | int] = {}

    @property
    def sampled(self) -> bool:
        """True if the sampler wants the spans of this run."""
        return self._root.is_recording() and self._run.trace_flags.sampled

    def call_ended(self, call: EndedCall) -> None:
        """Hand over a span for the call."""
        batch, run, ended_ns = call.batch, self._run, time.time_ns()
        attributes: dict[str, str | int] = {
            **(self._always or self._fixed()),
            "purgeengine.batch.rows": batch.size,
            "purgeengine.batch.mailboxes": len(batch.shares),
            "purgeengine.client_request_id": batch.client_request_id,
        }
        if call.status is not None:
            attributes[table.STATUS] = call.status
        if call.error is not None:
            attributes[table.ERROR] = call.error
        if call.request_id:
            attributes["purgeengine.request_id"] = call.request_id
        span = ReadableSpan(
            CALL_SPAN,
            SpanContext(run.trace_id, self._new_id(), is_remote=False, trace_flags=run.trace_flags),
            run,
            self._resource,
            attributes,
            kind=SpanKind.CLIENT,
            status=_OK if call.error is None else _ERROR,
            start_time=ended_ns - round(call.duration_s * 1e9),
            end_time=ended_ns,
            instrumentation_scope=self._scope,
        )
        for processor in self._processors:
            processor.on_end(span)

    def end(self) -> None:
        """End the span of the run. Its exit code is known by then."""
        exit_code = self._measurements.exit_code
        if exit_code is not None:
            self._root.set_attribute("purgeengine.exit_code", exit_code)
            if exit_code >= RUN_FAILED_FROM:
                self._root.set_attribute(table.ERROR, f"exit_code_{exit_code}")
                self._root.set_status(StatusCode.ERROR)
        self._root.end()

    def _fixed(self) -> dict[str, str | int]:
        """Return the attributes that all calls share. They are known once the run has begun to send."""
        known = {table.METHOD: "POST", **self._measurements.address}
        self._always = {name: value for name, value in known.items() if value is not None}
        return self._always
