"""One constructor for each component, with defaults. So whatever a test sets is what the test is about."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from purgeengine.core.messages import (
    BatchAnswered,
    BatchLost,
    Command,
    Entry,
    InputEnded,
    MailboxOpened,
    Record,
    Returned,
    Send,
    Settled,
)
from purgeengine.core.model import Answer, Batch, FolderRows, Item, Outcome, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits

PURGED = Reply(204)
THROTTLED = Reply(429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.", 1.0)


def a_scheduler(*mailboxes: int | MailboxOpened, seed: int = 1, ended: bool = True, **limits: Any) -> Scheduler:
    """Return a scheduler that knows mailboxes but has sent nothing.

    An int gives a mailbox of so many rows, at the next positions.
    """
    return _Opened(mailboxes, ended, Limits(**{"fanout": 4, "lanes": False, **limits}), random.Random(seed))


class _Opened(Scheduler):
    """A scheduler that takes its mailboxes with the first `handle`, so that a test reads like a conversation."""

    def __init__(
        self, mailboxes: Sequence[int | MailboxOpened], ended: bool, limits: Limits, rng: random.Random
    ) -> None:
        super().__init__(limits, rng)
        first, events = 0, []
        for number, mailbox in enumerate(mailboxes):
            if isinstance(mailbox, int):
                mailbox = MailboxOpened(number, first, first + mailbox)
            first = mailbox.end
            events.append(mailbox)
        self._first_events = [*events, *([InputEnded()] if ended else [])]

    def handle(self, *events: Any, now: float) -> list[Command]:
        first, self._first_events = self._first_events, []
        return super().handle(*first, *events, now=now)


def batches(commands: Sequence[Command]) -> list[Batch]:
    """Return the batches sent, in order."""
    return [command.batch for command in commands if isinstance(command, Send)]


def entries(commands: Sequence[Command], kind: type | None = None) -> list[Entry]:
    """Return the recorded entries, of one kind or all. Rows settled in one entry are separate here."""
    found: list[Entry] = []
    for command in commands:
        for entry in command.entries if isinstance(command, Record) else ():
            found.extend(entry.each() if isinstance(entry, Settled) else [entry])
    return [entry for entry in found if kind is None or isinstance(entry, kind)]


def outcomes(commands: Sequence[Command]) -> dict[int, Outcome]:
    """Return the settled rows: position to outcome."""
    return {entry.position: entry.outcome for entry in entries(commands, Settled)}


def returned(commands: Sequence[Command]) -> dict[int, Returned]:
    """Return the returned rows: position to entry."""
    return {entry.position: entry for entry in entries(commands, Returned)}


def positions(batch: Batch) -> list[int]:
    """Return the rows in a batch, in the order of their sub-requests."""
    return [attempt.position for share in batch.shares for attempt in share.attempts]


def mailboxes(batch: Batch) -> list[int]:
    """Return the mailboxes in a batch, in order."""
    return [share.mailbox for share in batch.shares]


def answer(batch: Batch, *replies: Reply | None, rest: Reply = PURGED, outer: Reply | None = None) -> BatchAnswered:
    """Return an answer with these replies first and ``rest`` for the others. None leaves a row without a reply."""
    said = [*replies, *[rest] * (batch.size - len(replies))]
    mapping = {index: reply for index, reply in enumerate(said) if reply is not None}
    waits = {i: r.retry_after_s for i, r in mapping.items() if r.status == 429 and r.retry_after_s is not None}
    return BatchAnswered(batch.number, Answer(outer or Reply(200), mapping, "request", waits))


def refusal(batch: Batch, status: int, code: str = "", message: str = "", wait: float | None = None) -> BatchAnswered:
    """Return an answer without sub-responses."""
    return BatchAnswered(batch.number, Answer(Reply(status, code, message, wait), None))


def lost(batch: Batch, *, sent: bool = True) -> BatchLost:
    """Return a lost batch."""
    return BatchLost(batch.number, sent, "The connection was reset.")


def folder_rows_of(items: Iterable[Item]) -> list[FolderRows]:
    """Return rows as a batch takes them: neighbours of one mailbox and folder together."""
    return [
        FolderRows(user, folder, [item.contact for item in some])
        for (user, folder), some in groupby(items, lambda item: (item.user, item.folder))
    ]
