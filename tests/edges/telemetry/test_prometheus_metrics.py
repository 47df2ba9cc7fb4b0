"""Tests of the text that Prometheus reads, by Prometheus' own parsers: that of its client library, and `promtool`."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from purgeengine.core.messages import MailboxBlocked, Settled
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.edges.telemetry.metric_table import METRICS
from purgeengine.edges.telemetry.prometheus_metrics import registry_of
from purgeengine.edges.telemetry.run_gauges import RunGauges
from tests.edges.telemetry.test_measurements import GONE, URL, a_batch, answered, call

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is missing")


@pytest.fixture
def counts() -> Measurements:
    """Return the counts of a run in which everything has happened once."""
    measurements = Measurements(utc=lambda: 1_000.0)
    measurements.begins(URL)
    batch = a_batch()
    call(measurements, batch, answered(batch, GONE, Reply(429), None), took_s=0.2)
    measurements.recorded([Settled(0, Outcome.PURGED, 1, False, 1, GONE, rows=2), MailboxBlocked(1, 7.0)], 0.004)
    measurements.gauges = RunGauges({Outcome.PURGED: 2}, 1, 2.0, 3, 4.0, 5.0, True, 900.0, 4_500.0)
    measurements.ended(0)
    return measurements


def test_the_text_is_what_was_counted(counts: Measurements) -> None:
    """Prometheus' own parser finds every metric with its value, its kind and its description."""
    families = list(parse(generate_latest(registry_of(counts)).decode()))
    samples = {
        (s.name, tuple(sorted((k, v) for k, v in s.labels.items() if v))): s.value for f in families for s in f.samples
    }
    assert samples[("purgeengine_rows_settled_total", (("purgeengine_outcome", "purged"),))] == 2
    assert (
        samples[("purgeengine_subrequests_total", (("error_type", "429"), ("http_response_status_code", "429")))] == 1
    )
    assert samples[("purgeengine_subrequests_total", (("error_type", "no_answer"),))] == 1
    assert samples[("purgeengine_wait_duration_seconds_sum", (("purgeengine_wait_scope", "mailbox"),))] == 7.0
    assert samples[("purgeengine_token_age_seconds", ())] == 100.0
    assert samples[("purgeengine_token_time_left_seconds", ())] == 3_500.0
    assert samples[("purgeengine_app_limit_per_second", ())] == 5.0
    assert samples[("purgeengine_run_exit_code", ())] == 0
    of_call = (
        ("http_request_method", "POST"),
        ("http_response_status_code", "200"),
        ("server_address", "graph.microsoft.com"),
        ("server_port", "443"),
    )
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in samples.items()
        if name == "http_client_request_duration_seconds_bucket"
        and tuple(pair for pair in labels if pair[0] != "le") == of_call
    }
    assert (buckets["0.1"], buckets["0.25"], buckets["+Inf"]) == (0, 1, 1)
    assert {family.documentation for family in families} == {metric.description for metric in METRICS}
    assert {family.name: family.type for family in families}["purgeengine_rows_left"] == "gauge"


def test_the_text_is_good_openmetrics_as_well(counts: Measurements) -> None:
    """The stricter parser of OpenMetrics accepts the text that a newer Prometheus asks for."""
    assert len(list(parse_openmetrics(generate_openmetrics(registry_of(counts)).decode()))) == len(METRICS)


def test_a_run_that_has_not_begun_shows_what_it_knows() -> None:
    """Before anything has happened, counters are 0 and unknown gauges are missing."""
    names = {family.name for family in parse(generate_latest(registry_of(Measurements())).decode())}
    assert "purgeengine_rows_settled" in names
    assert "purgeengine_time_left_seconds" not in names
    assert "purgeengine_run_exit_code" not in names


@needs_promtool
def test_promtool_finds_nothing_to_object_to(counts: Measurements) -> None:
    """`promtool check metrics` neither fails nor advises another name."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(registry_of(counts)), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
