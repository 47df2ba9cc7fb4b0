"""The figures of a run as Prometheus reads them, by its own client library."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from purgeengine.edges.telemetry.histogram import Histogram
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.edges.telemetry.metric_table import METRICS, MetricKind


class MeasurementsCollector(Collector):
    """Makes Prometheus' metrics of the measurements, each time that somebody reads them."""

    def __init__(self, measurements: Measurements) -> None:
        self._measurements = measurements

    def collect(self) -> Iterator[MetricFamily]:
        """Yield every metric with its values of now. A metric without a value is left out."""
        for metric in METRICS:
            family = _FAMILIES[metric.kind](metric.prometheus_name, metric.description, labels=metric.labels)
            for labels, value in self._measurements.read(metric).items():
                texts = ["" if label is None else str(label) for label in labels]
                if isinstance(value, Histogram):
                    family.add_metric(texts, list(_buckets(value)), value.total)
                else:
                    family.add_metric(texts, value)
            if family.samples:
                yield family


_FAMILIES = {
    MetricKind.COUNTER: CounterMetricFamily,
    MetricKind.GAUGE: GaugeMetricFamily,
    MetricKind.HISTOGRAM: HistogramMetricFamily,
}


def _buckets(values: Histogram) -> Iterator[tuple[str, float]]:
    """Yield each bucket's upper bound and how many values lie below it."""
    bounds = [*map(floatToGoString, values.bounds), "+Inf"]
    return zip(bounds, accumulate(list(values.counts)), strict=True)


def registry_of(measurements: Measurements) -> CollectorRegistry:
    """Return a registry with the figures of this run and nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MeasurementsCollector(measurements))
    return registry
