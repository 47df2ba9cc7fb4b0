"""Tests of what the standard variables of OpenTelemetry ask for, by the words of its specification."""

from __future__ import annotations

import pytest

from purgeengine.edges.telemetry.otel_variables import (
    Signals,
    endpoint_of_collector,
    protocol_of,
    wanted_signals,
)

BOTH = Signals(("otlp",), ("otlp",))


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "purge", "OTEL_RESOURCE_ATTRIBUTES": "a=b"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, BOTH),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318", "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318", "OTEL_SDK_DISABLED": "1"}, BOTH),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318", "OTEL_TRACES_EXPORTER": "none"}, Signals((), ("otlp",))),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://h:4318/v1/metrics"}, Signals((), ("otlp",))),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, Signals(("otlp", "console"), ())),
        ({"OTEL_TRACES_EXPORTER": "otlp,otlp"}, Signals(("otlp",), ())),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}, None),
    ],
)
def test_a_signal_is_wanted_if_its_exporter_or_an_endpoint_is_named(
    variables: dict[str, str], wanted: Signals | None
) -> None:
    """A signal is exported if a variable names its exporter or an endpoint, and nothing is if the SDK is disabled."""
    assert wanted_signals(variables) == wanted


def test_the_protocol_of_a_signal_wins_over_the_common_one() -> None:
    """The protocol is HTTP unless a variable names another; the one of a signal wins."""
    assert protocol_of({}, "TRACES") == "http/protobuf"
    common = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    assert protocol_of(common, "TRACES") == "http/protobuf"
    assert protocol_of(common, "METRICS") == "grpc"


def test_a_sentence_names_the_collector_without_its_password() -> None:
    """The collector is named in sentences without the user name and password of its address."""
    assert endpoint_of_collector({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:secret@h:4318"}) == "https://h:4318"
    assert endpoint_of_collector({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:1"}) == "http://t:1"
    assert endpoint_of_collector({}) == "this machine"
