"""The log: set-up of structlog, the names of all events, and the one place that keeps secrets out of the log.

An event is named ``noun.past_participle`` (the constants below); named values tell the rest. Batches and purged rows
are logged at debug level only, because a long run has millions of them. This module does not know who logs or why.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TextIO, cast

from purgeengine.core.graph.text import printable
from purgeengine.core.messages import (
    AppLimited,
    BatchEnded,
    BatchSent,
    Entry,
    MailboxBlocked,
    MailboxClosed,
    Returned,
    RunBlocked,
    Settled,
)
from purgeengine.hidden_import import hidden_import
from purgeengine.log_file import LogFile
from purgeengine.log_outputs import DEBUG as _DEBUG
from purgeengine.log_outputs import INFO as _INFO
from purgeengine.log_outputs import WARNING as _WARNING
from purgeengine.log_outputs import EventDict, Outputs, Sentences
from purgeengine.words import utc_text

with hidden_import("rich"):  # rich would take a sixth of a second of every start
    import structlog

LEDGER_OPENED = "ledger.opened"
"""A ledger is open: its rows, those that have their outcome, what is left to do, and whether an earlier run is ``resumed``."""
FILTER_APPLIED = "filter.applied"
"""A filter keeps rows from being sent, or does less than it was meant to. ``because`` explains it as a sentence."""
INPUT_OPENED = "input.opened"
"""Which ``columns`` of the input are used, and what was mended or skipped, as sentences."""
INPUT_PROGRESSED = "input.progressed"
"""How many ``rows`` of the input have been read so far, if nobody watches a terminal."""
TOKEN_OBTAINED = "token.obtained"  # noqa: S105 - the name of an event
"""There is a token: for which app and tenant, and what it may do."""
PREFLIGHT_WARNED = "preflight.warned"
"""Something makes failures likely, and is known before the first deletion. ``said`` is a sentence."""
RUN_STARTED = "run.started"
"""Sending begins."""
RUN_PROGRESSED = "run.progressed"
"""The state of the run, logged every few seconds if nobody watches a display.

It has the rows ``settled`` of ``rows``, the rate, and ``left_s``, the seconds that are probably left (null if
nobody can know it, or if ``--until`` ends the run before), and what it waits for.
"""
RUN_BLOCKED = "run.blocked"
"""Graph asked the whole app to wait, or the service is down. Nothing is sent for ``for_s`` seconds."""
APP_LIMITED = "app.limited"
"""Graph limits the app: it takes about ``per_s`` requests a second over all mailboxes. 0 if that limit is gone."""
RUN_PAUSED = "run.paused"
"""Sending is not allowed at this time. Nothing is sent for about ``for_s`` seconds; batches in flight are waited for."""
RUN_RELEASED = "run.released"
"""Sending is allowed again."""
RUN_DOUBTED = "run.doubted"
"""Something is unusual; ``because`` explains it as a sentence. The run continues."""
RUN_STOPPED = "run.stopped"
"""The run ends before its input does, and can be resumed. ``reason`` tells why."""
RUN_ENDED = "run.ended"
"""Every row has its outcome."""
TOKEN_RENEWED = "token.renewed"  # noqa: S105 - the name of an event
"""A fresh token is in use."""
TOKEN_DELAYED = "token.delayed"  # noqa: S105 - the name of an event
"""The login is down or refuses. It is asked again for a limited time; a token that is still valid stays in use."""
CLOCK_SKEWED = "clock.skewed"
"""This machine's clock is ``skew_s`` seconds ahead of the service's (negative: behind). It should be set right."""
FANOUT_DECIDED = "fanout.decided"
"""How many rows of one mailbox a batch may hold from now on."""
CONNECTIONS_LOWERED = "connections.lowered"
"""Graph refused whole calls, or answers more slowly. At most ``connections`` batches are in flight from now on."""
TELEMETRY_FAILED = "telemetry.failed"
"""Figures of the run do not reach who watches it from outside. ``because`` explains it as a sentence. The run continues."""
METRICS_SERVED = "metrics.served"
"""Prometheus finds the figures of the run at ``url``."""
BATCH_SENT = "batch.sent"
"""Debug: a batch is about to leave, with its rows."""
BATCH_ANSWERED = "batch.answered"
"""Debug: Graph answered with the call's ``status``."""
BATCH_LOST = "batch.lost"
"""No usable answer came, or the batch never left."""
ANSWER_INTERCEPTED = "answer.intercepted"
"""Somebody between here and Graph answered instead of Graph. Logged once for each kind of such an answer."""
MAILBOX_BLOCKED = "mailbox.blocked"
"""A mailbox waits for ``for_s`` seconds."""
MAILBOX_CLOSED = "mailbox.closed"
"""A mailbox cannot be served. ``skipped`` of its rows were never sent."""
ITEM_RETURNED = "item.returned"
"""Debug: a row will be sent again."""
ITEM_SETTLED = "item.settled"
"""A row has its outcome. Debug for rows that are purged or absent, information for the others."""
EVENTS_COUNTED = "events.counted"
"""How many events of each kind were counted and not logged, because there were too many of them."""

NUMEROUS = frozenset(
    {
        ANSWER_INTERCEPTED,
        APP_LIMITED,
        BATCH_ANSWERED,
        BATCH_LOST,
        BATCH_SENT,
        CONNECTIONS_LOWERED,
        ITEM_RETURNED,
        ITEM_SETTLED,
        MAILBOX_BLOCKED,
        MAILBOX_CLOSED,
        RUN_BLOCKED,
        TOKEN_DELAYED,
        TOKEN_RENEWED,
    }
)
"""Events of which a run may have thousands. On standard error they are limited (`purgeengine.log_flood`)."""

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
        numerous=() if verbose else NUMEROUS,
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
        get_logger().info(EVENTS_COUNTED, unlogged=counts)


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
        wrapper_class=structlog.make_filtering_bound_logger(_level_now()),
    )


def _level_now() -> int:
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


# ---------------------------------------------------------------------------------------------------------------- trace


def tracing() -> bool:
    """True if `trace` may write anything at the present level. At every level it may: even a quiet log has warnings."""
    return bool(_tellers_at(_level_now()))


def trace(log: Any, entries: Iterable[Entry], user_of: Callable[[int], str]) -> None:
    """Log what a turn of the engine recorded, one event for each entry. An entry below the present level costs one look-up.

    ``user_of`` returns the name of a mailbox.
    """
    tellers = _tellers_at(_level_now())
    for entry in entries:
        tell = tellers.get(type(entry))
        if tell is not None:
            tell(log, entry, user_of)


_NameOf = Callable[[int], str]


def _batch_ended(log: Any, entry: BatchEnded, _: _NameOf) -> None:
    if entry.status is not None:  # the engine has logged why no answer came
        log.debug(BATCH_ANSWERED, batch=entry.batch, status=entry.status, request_id=entry.request_id)


def _settled(log: Any, entry: Settled, _: _NameOf) -> None:
    if entry.outcome.is_gone and _level_now() > _DEBUG:
        return
    tell = log.debug if entry.outcome.is_gone else log.info
    reply = entry.reply
    for row in entry.each():
        tell(
            ITEM_SETTLED,
            position=row.position,
            outcome=entry.outcome.value,
            status=reply.status,
            code=reply.code,
            message=reply.message,
            attempts=entry.attempts,
            in_doubt=entry.in_doubt,
            batch=entry.batch,
        )


def _mailbox_blocked(log: Any, entry: MailboxBlocked, user_of: _NameOf) -> None:
    log.info(MAILBOX_BLOCKED, mailbox=user_of(entry.mailbox), for_s=round(entry.for_s, 3))


def _run_blocked(log: Any, entry: RunBlocked, _: _NameOf) -> None:
    log.warning(RUN_BLOCKED, for_s=round(entry.for_s, 3))


def _app_limited(log: Any, entry: AppLimited, _: _NameOf) -> None:
    log.info(APP_LIMITED, per_s=round(entry.per_s, 1))


def _mailbox_closed(log: Any, entry: MailboxClosed, user_of: _NameOf) -> None:
    reply = entry.reply
    log.warning(
        MAILBOX_CLOSED,
        mailbox=user_of(entry.mailbox),
        status=reply.status,
        code=reply.code,
        message=reply.message,
        skipped=entry.skipped,
    )


def _batch_sent(log: Any, entry: BatchSent, _: _NameOf) -> None:
    rows = sum(len(share.attempts) for share in entry.shares)
    log.debug(BATCH_SENT, batch=entry.batch, rows=rows, client_request_id=entry.client_request_id)


def _returned(log: Any, entry: Returned, _: _NameOf) -> None:
    log.debug(ITEM_RETURNED, position=entry.position, sent=entry.number, in_doubt=entry.in_doubt)


_Teller = Callable[[Any, Any, _NameOf], None]
_WARNING_TELLERS: dict[type, _Teller] = {
    RunBlocked: _run_blocked,
    MailboxClosed: _mailbox_closed,
}
_INFO_TELLERS: dict[type, _Teller] = {
    **_WARNING_TELLERS,
    AppLimited: _app_limited,
    Settled: _settled,
    MailboxBlocked: _mailbox_blocked,
}
_DEBUG_TELLERS: dict[type, _Teller] = {
    **_INFO_TELLERS,
    BatchSent: _batch_sent,
    BatchEnded: _batch_ended,
    Returned: _returned,
}


def _tellers_at(level: int) -> dict[type, _Teller]:
    if level >= _WARNING:
        return _WARNING_TELLERS
    return _INFO_TELLERS if level >= _INFO else _DEBUG_TELLERS
