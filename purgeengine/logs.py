"""The log: set-up of structlog, and the one place that keeps secrets out of the log.

`purgeengine.log_events` has the names of all events. This module does not know who logs or why.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal, TextIO, cast

from purgeengine import log_events
from purgeengine.core.graph.text import printable
from purgeengine.hidden_import import hidden_import
from purgeengine.log_file import LogFile
from purgeengine.log_outputs import DEBUG as _DEBUG
from purgeengine.log_outputs import INFO as _INFO
from purgeengine.log_outputs import WARNING as _WARNING
from purgeengine.log_outputs import EventDict, Outputs, Sentences
from purgeengine.words import utc_text

with hidden_import("rich"):  # rich would take a sixth of a second of every start
    import structlog

REDACTED = "(redacted)"
VALUE_LENGTH_MAX = 2_000
"""Characters logged of one value. No value of ours is longer."""

LIBRARY_LOGGER = "purgeengine"
"""The logger of Python's logging that events go to in a program that uses the package as a library."""

_level = _INFO
_outputs: Outputs | None = None

_SECRET_KEY = re.compile(r"token|authorization|secret|password|passphrase|assertion|cookie|credential", re.IGNORECASE)
_SECRET_VALUE = re.compile(
    r"eyJ[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*){1,4}"  # a JWT: its header begins with {" in base64
    r"|\b(?:Bearer|Basic)[ \t]+[A-Za-z0-9._~+/=-]{6,}"
    r"|(?<=://)[^\s/@]+:[^\s/@]*@"  # user name and password in a URL
    r"|(?<=client_secret=)[^&\s]+",
    re.IGNORECASE,
)


# --------------------------------------------------------------------------------------------------------------- set-up


def configure_logs(
    format: Literal["console", "json"] = "console",
    *,
    quiet: bool = False,
    verbose: bool = False,
    stream: TextIO | None = None,
    file: LogFile | None = None,
    sentences: Sentences | None = None,
) -> None:
    """Set up the log of this process: one line for each event on standard error (or ``stream``), with UTC times in ISO 8601.

    ``quiet`` keeps warnings only; ``verbose`` adds every batch and row. Without it, events that a run has thousands of are limited
    and counted. The console format has colours on a terminal only, and never if ``NO_COLOR`` is set (no-color.org). ``file`` gets
    every event as JSON, whatever standard error gets; batches and rows only with ``verbose``. ``sentences`` replaces the lines:
    it returns what a person at a terminal is told of an event, or None.
    """
    global _level, _outputs
    close_file()
    screen = _WARNING if quiet else _DEBUG if verbose else _INFO
    file_level = _DEBUG if verbose else _INFO
    _level = screen if file is None else min(screen, file_level)
    out = cast(TextIO, _CurrentStderr()) if stream is None else stream
    _outputs = Outputs(
        format,
        out,
        level=screen,
        file=file,
        file_level=file_level,
        numerous=() if verbose else log_events.NUMEROUS,
        sentences=sentences,
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            stamped,
            without_secrets,
            _outputs,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )


def stamped(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Add the time, in the form that all our JSON has: 2026-01-31T12:00:00.000Z."""
    event["timestamp"] = utc_text(time.time())
    return event


def close_file() -> None:
    """Close the log file, if there is one. What is logged afterwards is not in it."""
    if _outputs is not None and _outputs.file is not None:
        _outputs.file.close()
        _outputs.file = None


def has_file() -> bool:
    """Return whether there is a log file, which is told what nobody reads on standard error."""
    return _outputs is not None and _outputs.file is not None


def tell_counts() -> None:
    """Log how many events were not logged because there were too many. Nothing if all were."""
    counts = _outputs.counts() if _outputs is not None else {}
    if counts:
        get_logger().info(log_events.EVENTS_COUNTED, unlogged=counts)


class _CurrentStderr:
    """Standard error as it is when a line is written. A live display may have replaced it, to draw around the line."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def get_logger() -> Any:
    """A logger. It costs next to nothing, and follows `configure_logs` even when it was made before.

    Where nobody has set structlog up, events go to the logger ``purgeengine`` of Python's own logging: in another program's
    process, what is shown is for that program to say.
    """
    return structlog.get_logger() if structlog.is_configured() else _library_logger()


def _library_logger() -> Any:
    logger = logging.getLogger(LIBRARY_LOGGER)
    return structlog.wrap_logger(
        logger,
        processors=[without_secrets, structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.make_filtering_bound_logger(level_now()),
    )


def level_now() -> int:
    """What the log shows: as it was set up here, or as the other program has set up the library's logger."""
    if structlog.is_configured():
        return _level
    wanted = logging.getLogger(LIBRARY_LOGGER).getEffectiveLevel()
    return next((level for level in (_DEBUG, _INFO) if wanted <= level), _WARNING)


def silent_logger() -> Any:
    """A logger that says nothing, for work whose findings are told otherwise."""
    return structlog.wrap_logger(None, processors=[], wrapper_class=structlog.make_filtering_bound_logger(50))


# -------------------------------------------------------------------------------------------------------------- secrets


def without_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Redact values whose names may mean a secret and texts that look like one, and escape control characters.

    This is the last line of defence: no code should log a token to begin with.
    """
    return {printable(key, 100): _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any, depth: int = 0) -> Any:
    if isinstance(value, bool | int | float | None):
        return value
    if _SECRET_KEY.search(key):
        return REDACTED
    if isinstance(value, Mapping) and depth < 3:
        return {printable(str(k), 100): _clean(str(k), v, depth + 1) for k, v in list(value.items())[:100]}
    if isinstance(value, list | tuple) and depth < 3:
        return [_clean("", element, depth + 1) for element in value[:100]]
    return redacted(_escaped(str(value)))


def redacted(text: str) -> str:
    """Return the text without what looks like a token, or like user name and password in a URL."""
    return _SECRET_VALUE.sub(REDACTED, text)


def _escaped(text: str) -> str:
    text = text[:VALUE_LENGTH_MAX]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
