"""The metrics of a run as instruments of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from purgeengine.edges.telemetry.measurements import EndedCall, Histogram, Labels, Measurements, known_labels
from purgeengine.edges.telemetry.metric_table import METRICS, Metric, MetricKind


class RunInstruments:
    """The instruments of a meter. Counters and gauges are read when they are exported; histograms take each value at once."""

    def __init__(self, meter: Meter, measurements: Measurements) -> None:
        self._histograms: dict[Metric, Callable[..., None]] = {}
        self._attributes: dict[tuple[Metric, Labels], dict[str, str | int]] = {}
        for metric in METRICS:
            described: dict[str, Any] = {"name": metric.name, "unit": metric.unit, "description": metric.description}
            match metric.kind:
                case MetricKind.COUNTER:
                    meter.create_observable_counter(callbacks=[_reader_of(measurements, metric)], **described)
                case MetricKind.GAUGE:
                    meter.create_observable_gauge(callbacks=[_reader_of(measurements, metric)], **described)
                case MetricKind.HISTOGRAM:
                    bounds = list(metric.bounds)
                    histogram = meter.create_histogram(explicit_bucket_boundaries_advisory=bounds, **described)
                    self._histograms[metric] = histogram.record

    def observed(self, metric: Metric, labels: Labels, value: float) -> None:
        """Record the value."""
        attributes = self._attributes.get((metric, labels))
        if attributes is None:  # few: the measurements bound the labels
            attributes = self._attributes[metric, labels] = dict(known_labels(metric, labels))
        self._histograms[metric](value, attributes)

    def call_ended(self, call: EndedCall) -> None:
        """Do nothing: the call's duration was observed."""


def _reader_of(measurements: Measurements, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterator[Observation]:
        for labels, value in measurements.read(metric).items():
            assert not isinstance(value, Histogram), "histograms take their values one by one"
            yield Observation(value, dict(known_labels(metric, labels)))

    return read
