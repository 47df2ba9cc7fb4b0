"""Turns what the SDK of OpenTelemetry complains of into one sentence for a whole run.

The SDK logs every export that fails, and a run may last for days.
"""

from __future__ import annotations

import logging
import re

from purgeengine import log_events, logs
from purgeengine.core.graph.text import printable

SDK_LOGGER = "opentelemetry"
"""The logger above all loggers of the SDK and its exporters."""
SAID_LENGTH_MAX = 200
"""Characters kept of a complaint: its cause, and not a whole page that a proxy returned."""
_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([^'\")\]]+)")
"""What the system said, in the middle of what three libraries made of it."""


class SdkComplaints(logging.Handler):
    """Tells the first complaint, and drops the others. One more is told after `started`.

    ``endpoint`` is where the collector is, for the sentence.
    In a program that has set up its own handlers for these loggers, it leaves them alone.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__(logging.WARNING)
        self._endpoint = endpoint
        self._told = False
        self._started = False
        self._logger = logging.getLogger(SDK_LOGGER)
        self._propagated = self._logger.propagate
        self._installed = not self._logger.hasHandlers()
        if self._installed:
            self._logger.addHandler(self)
            self._logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Tell the complaint, if it is the first."""
        if self._told:
            return
        said = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            said = f"{said.rstrip('. ')}: {record.exc_info[1]}"
        if (found := _SYSTEM_ERROR.search(said)) is not None:
            said = found[1]
        short = printable(said, SAID_LENGTH_MAX).rstrip(". ")
        self.tell(f"Telemetry to {self._endpoint} may not be complete: {short}")

    def started(self) -> None:
        """Tell one more: until now, complaints were about variables, and from now on they are about the collector."""
        self._told, self._started = False, True

    @property
    def is_failing(self) -> bool:
        """True if the SDK has complained since the export began."""
        return self._started and self._told

    def tell(self, sentence: str) -> None:
        """Log a sentence, unless one was logged. ``sentence`` has no full stop at its end."""
        if not self._told:
            self._told = True
            logs.get_logger().warning(
                log_events.TELEMETRY_FAILED, because=f"{sentence}. The run goes on. This is said once."
            )

    def close(self) -> None:
        """Leave the SDK's loggers as they were."""
        if self._installed:
            self._logger.removeHandler(self)
            self._logger.propagate = self._propagated
        super().close()
