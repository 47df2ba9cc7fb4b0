"""Tests of the port that Prometheus reads: on loopback only, with the figures of now."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from purgeengine.core.messages import Settled
from purgeengine.core.model import Outcome
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.edges.telemetry.prometheus_port import PrometheusPort
from purgeengine.errors import UsageProblem
from tests.edges.telemetry.test_measurements import GONE
from tests.edges.telemetry.test_prometheus_file import as_flags

direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def serving(counts: Measurements) -> Iterator[PrometheusPort]:
    """Serve the counts on a free port inside the context."""
    port = PrometheusPort(counts, 0, as_flags)
    try:
        yield port
    finally:
        port.close()


def purged(url: str) -> float:
    """Return the purged rows that Prometheus would read."""
    with direct.open(url, timeout=30) as answer:
        text = answer.read().decode()
    return next(
        sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.labels.get("purgeengine_outcome") == "purged"
    )


def test_prometheus_reads_the_figures_of_now() -> None:
    """Each reading shows what was counted until then."""
    counts = Measurements()
    with serving(counts) as port:
        assert purged(port.url) == 0
        counts.recorded([Settled(0, Outcome.PURGED, 1, False, 1, GONE, rows=40)], 0.01)
        assert purged(port.url) == 40


def test_the_port_is_open_on_loopback_only() -> None:
    """The socket is bound to 127.0.0.1, and not to every address of the machine."""
    with serving(Measurements()) as port:
        assert urlsplit(port.url).hostname == "127.0.0.1"
        assert port._server.socket.getsockname()[0] == "127.0.0.1"


def test_a_port_in_use_is_refused_before_anything_is_sent() -> None:
    """A port that another process has is refused with a sentence that names the option and the port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(
            UsageProblem, match=rf"Port {number} on 127\.0\.0\.1 cannot be opened for --metrics-port.*0 for any"
        ):
            PrometheusPort(Measurements(), number, as_flags)


def test_nobody_answers_once_it_is_closed() -> None:
    """After the end of the run the port is free again."""
    with serving(Measurements()) as port:
        number = urlsplit(port.url).port
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", number))
