"""What can happen (events), what can be asked (commands), and what is remembered (entries).

The scheduler is told events and answers with commands. *The order of the commands is the promise of durability: every
`Record` that stands before a `Send` is on disk before that batch leaves.*
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from purgeengine.core.model import Answer, Attempt, Batch, MailboxShare, Outcome, Reply

# ---------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class MailboxOpened:
    """A mailbox with rows to purge, and what an earlier run left of it.

    Its rows are the positions ``next`` to ``end - 1``, not yet sent, and those of ``unsettled``, sent before without an
    outcome. ``blocked_for_s`` is the rest of a wait that still holds. ``recent`` tells what the service has seen of the mailbox
    lately, as (seconds ago, rows), oldest first: the 10-minute window lives in the service, not in our process. Those of its rows
    that lie before ``doubt_end`` were left in doubt by an earlier ledger: one that is gone was purged by us.
    """

    mailbox: int
    next: int
    end: int
    unsettled: tuple[Attempt, ...] = ()
    blocked_for_s: float = 0.0
    recent: tuple[tuple[float, int], ...] = ()
    doubt_end: int = 0


@dataclass(frozen=True, slots=True)
class InputEnded:
    """There are no more mailboxes to open."""


@dataclass(frozen=True, slots=True)
class BatchAnswered:
    """Graph answered a batch, whatever it said."""

    batch: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class BatchLost:
    """No usable answer came.

    ``sent`` is False only when the batch certainly did not reach Graph. ``running`` is False when the service has ended its
    work all the same: it answered, and the answer could not be read. ``held`` batches were kept back by us, and say nothing of
    the service. ``intercepted`` ones were answered by somebody between here and the service.
    """

    batch: int
    sent: bool
    reason: str
    running: bool = True
    held: bool = False
    intercepted: bool = False


@dataclass(frozen=True, slots=True)
class TokenRenewed:
    """A fresh token is in use from now on."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Send nothing more; what is in flight is waited for."""


@dataclass(frozen=True, slots=True)
class Held:
    """It is not the time to send: nothing leaves until `Released`.

    ``for_s`` is in how many seconds that is expected; another `Held` corrects it.
    """

    for_s: float


@dataclass(frozen=True, slots=True)
class Released:
    """Sending may go on."""


Event = MailboxOpened | InputEnded | BatchAnswered | BatchLost | TokenRenewed | StopRequested | Held | Released


class SendWindow(NamedTuple):
    """Whether it is a time to send, for how many seconds that stays so, and why the run is over for good, if it is."""

    allowed: bool
    for_s: float
    over: str | None


# --------------------------------------------------------------------------------------------------------- entries


BATCH_OF_LAST_SENDING = 0
"""Batches are numbered from 1; a row settled with its mailbox keeps the batch it was last sent in."""


class BatchSent(NamedTuple):
    """The intent: these rows are about to be sent."""

    batch: int
    client_request_id: str
    shares: tuple[MailboxShare, ...]


class BatchEnded(NamedTuple):
    """A batch is no longer in flight. ``status`` is the outer one, or None when no answer came (or it was never sent)."""

    batch: int
    status: int | None
    request_id: str


class Returned(NamedTuple):
    """A row was not settled by its latest sending and will be sent again."""

    position: int
    number: int
    failures: int
    in_doubt: bool


class Settled(NamedTuple):
    """A row has its outcome. ``reply`` is the answer that decided it, with status 0 where none came.

    Neighbours that are settled alike, as nearly all are, may share an entry: ``rows`` of them, from ``position`` on.
    """

    position: int
    outcome: Outcome
    attempts: int
    in_doubt: bool
    batch: int
    reply: Reply
    rows: int = 1

    def each(self) -> Iterator[Settled]:
        """The same, row by row."""
        return (
            self._replace(position=position, rows=1) for position in range(self.position, self.position + self.rows)
        )


class MailboxBlocked(NamedTuple):
    """Nothing may be sent to the mailbox for so many seconds, a restart included."""

    mailbox: int
    for_s: float


class RunBlocked(NamedTuple):
    """Nothing may be sent at all for so many seconds, a restart included."""

    for_s: float


class MailboxClosed(NamedTuple):
    """Every row of the mailbox that was never sent is skipped, for this reason; ``skipped`` says how many they are."""

    mailbox: int
    reply: Reply
    skipped: int = 0


Entry = BatchSent | BatchEnded | Returned | Settled | MailboxBlocked | RunBlocked | MailboxClosed

# -------------------------------------------------------------------------------------------------------- commands


class HaltReason(StrEnum):
    """Why the scheduler stopped the run by itself."""

    REFUSED_APP = "refused_app"
    """Graph refused the app or its token for every mailbox."""
    UNAUTHORIZED = "unauthorized"
    """Every mailbox asked answers 401, with a renewed token as well: it is the token, or it is these mailboxes."""
    NO_SUCH_ACTION = "no_such_action"
    """This Graph does not know the action."""
    BATCHES_REFUSED = "batches_refused"
    """Graph refused one batch after the other as a whole, though each held a single row."""
    THROTTLED = "throttled"
    """Graph refused every call as too fast, however long the waits were."""
    OUTAGE = "outage"
    """No usable answer for longer than allowed; the reply is the last that came, with status 0 where none did."""
    WAIT_TOO_LONG = "wait_too_long"
    """Graph asked the whole app to wait longer than a run may."""


@dataclass(frozen=True, slots=True)
class Record:
    """Make the entries durable, in their order, before any `Send` that follows."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Post the batch, and report `BatchAnswered` or `BatchLost` once."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class RenewToken:
    """Graph refused the token that ``batch`` left with: get another, and report `TokenRenewed`.

    ``claims`` is what Graph wants of the next one (continuous access evaluation), as JSON for the login, or empty.
    """

    batch: int
    claims: str = ""


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop the run when what is in flight has ended; `StopRequested` is implied.

    ``claims`` is what Graph wanted of the token that it refused last, as JSON, or empty.
    """

    reason: HaltReason
    reply: Reply
    claims: str = ""


Command = Record | Send | RenewToken | Halt
