"""What the standard environment variables of OpenTelemetry ask for. It imports nothing of OpenTelemetry.

The SDK reads most variables by itself: endpoint, headers, certificates, time-outs, intervals, queues, sampling and resource. Only
what a program has to decide before it starts the SDK is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from purgeengine.core.graph.text import printable

OTLP = "otlp"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""The protocols of OTLP that can be spoken, with the names under which their exporters are installed."""
DEFAULT_PROTOCOL = "http/protobuf"
"""The specification's own."""


class Signals(NamedTuple):
    """The names of the exporters for each signal, as they are written in the variables. Empty if the signal is not wanted."""

    traces: tuple[str, ...]
    metrics: tuple[str, ...]


def wanted_signals(environment: Mapping[str, str]) -> Signals | None:
    """Return the exporters that the variables name. None if nothing is to be exported.

    A signal is wanted if a variable names its exporter, or if a variable names the endpoint of OTLP. Other variables alone, such as
    ``OTEL_SERVICE_NAME``, start nothing.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    signals = Signals(_exporters(environment, "TRACES"), _exporters(environment, "METRICS"))
    return signals if any(signals) else None


def _exporters(environment: Mapping[str, str], signal: str) -> tuple[str, ...]:
    named = environment.get(f"OTEL_{signal}_EXPORTER", "").strip()
    if not named:
        endpoint = environment.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or environment.get(ENDPOINT)
        named = OTLP if endpoint and endpoint.strip() else "none"
    names = (name.strip() for name in named.split(","))
    return tuple(dict.fromkeys(name for name in names if name and name != "none"))


def protocol_of(environment: Mapping[str, str], signal: str) -> str:
    """Return the protocol of OTLP that a signal is to be sent by, as it is written."""
    named = environment.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return (named or DEFAULT_PROTOCOL).strip()


def endpoint_of_collector(environment: Mapping[str, str]) -> str:
    """Return where the collector is, for a sentence: without user name and password."""
    names = (ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    found = next((environment[name] for name in names if environment.get(name)), "this machine")
    scheme, separator, rest = found.partition("://")
    shown = f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else found
    return printable(shown, 200)
