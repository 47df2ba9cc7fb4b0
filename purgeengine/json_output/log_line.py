"""A line of the log with ``--log-format json``: the keys of every event, and those of the two events that programs read."""

from __future__ import annotations

from typing import Literal

import msgspec

from purgeengine.json_output.envelope import Utc


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the log. Beside these keys it has the values of the event."""

    event: str
    """The name of the event, such as ``run.progressed``."""
    level: Literal["debug", "info", "warning", "error"]
    """How important it is."""
    timestamp: Utc
    """When it was logged."""
