"""The nouns: rows, attempts, batches, replies, outcomes. They are values: nothing changes them once they are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, overload


class Outcome(StrEnum):
    """What finally became of a row. Every row of an input gets exactly one outcome, once. The names are a contract."""

    PURGED = "purged"
    """Graph answered 204; or the contact was gone after an attempt of ours whose answer was lost."""
    ABSENT = "absent"
    """The contact was not found, and no earlier attempt can have deleted it: it was gone already, or its id has changed."""
    REFUSED = "refused"
    """Graph refused the row for good."""
    EXHAUSTED = "exhausted"
    """The row still failed after every allowed attempt. It is in doubt if an attempt may have deleted the contact."""
    INVALID = "invalid"
    """Never sent, because the row itself is wrong."""
    DUPLICATE = "duplicate"
    """Never sent, because an earlier row names the same contact of the same mailbox."""
    SKIPPED = "skipped"
    """Never sent, because its mailbox was closed or a filter left it out."""

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


WORTH_RETRYING = frozenset(outcome for outcome in Outcome if outcome.worth_retrying)
"""The outcomes of the rows that a retry takes unless it is told others: refused, exhausted and skipped."""


class Item(NamedTuple):
    """A valid row, as Graph will be asked for it.

    ``folder`` is empty for a contact addressed through its mailbox alone; ``contact`` too where the operation names no item.
    """

    user: str
    folder: str
    contact: str


class FolderRows(NamedTuple):
    """Valid rows of one folder of one mailbox, in the order of sending. They differ only in the contact."""

    user: str
    folder: str
    contacts: Sequence[str]


class Attempt(NamedTuple):
    """One sending of one row.

    - ``position`` is the row's place in the order of sending, where the rows of a mailbox are neighbours.
    - ``number`` counts the sendings of this row, including this one.
    - ``failures`` counts the earlier sendings that ended in a fault of the service. Their number is limited.
    - ``in_doubt`` is true if an earlier sending may have been carried out although no answer said so.
    """

    position: int
    number: int = 1
    failures: int = 0
    in_doubt: bool = False


class FirstAttempts(Sequence[Attempt]):
    """The first attempts of neighbouring rows, none of them in doubt. Nearly all rows are sent so.

    It equals a tuple of the same attempts. An `Attempt` is made only when somebody looks at it.
    """

    __slots__ = ("rows",)

    def __init__(self, rows: range) -> None:
        self.rows = rows
        """The positions of the rows."""

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
        return tuple(self) == other  # compares with the other one's own method, if that is a `FirstAttempts` too

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
        """The number of sub-requests, 1 to 20."""
        return sum([len(share.attempts) for share in self.shares])


NOT_FROM_GRAPH = "NotFromGraph"
"""Stands in place of Graph's error code if the answer is not Graph's."""


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
        """False if somebody between here and Graph answered."""
        return self.code != NOT_FROM_GRAPH


PURGED_REPLY = Reply(204)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a batch.

    - ``outer`` is the call's own status, error and wait.
    - ``replies`` maps the index of a sub-request to its reply. A missing index got no reply; None means that two
      different replies came. If ``replies`` itself is None, there were no sub-responses, and ``outer`` counts for the
      whole batch.
    - ``request_id`` is Graph's id of the call.
    - ``waits`` are the seconds that throttled sub-responses asked for, by index. They are kept apart, so that a wait
      is respected even if another reply contradicts it.
    - ``claims`` is what a new token must contain (continuous access evaluation), as JSON for the login, or empty.
    """

    outer: Reply
    replies: dict[int, Reply | None] | None
    request_id: str = ""
    waits: dict[int, float] = field(default_factory=dict)
    claims: str = ""
