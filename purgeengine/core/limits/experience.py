"""What a mailbox has answered so far in this run, and what that means for the mailbox as a whole.

No table of error codes is complete, and some mailboxes cannot be served at all. Three patterns are recognised:

1. *Alike*: every answered row got the same unknown refusal (status and code), and no row was ever purged or found gone.
   After `ALIKE_ROWS` rows in two answers, one after the other, the mailbox is closed. A refusal that is known to be about its
   row (a malformed id) does not count.
2. *Fruitless*: several answers in a row held only trouble, such as service errors or 429. The whole mailbox waits,
   longer each time, and after each wait at most `PROBE_ROWS` rows are sent. After a bounded number of such answers the mailbox is
   closed.
3. *Unauthorized*: 401, although the token was renewed for this reason and lets other mailboxes through. After three such
   answers the mailbox is closed.

The first and the third pattern never close a mailbox of which a row was purged or found gone in this run.
"""

from __future__ import annotations

from math import inf

from purgeengine.core.model import Reply

ALIKE_ROWS = 20
"""Rows that were refused alike before their mailbox is closed. Fewer rows may be bad luck at the beginning of a list."""
ALIKE_ANSWERS = 2
"""Answers that these rows must come in. The second answer is to rows that were sent after the first answer came."""
CONFIRM_S = 5.0
"""Seconds to wait before the last of these rows are sent, so that a short fault does not close a mailbox."""
PROBE_ROWS = 3
"""Rows that are sent to a fruitless mailbox after each wait. A single row may fail for its own reason, and more rows cost
requests."""
PROBES_BEFORE_ONE = 8
"""Fruitless answers in a row after which only one row is sent after each wait, to spare a mailbox that fails for long."""
PATIENT_ANSWERS_MAX = 30
"""Fruitless answers in a row after which a mailbox is closed even if no service error was among them, only "too fast" (429) or
"not attempted" (424). With the grown waits that takes half an hour at least."""
UNAUTHORIZED_ANSWERS = 3
"""Answers with 401 for a good token that close a mailbox. A single one may be chance."""


class Experience:
    """What one open mailbox has answered in this run.

    A *later* answer is one to rows that were sent after the last counted answer had come. Instants are monotonic seconds.
    """

    __slots__ = (
        "_alike_answers",
        "_alike_at",
        "_fruitless_at",
        "_refused_at",
        "_unauthorized_at",
        "alike",
        "faults",
        "faulty_rows",
        "fruitless",
        "signature",
        "troubled",
        "unauthorized",
        "unauthorized_once",
        "went_through",
    )

    def __init__(self) -> None:
        self.went_through = False
        """True if a row was purged or found gone in this run."""
        self.signature: tuple[int, str] | None = None
        """Status and code of the unknown refusals."""
        self.alike = 0
        """Rows that were refused with that status and code."""
        self._alike_answers = 0
        self._alike_at = -inf
        self.fruitless = 0
        """Later answers in a row that held only trouble: service errors, unclear refusals, 429 or 424."""
        self.faults = 0
        """The fruitless answers that held a service error or an unclear refusal."""
        self.faulty_rows = 0
        """Rows of all such answers, later or not, since the last progress. A row counts once for each answer."""
        self.troubled = False
        """True while the whole mailbox waits and only a few rows are sent after each wait."""
        self._fruitless_at = -inf
        self._refused_at = -inf
        self.unauthorized_once = False
        """True if a row got 401 and no row went through since."""
        self.unauthorized = 0
        """Later answers in a row with 401, for a token that other mailboxes accept."""
        self._unauthorized_at = -inf

    @property
    def rows_max(self) -> int | None:
        """The most rows of the next batch; None if the experience sets no limit."""
        if self.cautious:
            return PROBE_ROWS if self.fruitless < PROBES_BEFORE_ONE else 1
        if self.alike and not self.went_through:
            return max(1, ALIKE_ROWS - self.alike)
        return None

    @property
    def cautious(self) -> bool:
        """True while only rows that were sent before are tried; other rows wait."""
        return self.troubled or self.unauthorized_once

    @property
    def at_full_speed(self) -> bool:
        """True if the mailbox shows none of the three patterns."""
        return not self.cautious and (self.went_through or not self.alike)

    def went_well(self) -> None:
        """Record that a row was purged or found gone. All suspicions about the mailbox end."""
        self.went_through = True
        self.alike = self.unauthorized = 0
        self.unauthorized_once = False
        self.answered()

    def answered(self) -> None:
        """Record that a row of the mailbox got its outcome: the mailbox is not fruitless now."""
        self.fruitless = self.faults = self.faulty_rows = 0
        self.troubled = False

    def was_unknown(self, reply: Reply, rows: int, sent_at: float, now: float) -> None:
        """Record that ``rows`` rows of one answer got this unknown refusal. The batch left at ``sent_at``."""
        signature = (reply.status, reply.code.lower())
        if signature != self.signature:
            self.signature, self.alike, self._alike_answers, self._alike_at = signature, 0, 0, -inf
        self.alike += rows
        if sent_at >= self._alike_at:
            self._alike_answers += 1
            self._alike_at = now

    @property
    def refuses_all(self) -> bool:
        """True if enough rows were refused alike, in enough answers, to close the mailbox."""
        return not self.went_through and self.alike >= ALIKE_ROWS and self._alike_answers >= ALIKE_ANSWERS

    @property
    def to_be_confirmed(self) -> bool:
        """True if enough rows were refused alike and only a later answer is missing."""
        return not self.went_through and self.alike >= ALIKE_ROWS and self._alike_answers < ALIKE_ANSWERS

    def was_fruitless(self, rows: int, sent_at: float, now: float, *, fault: bool) -> bool:
        """Record an answer without progress for ``rows`` rows. Returns True if it is a later answer.

        ``fault`` is true for a service error or an unclear refusal, and false for 429 or 424. Only a later answer is counted.
        """
        if fault:
            self.faulty_rows += rows
        if sent_at < self._fruitless_at:
            return False
        self._fruitless_at = now
        self.fruitless += 1
        self.faults += fault
        self.troubled = self.troubled or rows > 1 or self.fruitless > 1  # the trouble may be that of a single row
        return True

    def fails_always(self, attempts_max: int) -> bool:
        """True if the mailbox must be closed for its answers.

        Answers that hold one row each say less than answers to three rows: of rows that fail by chance, several in a row are not
        rare. So the rows must be as many as ``attempts_max`` answers to `PROBE_ROWS` rows have.
        """
        faulty = self.faults >= attempts_max and self.faulty_rows >= attempts_max * PROBE_ROWS
        return faulty or self.fruitless >= PATIENT_ANSWERS_MAX

    def was_too_fast(self, sent_at: float, now: float) -> bool:
        """Record that rows were refused as too fast. Returns True if it is a later answer, so that a longer wait is due."""
        if sent_at < self._refused_at:
            return False
        self._refused_at = now
        return True

    def was_unauthorized(self, sent_at: float, now: float) -> bool:
        """Record a 401 for a token that other mailboxes accept. Returns True if the mailbox must be closed for it."""
        if sent_at >= self._unauthorized_at:
            self._unauthorized_at = now
            self.unauthorized += 1
        return not self.went_through and self.unauthorized >= UNAUTHORIZED_ANSWERS


def all_alike(rows: int, reply: Reply) -> Reply:
    """Return the reply that a mailbox is closed with if it refused its first ``rows`` rows alike, with the text of ``reply``."""
    quoted = f" It said: {reply.message}" if reply.message else ""
    return reply._replace(message=f"The mailbox refused its first {rows} rows alike and let none through.{quoted}")


def all_trouble(answers: int, reply: Reply) -> Reply:
    """Return the reply that a mailbox is closed with after ``answers`` fruitless answers in a row, with the text of ``reply``."""
    quoted = f" The last one said: {reply.message}" if reply.message else ""
    return reply._replace(message=f"{answers} answers of the mailbox in a row brought nothing.{quoted}")
