"""What a person at a terminal is told of the log's events: a sentence about what they must know, each once. The rest is counted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from purgeengine import log_events
from purgeengine.cli.output.fitted_text import fitted
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.core.graph.text import printable
from purgeengine.words import counted, duration, limits_the_app, number

CLOSED_SHOWN = 5
"""Closed mailboxes that are named. The display counts the others."""
WAIT_TOLD_S = 5.0
"""A wait of the whole app is told from this many seconds on. The display shows shorter ones while they last."""
SAME_WAIT_S = 60.0
"""Waits of the whole app with at most this many seconds between them are told once, unless one is twice as long as the last."""
SAME_DELAY_S = 600.0
"""Seconds for which a login that is down is told once."""
TEXT_MAX = 500
"""Most characters of a sentence with text from outside: enough for a code and a message."""

Event = Mapping[str, Any]


class Notices:
    """Returns the sentence for an event, or None. One object serves one run, because it remembers what it has told."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, stamp: Callable[[], str] | None = None) -> None:
        """``clock`` returns monotonic seconds. ``stamp`` returns what stands before a sentence: the local time if left out."""
        self._clock = clock
        self._stamp = stamp or (lambda: time.strftime("%H:%M:%S"))
        self._closed = 0
        self._wait_until = -SAME_WAIT_S
        self._waited_s = 0.0
        self._delayed_at = -SAME_DELAY_S
        self._app_limited = False
        self._told: set[str] = set()
        self._tellers: dict[str, Callable[[Event], str | None]] = {
            log_events.LEDGER_OPENED: _resumed,
            log_events.FILTER_APPLIED: lambda event: str(event["because"]),
            log_events.PREFLIGHT_WARNED: lambda event: str(event["said"]),
            log_events.RUN_DOUBTED: lambda event: str(event["because"]),
            log_events.RUN_BLOCKED: self._blocked,
            log_events.APP_LIMITED: self._limited,
            log_events.RUN_PAUSED: _paused,
            log_events.RUN_RELEASED: lambda _: "Sending is allowed again.",
            log_events.TOKEN_DELAYED: self._delayed,
            log_events.CLOCK_SKEWED: _skewed,
            log_events.ANSWER_INTERCEPTED: lambda event: str(event["said"]),
            log_events.MAILBOX_CLOSED: self._mailbox_closed,
            log_events.TELEMETRY_FAILED: lambda event: str(event["because"]),
            log_events.METRICS_SERVED: lambda event: f"Prometheus finds the figures of the run at {event['url']}",
        }

    def sentence(self, event: Event) -> str | None:
        """Return the sentence with the time in front of it, in lines that fit on a terminal.

        None if the event is only counted, or was told before.
        """
        name = str(event["event"])
        if name in _COUNTED:
            return None
        tell = self._tellers.get(name)
        said = tell(event) if tell is not None else _unknown(event)
        if not said or said in self._told:
            return None
        if name not in _AGAIN:
            self._told.add(said)
        clear_transient()
        sentence = printable(said, 2_000)
        return fitted(f"{self._stamp()}  {sentence}{'' if sentence.endswith('.') else '.'}", sys.stderr)

    def _blocked(self, event: Event) -> str | None:
        for_s, now = float(event["for_s"]), self._clock()
        is_new = now > self._wait_until + SAME_WAIT_S or for_s > 2 * self._waited_s
        self._wait_until = max(self._wait_until, now + for_s)
        if for_s < WAIT_TOLD_S or not is_new:
            return None
        self._waited_s = for_s
        return f"Graph asks the whole app to wait {duration(for_s)}. Nothing is sent meanwhile."

    def _limited(self, event: Event) -> str | None:
        per_s, was = float(event["per_s"]), self._app_limited
        self._app_limited = per_s > 0
        if was == self._app_limited:
            return None
        return (
            f"{limits_the_app(per_s)}. The run slows down to that." if per_s > 0 else "Graph limits the app no longer."
        )

    def _delayed(self, event: Event) -> str | None:
        now = self._clock()
        if now < self._delayed_at + SAME_DELAY_S:
            return None
        self._delayed_at = now
        return f"No token yet: {str(event['reason'])[:TEXT_MAX].rstrip('.')}. The login is asked again."

    def _mailbox_closed(self, event: Event) -> str | None:
        self._closed += 1
        if self._closed > CLOSED_SHOWN + 1:
            return None
        if self._closed == CLOSED_SHOWN + 1:
            return "More mailboxes cannot be served. They are counted below; --log-file writes each of them."
        said = " ".join(str(event[key]) for key in ("status", "code", "message") if event.get(key))
        skipped = int(event.get("skipped") or 0)
        rows = f" {counted(skipped, 'row')} of it {'is' if skipped == 1 else 'are'} skipped." if skipped else ""
        return f"The mailbox {event['mailbox']} cannot be served: {said[:TEXT_MAX].rstrip('.')}.{rows}"


_COUNTED = frozenset(
    {
        log_events.BATCH_ANSWERED,
        log_events.BATCH_LOST,
        log_events.BATCH_SENT,
        log_events.CONNECTIONS_LOWERED,
        log_events.EVENTS_COUNTED,
        log_events.FANOUT_DECIDED,
        log_events.INPUT_OPENED,
        log_events.INPUT_PROGRESSED,
        log_events.ITEM_RETURNED,
        log_events.ITEM_SETTLED,
        log_events.MAILBOX_BLOCKED,
        log_events.RUN_ENDED,
        log_events.RUN_PROGRESSED,
        log_events.RUN_STARTED,
        log_events.RUN_STOPPED,
        log_events.TOKEN_OBTAINED,
        log_events.TOKEN_RENEWED,
    }
)
"""Events that the display counts, or that the question and the summary tell."""
_AGAIN = frozenset(
    {
        log_events.APP_LIMITED,
        log_events.RUN_BLOCKED,
        log_events.RUN_PAUSED,
        log_events.RUN_RELEASED,
        log_events.TOKEN_DELAYED,
    }
)
"""Events whose sentence may be told again, because what it says happened again."""


def _resumed(event: Event) -> str | None:
    if not event.get("resumed"):
        return None
    rows, done = int(event["rows"]), int(event["settled"])
    left = rows - done
    return (
        f"Resuming: {number(done)} of {counted(rows, 'row')} {'is' if done == 1 else 'are'} done, {number(left)} left."
    )


def _paused(event: Event) -> str:
    return f"Sending is not allowed at this time. It begins again in about {duration(float(event['for_s']))}."


def _skewed(event: Event) -> str:
    skew_s = float(event["skew_s"])
    return f"This machine's clock is {duration(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} the service's. Set it right."


def _unknown(event: Event) -> str | None:
    """Return an event for which there is no sentence, if it is a warning, so that none is missed."""
    if event.get("level") in ("debug", "info"):
        return None
    values = " ".join(f"{key}={value}" for key, value in event.items() if key not in ("event", "level", "timestamp"))
    return f"{event['event']} {values}"[:TEXT_MAX].rstrip()
