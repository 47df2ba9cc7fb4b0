"""Serves the figures of a run to a Prometheus on this machine."""

from __future__ import annotations

from typing import Any

from purgeengine import log_events, logs
from purgeengine.edges.extras import needs_extra
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling

LOOPBACK = "127.0.0.1"
"""The only address that is served: the figures have no password."""


class PrometheusPort:
    """Serves the figures at ``http://127.0.0.1:PORT/metrics`` until it is closed.

    ``port`` 0 takes a free one; ``url`` tells it. Raises `UsageProblem` if the port cannot be had.
    """

    closing_s = 1.0
    """Seconds that the server has to end. Its thread looks twice a second whether it should."""

    def __init__(self, measurements: Measurements, port: int, spelling: Spelling) -> None:
        with needs_extra("prometheus", f"{spelling('metrics_port')} needs the package prometheus-client"):
            from prometheus_client import start_http_server

            from purgeengine.edges.telemetry.prometheus_metrics import registry_of
        try:
            started: Any = start_http_server(port, addr=LOOPBACK, registry=registry_of(measurements))
        except OSError as error:
            raise UsageProblem(
                f"Port {port} on {LOOPBACK} cannot be opened for {spelling('metrics_port')}: {error.strerror or error}. Nothing "
                "was sent. Another run may use it: give another port, or 0 for any free one."
            ) from error
        self._server, self._thread = started
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/metrics"
        logs.get_logger().info(log_events.METRICS_SERVED, url=self.url)

    def close(self) -> None:
        """Serve nothing more."""
        self._server.shutdown()
        self._server.server_close()
