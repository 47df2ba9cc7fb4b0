"""Events (what happened), commands (what to do) and entries (what to record).

The scheduler gets events and answers with commands. *The order of the commands is the promise of durability: every
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
    """A mailbox with rows to purge, and what earlier runs left of it.

    - ``next`` to ``end - 1`` are the positions of its rows that were never sent.
    - ``unsettled`` are its rows that were sent before and have no outcome.
    - ``blocked_for_s`` is what is left, in seconds, of a wait that still holds.
    - ``recent`` is what the service has seen of the mailbox lately, as (seconds ago, rows), oldest first. The request
      window lives in the service, not in our process.
    - ``doubt_end``: rows before this position were left in doubt by an earlier ledger. If such a contact is gone, we
      purged it.
    - ``lost_slots``: slots that lost calls of earlier runs may still hold, as (seconds from now, slots).
    """

    mailbox: int
    next: int
    end: int
    unsettled: tuple[Attempt, ...] = ()
    blocked_for_s: float = 0.0
    recent: tuple[tuple[float, int], ...] = ()
    doubt_end: int = 0
    lost_slots: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class InputEnded:
    """There are no more mailboxes to open."""


@dataclass(frozen=True, slots=True)
class BatchAnswered:
    """Graph answered a batch, with whatever status."""

    batch: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class BatchLost:
    """No usable answer came.

    - ``sent`` is false only if the batch certainly did not reach Graph.
    - ``reason`` is a short text for people.
    - ``running`` is false if the service has ended its work: it answered, and the answer could not be read.
    - ``held`` is true if we held the batch back, so that its loss says nothing about the service.
    - ``intercepted`` is true if somebody between here and the service answered.
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
    """Send nothing more, and wait for the batches in flight."""


@dataclass(frozen=True, slots=True)
class Held:
    """It is not the time to send: nothing leaves until `Released`.

    ``for_s`` is in how many seconds that is expected; another `Held` corrects it.
    """

    for_s: float


@dataclass(frozen=True, slots=True)
class Released:
    """Sending is allowed again."""


@dataclass(frozen=True, slots=True)
class QuotaChanged:
    """From now on this run may use so much of what the app may use. Several runs share the app.

    - ``requests_per_s`` is its quota of the app's rate, in sub-requests per second.
    - ``connections`` is its quota of the batches in flight.

    Nothing leaves while either is 0.
    """

    requests_per_s: float
    connections: int


@dataclass(frozen=True, slots=True)
class AskedToWait:
    """Graph asked another run of the same app to wait, for ``for_s`` seconds from now on.

    ``cut`` is true if that run has lowered its limit on batches in flight because of it.
    """

    for_s: float
    cut: bool = False


Event = (
    MailboxOpened
    | InputEnded
    | BatchAnswered
    | BatchLost
    | TokenRenewed
    | StopRequested
    | Held
    | Released
    | QuotaChanged
    | AskedToWait
)


class SendWindow(NamedTuple):
    """Whether batches may be sent at this time.

    - ``allowed`` is true if they may.
    - ``for_s`` is how many seconds that stays so.
    - ``over`` is the reason why the run is over for good, or None.
    """

    allowed: bool
    for_s: float
    over: str | None


# --------------------------------------------------------------------------------------------------------- entries


BATCH_OF_LAST_SENDING = 0
"""Stands for the batch in which a row was last sent, if the row is settled with its mailbox. Batches are numbered from 1."""


class BatchSent(NamedTuple):
    """The intent: these rows are about to be sent."""

    batch: int
    client_request_id: str
    shares: tuple[MailboxShare, ...]


class BatchEnded(NamedTuple):
    """A batch is no longer in flight. ``status`` is the outer status, or None if no answer came or the batch was never sent."""

    batch: int
    status: int | None
    request_id: str
    late: bool = False
    """True if the batch had been given up before, so that it ends for the second time."""


class Returned(NamedTuple):
    """A row was not settled by its latest sending, and will be sent again."""

    position: int
    number: int
    failures: int
    in_doubt: bool


class Settled(NamedTuple):
    """A row has its outcome. ``reply`` is the one that decided it, with status 0 if none came.

    Neighbouring rows that are settled alike, as nearly all are, may share an entry: ``rows`` rows from ``position``
    on.
    """

    position: int
    outcome: Outcome
    attempts: int
    in_doubt: bool
    batch: int
    reply: Reply
    rows: int = 1

    def each(self) -> Iterator[Settled]:
        """Yield an entry for each row."""
        return (
            self._replace(position=position, rows=1) for position in range(self.position, self.position + self.rows)
        )


class MailboxBlocked(NamedTuple):
    """Nothing may be sent to the mailbox for ``for_s`` seconds, even after a restart."""

    mailbox: int
    for_s: float


class RunBlocked(NamedTuple):
    """Nothing may be sent at all for ``for_s`` seconds, even after a restart.

    ``passed_on`` is true if Graph asked another run of the same app, and this run was told.
    """

    for_s: float
    passed_on: bool = False


class AppLimited(NamedTuple):
    """Graph takes at most about ``per_s`` requests a second from the whole app. 0 if no such limit is known any more."""

    per_s: float


class MailboxClosed(NamedTuple):
    """Every row of the mailbox that was never sent is skipped, because of ``reply``. ``skipped`` is the number of such rows."""

    mailbox: int
    reply: Reply
    skipped: int = 0


Entry = BatchSent | BatchEnded | Returned | Settled | MailboxBlocked | RunBlocked | AppLimited | MailboxClosed

# -------------------------------------------------------------------------------------------------------- commands


class HaltReason(StrEnum):
    """Why the scheduler stopped the run by itself."""

    REFUSED_APP = "refused_app"
    """Graph refused the app or its token for every mailbox."""
    UNAUTHORIZED = "unauthorized"
    """Every mailbox that was asked answers 401, also with a renewed token.

    Either the token is wrong, or these mailboxes are.
    """
    NO_SUCH_ACTION = "no_such_action"
    """This Graph does not know the action."""
    BATCHES_REFUSED = "batches_refused"
    """Graph refused one batch after another as a whole, although each held a single row."""
    THROTTLED = "throttled"
    """Graph refused every call as too fast, however long the waits were."""
    OUTAGE = "outage"
    """No usable answer came for longer than allowed. The reply is the last one that came, with status 0 if none did."""
    WAIT_TOO_LONG = "wait_too_long"
    """Graph asked the whole app to wait longer than a run may."""


@dataclass(frozen=True, slots=True)
class Record:
    """Make the entries durable, in their order, before any `Send` that follows."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Post the batch, and report `BatchAnswered` or `BatchLost` once, also after `GivenUp`."""

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


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The batch is no longer in flight, because no answer came in time. The engine still reports its answer if one comes.

    ``reason`` is a short text for people.
    """

    batch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop reading the answer to a batch that was given up. Too many such calls are open."""

    batch: int


Command = Record | Send | RenewToken | Halt | GivenUp | Abandon
