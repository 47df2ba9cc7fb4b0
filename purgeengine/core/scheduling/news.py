"""What the replies of one batch say, as values: about the run, and about one mailbox."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from purgeengine.core.model import Attempt, Reply


class Blame(Enum):
    """What a 401 for a single row is about: the token or the mailbox."""

    OLD_TOKEN = "the row left with an older token, or a renewal is under way: send it again"  # noqa: S105 - no secret
    TOKEN = "the token may have expired: renew it"  # noqa: S105 - no secret
    UNSETTLED = "unknown: nothing has gone through with the fresh token yet"
    MAILBOX = "the mailbox: other mailboxes accept the fresh token"


class RunNews(NamedTuple):
    """What the end of one batch says about the run."""

    went_through: bool = False
    """True if any reply shows that the token and the service work."""
    proven: bool = False
    """True if a row was purged or found gone, so that its token is good."""
    token_refused: Reply | None = None
    """The last reply that makes a renewal of the token due."""
    app_refused: Reply | None = None
    """The last reply that refuses the app as a whole."""
    no_such_action: Reply | None = None
    """The last reply that says that the endpoint does not know the operation."""
    throttled: tuple[int, ...] = ()
    """Rows that were too fast (429), for each mailbox of the batch in order. Empty if there were none."""
    unsent: int = 0
    """Rows of a lane that were not tried, because a row before them broke the lane."""
    unanswered: int = 0
    """Rows of a call that got no answer."""


class MailboxNews(NamedTuple):
    """What the replies of one batch say about one mailbox."""

    rows: int
    """Rows of the mailbox in the batch."""
    unsent: int = 0
    """The rows among them that were not tried, because their lane broke."""
    good: int = 0
    """Rows that were purged or found gone."""
    done: int = 0
    """The rows among them that were purged. Any other row breaks a lane."""
    gone_in_doubt: int = 0
    """The rows among them that were in doubt and found gone. They say nothing about other rows, and whether lanes break."""
    known: int = 0
    """Rows that were refused for a reason that is known to be about the row."""
    unknown: tuple[Reply, ...] = ()
    """Refusals for a reason that is in no table."""
    closed: Reply | None = None
    """The last reply that says that the mailbox cannot be served."""
    throttled: int = 0
    """Rows that were too fast (429)."""
    app_too_fast: bool = False
    """True if the rate of the whole app, and not the mailbox, is to blame for those rows."""
    concurrency: bool = False
    """True if one of those rows was refused because of too many requests at once."""
    held_back: bool = False
    """True if a reply asked the mailbox to wait for minutes."""
    wait_s: float = 0.0
    """Seconds for which the mailbox must wait; 0 if no reply asked for a wait."""
    trouble: Reply | None = None
    """The last reply that spoke of trouble: too fast, held back, a fault, not reached, not attempted, or unclear."""
    faulty: bool = False
    """True if a reply left its row in doubt, or if the mailbox was not reached."""
    unclear: bool = False
    """True if a reply refused its row for a reason that may be temporary."""
    unauthorized: Reply | None = None
    """The last 401."""
    blame: Blame | None = None
    """What that 401 is about; None without a 401."""
    returned: tuple[tuple[float, Attempt], ...] = ()
    """Rows to be sent again, each with the instant from which it may be sent (monotonic seconds)."""

    @property
    def tried(self) -> int:
        """Rows that reached the mailbox."""
        return self.rows - self.unsent
