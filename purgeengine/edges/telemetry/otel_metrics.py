"""The metrics of a run as OpenTelemetry knows them.

Nothing is recorded event by event, because the SDK takes longer for that than the run for the rest of its counting. Counters and
gauges are read from the measurements whenever they are exported, and histograms are added to what the SDK hands its exporter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    MetricExporter,
    MetricExportResult,
    MetricsData,
)
from opentelemetry.sdk.metrics.export import Histogram as ExportedHistogram
from opentelemetry.sdk.metrics.export import Metric as ExportedMetric

from purgeengine.edges.telemetry.histogram import Histogram
from purgeengine.edges.telemetry.measurements import Labels, Measurements, known_labels
from purgeengine.edges.telemetry.metric_table import METRICS, Metric, MetricKind

HISTOGRAMS = tuple(metric for metric in METRICS if metric.kind is MetricKind.HISTOGRAM)


def make_instruments(meter: Meter, measurements: Measurements) -> None:
    """Make the instruments of all counters and gauges. Each is read when it is exported."""
    for metric in METRICS:
        if metric.kind is MetricKind.HISTOGRAM:
            continue
        is_counter = metric.kind is MetricKind.COUNTER
        make = meter.create_observable_counter if is_counter else meter.create_observable_gauge
        make(metric.name, [_reader_of(measurements, metric)], metric.unit, metric.description)


def _reader_of(measurements: Measurements, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterator[Observation]:
        for labels, value in measurements.read(metric).items():
            assert not isinstance(value, Histogram), "histograms are no instruments"
            yield Observation(value, dict(known_labels(metric, labels)))

    return read


class WithHistograms(MetricExporter):
    """Adds the histograms of a run to what it is given, and hands all to another exporter.

    If that exporter prefers deltas, the histograms hold what came since the last export.
    """

    def __init__(self, inner: MetricExporter, measurements: Measurements) -> None:
        temporality = inner._preferred_temporality
        super().__init__(temporality, inner._preferred_aggregation)
        self._inner = inner
        self._measurements = measurements
        preferred = (temporality or {}).get(HistogramInstrument, AggregationTemporality.CUMULATIVE)
        self._temporality = preferred
        self._since_ns = time.time_ns()
        self._exported: dict[tuple[Metric, Labels], Histogram] = {}

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **more: Any) -> MetricExportResult:
        """Export the histograms with the other metrics."""
        return self._inner.export(self._added_to(metrics_data), timeout_millis, **more)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Do what the other exporter does."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **more: Any) -> None:
        """Do what the other exporter does."""
        self._inner.shutdown(timeout_millis, **more)

    def _added_to(self, metrics_data: MetricsData) -> MetricsData:
        """Return the data with the histograms in its first scope, which is ours: no other program has this provider."""
        first, *others = metrics_data.resource_metrics
        scope, *scopes = first.scope_metrics
        scope = replace(scope, metrics=[*scope.metrics, *self._histograms()])
        return replace(metrics_data, resource_metrics=[replace(first, scope_metrics=[scope, *scopes]), *others])

    def _histograms(self) -> Iterator[ExportedMetric]:
        now_ns = time.time_ns()
        for metric in HISTOGRAMS:
            points = []
            for labels, value in self._measurements.read(metric).items():
                assert isinstance(value, Histogram), "the table says so"
                if (spread := self._to_export(metric, labels, value)) is not None:
                    points.append(self._point(metric, labels, spread, now_ns))
            if points:
                yield ExportedMetric(
                    metric.name, metric.description, metric.unit, ExportedHistogram(points, self._temporality)
                )
        if self._temporality is AggregationTemporality.DELTA:
            self._since_ns = now_ns

    def _to_export(self, metric: Metric, labels: Labels, value: Histogram) -> Histogram | None:
        """Return the whole histogram, or with deltas what came since the last export; None if nothing came."""
        now = value.copy()
        if self._temporality is not AggregationTemporality.DELTA:
            return now
        before = self._exported.get((metric, labels))
        self._exported[metric, labels] = now
        since = now if before is None else now.since(before)
        return since if any(since.counts) else None

    def _point(self, metric: Metric, labels: Labels, spread: Histogram, now_ns: int) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=dict(known_labels(metric, labels)),
            start_time_unix_nano=self._since_ns,
            time_unix_nano=now_ns,
            count=sum(spread.counts),
            sum=spread.total,
            bucket_counts=spread.counts,
            explicit_bounds=spread.bounds,
            min=None,  # type: ignore[arg-type] # the protocol lets them be left out
            max=None,  # type: ignore[arg-type]
        )
