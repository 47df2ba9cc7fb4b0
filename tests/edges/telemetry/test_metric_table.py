"""Tests of the table of metrics against OpenTelemetry's own packages: the conventions, and the translation to Prometheus."""

from __future__ import annotations

import re

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.semconv.metrics.http_metrics import HTTP_CLIENT_REQUEST_DURATION
from prometheus_client import REGISTRY

from purgeengine.core.model import Outcome
from purgeengine.edges.telemetry import metric_table as table
from purgeengine.edges.telemetry.measurements import Measurements, known_labels
from purgeengine.edges.telemetry.metric_table import METRICS, Metric, MetricKind
from purgeengine.edges.telemetry.otel_metrics import HISTOGRAMS, make_instruments
from purgeengine.edges.telemetry.prometheus_metrics import MeasurementsCollector
from purgeengine.edges.telemetry.run_gauges import RunGauges
from tests.edges.telemetry.test_measurements import GONE, URL, a_batch, answered, call

Samples = dict[str, set[tuple[tuple[str, str], ...]]]


@pytest.fixture
def translated() -> Samples:
    """Return the names and labels that OpenTelemetry's own exporter for Prometheus makes of our instruments."""
    counts = Measurements()
    reader = PrometheusMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    meter = provider.get_meter("purgeengine")
    make_instruments(meter, counts)
    _let_happen(counts)
    for metric in HISTOGRAMS:  # the SDK's own, because it is its translation that is asked for
        histogram = meter.create_histogram(metric.name, metric.unit, metric.description)
        for labels in counts.read(metric):
            histogram.record(1.0, dict(known_labels(metric, labels)))
    try:
        return {
            name: {tuple(sorted(_ours(sample.labels).items())) for sample in samples}
            for name, samples in _by_name(REGISTRY.collect()).items()
            if name.startswith(("purgeengine", "http_client"))
        }
    finally:
        provider.shutdown()


def _let_happen(counts: Measurements) -> None:
    """Let everything happen once, so that every metric has a value."""
    from purgeengine.core.messages import MailboxBlocked, RunBlocked

    counts.begins(URL)
    batch = a_batch()
    call(counts, batch, answered(batch, GONE, GONE, None))
    counts.recorded([MailboxBlocked(1, 2.0), RunBlocked(3.0)], 0.01)
    counts.gauges = RunGauges({Outcome.PURGED: 1}, 1, 2.0, 3, 4.0, 5.0, True, 6.0, 7.0)
    counts.ended(0)


def _by_name(families: object) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for family in families:  # type: ignore[attr-defined]
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def _ours(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels of a sample without the SDK's own, those that are empty, and the bounds of buckets."""
    return {
        name: value for name, value in labels.items() if value and name != "le" and not name.startswith("otel_scope")
    }


def test_prometheus_gets_the_names_and_labels_that_opentelemetry_translates_to(translated: Samples) -> None:
    """Every sample has the same name and labels as by OpenTelemetry's own translation, so dashboards fit both ways."""
    counts = Measurements()
    _let_happen(counts)
    own = {
        name: {tuple(sorted(_ours(sample.labels).items())) for sample in samples}  # type: ignore[attr-defined]
        for name, samples in _by_name(MeasurementsCollector(counts).collect()).items()
    }
    assert own == translated
    assert len(own) > len(METRICS)  # histograms have several names


def test_the_standard_metric_is_as_the_conventions_have_it() -> None:
    """Name and attributes of the duration of calls are those of the semantic conventions."""
    assert table.CALL_DURATION.name == HTTP_CLIENT_REQUEST_DURATION
    assert table.CALL_DURATION.attributes == (
        http_attributes.HTTP_REQUEST_METHOD,
        server_attributes.SERVER_ADDRESS,
        server_attributes.SERVER_PORT,
        http_attributes.HTTP_RESPONSE_STATUS_CODE,
        error_attributes.ERROR_TYPE,
    )


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_and_units_keep_the_conventions(metric: Metric) -> None:
    """Every name is lower case with dots and our prefix, every unit is UCUM, and only histograms have bounds, in order."""
    assert re.fullmatch(r"[a-z]+(?:[._][a-z]+)+", metric.name)
    assert metric.name.startswith("purgeengine.") or metric is table.CALL_DURATION
    assert re.fullmatch(r"s|\{[a-z]+\}(?:/s)?", metric.unit)
    assert metric.description.endswith((".", ".)"))
    assert bool(metric.bounds) == (metric.kind is MetricKind.HISTOGRAM)
    assert list(metric.bounds) == sorted(set(metric.bounds))


def test_no_name_stands_for_two_metrics() -> None:
    """Names are unique, in both forms."""
    assert (
        len({metric.name for metric in METRICS}) == len({metric.prometheus_name for metric in METRICS}) == len(METRICS)
    )


def test_no_attribute_can_name_a_person_or_a_mailbox() -> None:
    """The attributes of all metrics are these seven, and none of them is a name or an id of what is purged."""
    assert {attribute for metric in METRICS for attribute in metric.attributes} == {
        "error.type",
        "http.request.method",
        "http.response.status_code",
        "purgeengine.outcome",
        "purgeengine.wait.scope",
        "server.address",
        "server.port",
    }
