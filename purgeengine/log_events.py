"""The names of all events of the log, each with what its values tell.

An event is named ``noun.past_participle``; named values tell the rest.
"""

from __future__ import annotations

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
WORKERS_PROGRESSED = "workers.progressed"
"""The state of a run with workers, logged every few seconds: what the workers have settled, and how many there are."""
WORKER_LOST = "worker.lost"
"""A worker has ended before its run, or is silent; ``because`` explains it as a sentence. The purge continues."""
WORKER_REFUSED = "worker.refused"
"""A worker of ``--scheduler`` gets no shard; ``because`` explains it as a sentence. The purge continues with the others."""
SHARD_LOST = "shard.lost"
"""The disk of a shard was taken for lost; ``because`` tells what was kept and what is run again. The purge continues."""
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
"""No usable answer came, or the batch never left. An answer may still come late; the end of the run counts those."""
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
