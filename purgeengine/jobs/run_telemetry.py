"""What watches a run from outside: it counts the run's events, looks at its gauges now and then, and hands all to exporters."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from purgeengine.engine.ports import UNOBSERVED, Observer
from purgeengine.errors import PurgeEngineError
from purgeengine.jobs.progress import Display, RunProgress, Silence
from purgeengine.words import Spelling

if TYPE_CHECKING:
    from purgeengine.edges.login import AccessTokens
    from purgeengine.edges.telemetry.measurements import Measurements
    from purgeengine.edges.telemetry.otel_variables import Signals
    from purgeengine.edges.telemetry.run_gauges import RunGauges

LOOK_AT_GAUGES_EVERY_S = 10.0
"""Seconds between two looks at a run's gauges. A look takes about 1 ms, and 40 ms with 10,000 mailboxes open."""
CUT_SHORT = 4
"""The exit code of a run that Ctrl-C or a mistake of the program cuts short."""


class Exporter(Protocol):
    """Hands figures to a system that watches."""

    @property
    def closing_s(self) -> float:
        """The most seconds that the end of a run waits for `close`."""

    def close(self) -> None:
        """Hand over the last figures, and stop. It may take long, and must not raise."""


class Telemetry:
    """Watches nothing. It stands for the telemetry of a run that nobody watches from outside."""

    observer: Observer = UNOBSERVED

    def begins(self, graph_url: str) -> None:
        """The run begins to send to Graph at this address."""

    def gauges(self, tokens: AccessTokens) -> Display:
        """Return what looks at the gauges of a run, in the manner of a display."""
        return Silence()

    def ended(self, exit_code: int) -> None:
        """The run has ended with this exit code. Nothing is counted after that."""


UNWATCHED = Telemetry()


class ExportedTelemetry(Telemetry):
    """Counts what a run does, for exporters that read the counts."""

    def __init__(self, measurements: Measurements) -> None:
        self.observer = self._measurements = measurements

    def begins(self, graph_url: str) -> None:
        """Note the address, which every call tells."""
        from purgeengine.edges.http.addresses import graph_root

        self._measurements.begins(f"{graph_root(graph_url).url}/v1.0/$batch")

    def gauges(self, tokens: AccessTokens) -> Display:
        """Return what looks at the gauges."""
        return GaugeReader(self._measurements, tokens)

    def ended(self, exit_code: int) -> None:
        """Note the end."""
        self._measurements.ended(exit_code)


class GaugeReader:
    """Looks at the gauges of a run now and then, in the run's own thread, which is the only one that may look at the scheduler."""

    every_s = LOOK_AT_GAUGES_EVERY_S

    def __init__(self, measurements: Measurements, tokens: AccessTokens) -> None:
        self._measurements = measurements
        self._tokens = tokens

    def show(self, standing: RunProgress) -> None:
        """Look at the gauges. It never raises, because the run would end with it."""
        try:
            self._measurements.gauges = self._look(standing)
            self._measurements.count()
        except Exception as mistake:
            self._measurements.give_up(mistake)

    def close(self) -> None:
        """There is nothing to close."""

    def _look(self, standing: RunProgress) -> RunGauges:
        from purgeengine.edges.telemetry.run_gauges import RunGauges

        tally, view, identity = standing.tally, standing.scheduler.view, self._tokens.describe()
        return RunGauges(
            settled=dict(tally.outcomes),
            rows_left=tally.left,
            left_s=standing.left_s,
            mailboxes_blocked=view.throttled_mailboxes(),
            app_wait_left_s=view.blocked_for_s,
            app_limit_per_s=view.app_limit_per_s,
            is_held=view.held_for_s is not None,
            token_issued_utc=identity.issued_utc,
            token_expires_utc=identity.expires_utc,
        )


@contextmanager
def watched(
    environment: Mapping[str, str],
    spelling: Spelling,
    *,
    metrics_port: int | None = None,
    metrics_file: Path | None = None,
) -> Iterator[Telemetry]:
    """Watch a run from outside while inside the context, as the options and the variables of OpenTelemetry ask.

    If nothing asks, nothing is imported. At the end the last figures are handed over, within the seconds that each exporter has for
    that. A `PurgeEngineError` that leaves the context tells the exit code.

    Raises `UsageProblem` if an option cannot be used or lacks its package; nothing has been sent then.
    """
    signals = _signals_in(environment)
    if metrics_port is None and metrics_file is None and not signals:
        yield UNWATCHED
        return
    from purgeengine.edges.telemetry.measurements import Measurements

    measurements = Measurements()
    telemetry = ExportedTelemetry(measurements)
    exporters: list[Exporter] = []
    try:
        if metrics_port is not None:
            from purgeengine.edges.telemetry.prometheus_port import PrometheusPort

            exporters.append(PrometheusPort(measurements, metrics_port, spelling))
        if metrics_file is not None:
            from purgeengine.edges.telemetry.prometheus_file import PrometheusFile

            exporters.append(PrometheusFile(measurements, metrics_file, spelling))
        if signals:
            from purgeengine.edges.telemetry.otel_export import started

            if (exporter := started(measurements, signals, environment)) is not None:
                exporters.append(exporter)
        yield telemetry
    except PurgeEngineError as error:
        telemetry.ended(error.exit_code)
        raise
    finally:
        telemetry.ended(CUT_SHORT)
        close_all(exporters)


def close_all(exporters: Sequence[Exporter]) -> None:
    """Close the exporters side by side. One that takes longer than its ``closing_s`` is left behind."""
    began = time.monotonic()
    threads = [threading.Thread(target=one.close, name="telemetry", daemon=True) for one in exporters]
    for thread in threads:
        thread.start()
    for exporter, thread in zip(exporters, threads, strict=True):
        thread.join(max(0.0, began + exporter.closing_s - time.monotonic()))


def _signals_in(environment: Mapping[str, str]) -> Signals | None:
    """Return what the variables of OpenTelemetry ask for. None if there is none, as on most machines."""
    if not any(name.startswith("OTEL_") for name in environment):
        return None
    from purgeengine.edges.telemetry.otel_variables import wanted_signals

    return wanted_signals(environment)
