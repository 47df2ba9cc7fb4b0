"""The nouns: rows, attempts, batches, replies, outcomes. Values only, valid from birth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, overload


class Outcome(StrEnum):
    """What finally became of a row. Every row of an input gets exactly one, once; the names are a contract."""

    PURGED = "purged"
    """204; or gone after an attempt of ours whose answer was lost."""
    ABSENT = "absent"
    """It was already gone when we first asked."""
    REFUSED = "refused"
    """Graph said no for good."""
    EXHAUSTED = "exhausted"
    """Still failing after every attempt allowed; in doubt where the delete may have happened."""
    INVALID = "invalid"
    """Never sent: the row itself is wrong."""
    DUPLICATE = "duplicate"
    """Never sent: the same contact of the same mailbox stands in an earlier row."""
    SKIPPED = "skipped"
    """Never sent: its mailbox was closed, or a filter left it out."""

    @property
    def is_gone(self) -> bool:
        """Whether the contact does not exist any more, and the ledger says so."""
        return self in (Outcome.PURGED, Outcome.ABSENT)

    @property
    def failed(self) -> bool:
        """Whether the row was sent and Graph did not purge it. Such rows count against the thresholds that stop a run."""
        return self in (Outcome.REFUSED, Outcome.EXHAUSTED)

    @property
    def worth_retrying(self) -> bool:
        """Whether another run may settle the row better: it failed, or it was never sent because its mailbox was closed."""
        return self.failed or self is Outcome.SKIPPED

    @property
    def ended_badly(self) -> bool:
        """Whether a run with such a row ends with exit code 1: all but purged, absent, and a duplicate of another row."""
        return self.worth_retrying or self is Outcome.INVALID

    @property
    def never_sent(self) -> bool:
        """Whether the row was left out of a run, which has learned nothing of the contact."""
        return self in (Outcome.SKIPPED, Outcome.INVALID, Outcome.DUPLICATE)

    @property
    def may_leave_doubt(self) -> bool:
        """Whether an earlier attempt may have purged the contact all the same, where no answer to it came.

        Purged and absent say where the contact is; invalid and duplicate rows never had an attempt.
        """
        return self.worth_retrying


class Item(NamedTuple):
    """A valid row, as Graph will be asked for it.

    ``folder`` is empty for a contact addressed through its mailbox alone; ``contact`` too where the operation names no item.
    """

    user: str
    folder: str
    contact: str


class FolderRows(NamedTuple):
    """Valid rows of one folder of one mailbox, in the order of sending: they differ in the contact alone."""

    user: str
    folder: str
    contacts: Sequence[str]


class Attempt(NamedTuple):
    """One sending of one row.

    ``position`` is the row's place in the ledger's work order (rows of one mailbox are neighbours). ``number`` counts the
    sendings of this row, this one included. ``failures`` counts those that ended in a fault of the service, and bounds
    them. ``in_doubt`` is true when an earlier sending may have been carried out although no answer said so.
    """

    position: int
    number: int = 1
    failures: int = 0
    in_doubt: bool = False


class FirstAttempts(Sequence[Attempt]):
    """The first sendings of neighbouring rows, none of them in doubt, as nearly all are.

    Equal to a tuple of the same attempts; an attempt is made when it is looked at, and most never are.
    """

    __slots__ = ("rows",)

    def __init__(self, rows: range) -> None:
        self.rows = rows
        """Their positions."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Attempt]:
        return map(Attempt, self.rows)

    @overload
    def __getitem__(self, at: int) -> Attempt: ...
    @overload
    def __getitem__(self, at: slice) -> FirstAttempts: ...
    def __getitem__(self, at: int | slice) -> Attempt | FirstAttempts:
        return FirstAttempts(self.rows[at]) if isinstance(at, slice) else Attempt(self.rows[at])

    def __eq__(self, other: object) -> bool:
        return tuple(self) == other  # which asks the other, where that is such a one as well

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"FirstAttempts({self.rows})"


class MailboxShare(NamedTuple):
    """The rows of one mailbox in a batch."""

    mailbox: int
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True)
class Batch:
    """One POST to ``$batch``. Sub-requests are numbered through the shares, in order, from 0: their ids on the wire."""

    number: int
    client_request_id: str
    shares: tuple[MailboxShare, ...]
    lane: bool = False
    """Whether it is a lane: each sub-request depends on the one before it, and all are of one mailbox."""

    @property
    def size(self) -> int:
        """Sub-requests in it, 1 to 20."""
        return sum([len(share.attempts) for share in self.shares])


NOT_FROM_GRAPH = "NotFromGraph"
"""The code of an answer that is not Graph's, in place of Graph's own codes."""


class Reply(NamedTuple):
    """What Graph said to one sub-request (or, without sub-responses, to the whole batch).

    ``status`` is the HTTP status, ``code`` and ``message`` those of ``error`` (empty where absent), ``retry_after_s`` the
    wait asked for in seconds or None. Where somebody between here and Graph said it instead, the code is `NOT_FROM_GRAPH` and the
    message says who, as far as it shows. ``body`` is what was found, as JSON, where it went well and the operation keeps it.
    """

    status: int
    code: str = ""
    message: str = ""
    retry_after_s: float | None = None
    body: bytes = b""

    @property
    def from_graph(self) -> bool:
        """Whether Graph said it, or nobody did."""
        return self.code != NOT_FROM_GRAPH


PURGED_REPLY = Reply(204)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a batch.

    ``outer`` is the call's own status, error and wait. ``replies`` maps the index of a sub-request to what was said of it; an
    index that is missing got no answer, and one for which two different answers came has None. It is None when the answer
    held no sub-responses at all, so that ``outer`` speaks for the whole batch. ``waits`` are the seconds that throttled
    sub-responses asked for by index, kept apart so that a wait is honoured even where another answer contradicts it. ``claims``
    is what a refused token must hold (continuous access evaluation), as JSON for the login, or empty.
    """

    outer: Reply
    replies: dict[int, Reply | None] | None
    request_id: str = ""
    waits: dict[int, float] = field(default_factory=dict)
    claims: str = ""
