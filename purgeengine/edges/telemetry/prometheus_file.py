"""Writes the figures of a run to a file for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from purgeengine import log_events, logs
from purgeengine.edges.extras import needs_extra
from purgeengine.edges.telemetry.measurements import Measurements
from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling

WRITE_EVERY_S = 5.0
"""Seconds between two writings. Prometheus reads every 15 s or more rarely."""
MODE = 0o644
"""Who may read the file: everybody, because the node exporter runs as a user of its own. It names nobody."""


class PrometheusFile:
    """Writes the file every few seconds, in a thread of its own, and once more when it is closed.

    A reader sees the old file or the new one, never a part. Raises `UsageProblem` if the file cannot be written at the start. If it
    cannot be written later, the log says so once, and the run goes on.
    """

    closing_s = 5.0
    """Seconds that the last writing is waited for. A disk that takes longer is out of order."""

    def __init__(
        self, measurements: Measurements, path: Path, spelling: Spelling, every_s: float = WRITE_EVERY_S
    ) -> None:
        with needs_extra("prometheus", f"{spelling('metrics_file')} needs the package prometheus-client"):
            from prometheus_client import generate_latest

            from purgeengine.edges.telemetry.prometheus_metrics import registry_of
        self._text: Callable[[], bytes] = partial(generate_latest, registry_of(measurements))
        self._path = path
        self._every_s = every_s
        self._closed = threading.Event()
        self._failed = False
        try:
            replace_file(path, self._text())
        except OSError as error:
            raise UsageProblem(
                f"The file {path} of {spelling('metrics_file')} cannot be written: {error.strerror or error}. Nothing was sent. "
                "Name a file in a folder that exists and that you may write to."
            ) from error
        self._thread = threading.Thread(target=self._write_regularly, name="metrics file", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the last figures."""
        self._closed.set()
        self._thread.join()

    def _write_regularly(self) -> None:
        while True:
            closed = self._closed.wait(self._every_s)
            try:
                replace_file(self._path, self._text())
            except OSError as error:  # on Windows also while somebody reads the file
                if closed or not self._failed:
                    self._tell(error)
            if closed:
                return

    def _tell(self, error: OSError) -> None:
        self._failed = True
        logs.get_logger().warning(
            log_events.TELEMETRY_FAILED,
            because=f"The metrics file {self._path} could not be written: {error.strerror or error}. The run goes on.",
        )


def replace_file(path: Path, content: bytes) -> None:
    """Replace the file by one with this content, at once. Raises OSError if that fails; the old file is left then."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.write_bytes(content)
        new.chmod(MODE)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
