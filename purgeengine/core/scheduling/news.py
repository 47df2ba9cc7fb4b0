"""What the replies of one batch say, as values: about the run, and about one mailbox."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from purgeengine.core.model import Attempt, Reply


class Blame(Enum):
    """Whose a 401 for a single row is."""

    OLD_TOKEN = "the token is being replaced, or has been: send again"  # noqa: S105 - no secret
    TOKEN = "the token may have ended: renew it"  # noqa: S105 - no secret
    UNSETTLED = "the fresh token has not let anything through yet"
    MAILBOX = "the fresh token lets other mailboxes through"


class RunNews(NamedTuple):
    """What the end of one batch says about the run."""

    went_through: bool = False
    """Whether any reply shows that the token and the service work."""
    proven: bool = False
    """Whether a row was purged or found gone, so that its token is good."""
    token_refused: Reply | None = None
    app_refused: Reply | None = None
    no_such_action: Reply | None = None
    throttled: tuple[int, ...] = ()
    """Rows that were too fast, for each mailbox of the batch in order; empty where none was."""
    unsent: int = 0
    """Rows of a lane that were not tried, because one before them broke it."""
    unanswered: int = 0
    """Rows whose call brought no answer to them."""


class MailboxNews(NamedTuple):
    """What the replies of one batch say about one mailbox."""

    rows: int
    """Rows of the mailbox in the batch."""
    unsent: int = 0
    """Those of them that were not tried, in a lane that broke."""
    good: int = 0
    """Rows that were purged or found gone."""
    known: int = 0
    """Rows refused for a reason that is their own."""
    unknown: tuple[Reply, ...] = ()
    """Refusals for a reason that is in no table."""
    closed: Reply | None = None
    """The last reply that says that the mailbox cannot be served."""
    throttled: int = 0
    """Rows that were too fast."""
    concurrency: bool = False
    """Whether one of those was refused because of too many requests at once."""
    held_back: bool = False
    """Whether a reply asked the mailbox to wait for minutes."""
    wait_s: float = 0.0
    """Seconds for which the mailbox must wait; 0 where nobody asked for it."""
    trouble: Reply | None = None
    """The last reply that spoke of trouble, or was not clear."""
    faulty: bool = False
    """Whether a row is in doubt afterwards, or the mailbox was not reached."""
    unclear: bool = False
    unauthorized: Reply | None = None
    """The last 401."""
    blame: Blame | None = None
    """Whose that 401 is."""
    returned: tuple[tuple[float, Attempt], ...] = ()
    """Rows to be sent again, each with the instant from which it may be (monotonic seconds)."""

    @property
    def tried(self) -> int:
        """Rows that reached the mailbox."""
        return self.rows - self.unsent
