"""What the replies of one batch said, gathered before it is acted on: about the run, and about one mailbox."""

from __future__ import annotations

from dataclasses import dataclass, field

from purgeengine.core.model import Attempt, Reply


@dataclass(slots=True)
class RunNews:
    """What the replies of one batch said about the run."""

    went_through: bool = False
    token_refused: Reply | None = None
    app_refused: Reply | None = None
    no_such_action: Reply | None = None
    proven: bool = False
    """Whether a row was purged or found gone, so that its token is good."""
    refused: int = 0
    """Rows that were too fast."""
    unsent: int = 0
    """Rows of a lane that were not tried, because one before them broke it."""


@dataclass(slots=True)
class MailboxNews:
    """What the replies of one batch said about one mailbox."""

    good: int = 0
    refused: int = 0
    concurrency: bool = False
    held_back: bool = False
    wait_s: float = 0.0
    closed: Reply | None = None
    known: int = 0
    """Rows refused for a reason that is their own."""
    unknown: list[Reply] = field(default_factory=list)
    trouble: Reply | None = None
    """The last reply that spoke of trouble, or was not clear."""
    faulty: bool = False
    """Whether a row of it was in doubt afterwards, or its mailbox was not reached."""
    unclear: bool = False
    unauthorized: Reply | None = None
    returned: list[tuple[float, Attempt]] = field(default_factory=list)
    """Rows to be sent again, with the instant from which they may."""
