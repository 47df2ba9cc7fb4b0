"""Logs what a turn of the engine recorded: one event for each entry.

Batches and purged rows are logged at debug level only, because a long run has millions of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from purgeengine import log_events, logs
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
from purgeengine.log_outputs import DEBUG, INFO, WARNING


def tracing() -> bool:
    """True if `trace` may write anything at the present level. At every level it may: even a quiet log has warnings."""
    return bool(_tellers_at(logs.level_now()))


def trace(log: Any, entries: Iterable[Entry], user_of: Callable[[int], str]) -> None:
    """Log what a turn of the engine recorded, one event for each entry. An entry below the present level costs one look-up.

    ``user_of`` returns the name of a mailbox.
    """
    tellers = _tellers_at(logs.level_now())
    for entry in entries:
        tell = tellers.get(type(entry))
        if tell is not None:
            tell(log, entry, user_of)


_NameOf = Callable[[int], str]


def _batch_ended(log: Any, entry: BatchEnded, _: _NameOf) -> None:
    if entry.status is not None:  # the engine has logged why no answer came
        log.debug(log_events.BATCH_ANSWERED, batch=entry.batch, status=entry.status, request_id=entry.request_id)


def _settled(log: Any, entry: Settled, _: _NameOf) -> None:
    if entry.outcome.is_gone and logs.level_now() > DEBUG:
        return
    tell = log.debug if entry.outcome.is_gone else log.info
    reply = entry.reply
    for row in entry.each():
        tell(
            log_events.ITEM_SETTLED,
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
    log.info(log_events.MAILBOX_BLOCKED, mailbox=user_of(entry.mailbox), for_s=round(entry.for_s, 3))


def _run_blocked(log: Any, entry: RunBlocked, _: _NameOf) -> None:
    log.warning(log_events.RUN_BLOCKED, for_s=round(entry.for_s, 3))


def _app_limited(log: Any, entry: AppLimited, _: _NameOf) -> None:
    log.info(log_events.APP_LIMITED, per_s=round(entry.per_s, 1))


def _mailbox_closed(log: Any, entry: MailboxClosed, user_of: _NameOf) -> None:
    reply = entry.reply
    log.warning(
        log_events.MAILBOX_CLOSED,
        mailbox=user_of(entry.mailbox),
        status=reply.status,
        code=reply.code,
        message=reply.message,
        skipped=entry.skipped,
    )


def _batch_sent(log: Any, entry: BatchSent, _: _NameOf) -> None:
    rows = sum(len(share.attempts) for share in entry.shares)
    log.debug(log_events.BATCH_SENT, batch=entry.batch, rows=rows, client_request_id=entry.client_request_id)


def _returned(log: Any, entry: Returned, _: _NameOf) -> None:
    log.debug(log_events.ITEM_RETURNED, position=entry.position, sent=entry.number, in_doubt=entry.in_doubt)


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
    if level >= WARNING:
        return _WARNING_TELLERS
    return _INFO_TELLERS if level >= INFO else _DEBUG_TELLERS
