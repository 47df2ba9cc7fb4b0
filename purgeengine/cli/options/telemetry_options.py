"""The options by which a run is watched from outside: ``--metrics-port`` and ``--metrics-file``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from purgeengine.cli.options.flags import as_flags

if TYPE_CHECKING:
    from purgeengine.jobs.run_telemetry import Telemetry

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def telemetry_options(command: Decorated) -> Decorated:
    """Add the options."""
    for option in reversed(
        (
            click.option(
                "--metrics-port",
                type=click.IntRange(0, 65_535),
                metavar="N",
                help="Serve the figures of the run for Prometheus at http://127.0.0.1:N/metrics. 0 takes a free port.",
            ),
            click.option(
                "--metrics-file",
                type=click.Path(dir_okay=False),
                metavar="FILE",
                help="Write the figures of the run every few seconds to FILE, for the textfile collector of Prometheus.",
            ),
        )
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class TelemetryOptions:
    """How a run is watched from outside, apart from the environment variables of OpenTelemetry."""

    metrics_port: int | None = None
    metrics_file: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> TelemetryOptions:
        """Make them from the options of a command. A command without them has none."""
        return cls(options.get("metrics_port"), options.get("metrics_file"))

    def watching(self) -> AbstractContextManager[Telemetry]:
        """Return the context in which a run is watched. Entering it raises `UsageProblem` if an option cannot be used."""
        from purgeengine.jobs.run_telemetry import watched

        file = None if self.metrics_file is None else Path(self.metrics_file)
        return watched(os.environ, as_flags, metrics_port=self.metrics_port, metrics_file=file)
