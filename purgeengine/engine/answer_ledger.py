"""A ledger in memory for read jobs. It keeps the answers, and which mailboxes must wait, and until when.

Nothing of it outlives the process, because a read job changes nothing. A later read job asks Graph again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from math import inf

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.graph.verdicts import Verdict, judge_batch, may_still_run
from purgeengine.core.messages import (
    BatchEnded,
    BatchSent,
    Entry,
    MailboxBlocked,
    MailboxClosed,
    MailboxOpened,
    Returned,
    RunBlocked,
    Settled,
)
from purgeengine.core.model import FolderRows, Item, Reply
from purgeengine.engine.ports import Clock
from purgeengine.errors import RunStopped

ROWS_MAX = 2_000
"""The most rows of one job: a hundred batches, and about half a minute. Longer lists are read in several jobs."""
BODY_BYTES_MAX = 64 * 2**20
"""The most bytes of bodies that one job keeps. A user has 150 bytes, and a page of a thousand contacts about a million."""


class GraphWaits:
    """Until when Graph wants no requests, over several jobs: an instant for each mailbox, and one for the whole app.

    A mailbox whose read was lost waits as well, because Graph may still be running that read when the next job begins. Instants
    are monotonic seconds. A mailbox is known by the key that all spellings of its name share (`mailbox_key`). Memory grows with the
    number of mailboxes that must wait.
    """

    def __init__(self) -> None:
        self._of_mailbox: dict[str, float] = {}
        self._of_app = -inf

    def block(self, key: str, until: float) -> None:
        """Send nothing to the mailbox ``key`` before ``until``. A shorter wait never replaces a longer one."""
        self._of_mailbox[key] = max(until, self._of_mailbox.get(key, -inf))

    def block_app(self, until: float) -> None:
        """Send nothing at all before ``until``. A shorter wait never replaces a longer one."""
        self._of_app = max(until, self._of_app)

    def left_s(self, user: str, now: float) -> float:
        """Return the seconds left of the wait of a user's mailbox; 0 if there is none."""
        return max(0.0, self._of_mailbox.get(mailbox_key(user), -inf) - now)

    def app_left_s(self, now: float) -> float:
        """Return the seconds left of the wait of the whole app; 0 if there is none."""
        return max(0.0, self._of_app - now)


class AnswerLedger:
    """Remembers the replies of one read job. It keeps no outcomes, because their names fit a purge only.

    Graph may run a call whose answer was lost for ``cooldown_s`` seconds after its sending.
    """

    def __init__(self, rows: Sequence[Item], waits: GraphWaits, clock: Clock, *, cooldown_s: float) -> None:
        assert len(rows) <= ROWS_MAX, f"{len(rows)} rows in one read job"
        self._rows = rows
        self._waits = waits
        self._clock = clock
        self._cooldown_s = cooldown_s
        self._sent_at: dict[int, float] = {}
        self._runs_until = -inf
        by_mailbox: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            by_mailbox.setdefault(mailbox_key(row.user), []).append(number)
        self._keys = list(by_mailbox)
        self._number_at = [number for numbers in by_mailbox.values() for number in numbers]
        """The row at each position. Rows of one mailbox are neighbours."""
        self._ranges: list[range] = []
        for numbers in by_mailbox.values():
            first = self._ranges[-1].stop if self._ranges else 0
            self._ranges.append(range(first, first + len(numbers)))
        self._replies: dict[int, Reply] = {}
        self._body_bytes = 0
        self._outer = Reply(0)
        self.refused_batch: Reply | None = None
        """What Graph answered to a batch of a single row that it refused as a whole; None if there was none."""
        self.trouble: RunStopped | None = None
        """Why the job should stop although all was kept: the bodies exceed `BODY_BYTES_MAX`. None if they do not."""

    def mailboxes(self) -> Iterator[MailboxOpened]:
        """Yield all mailboxes in the order of their first rows, with what is left of their waits."""
        for number, (key, rows) in enumerate(zip(self._keys, self._ranges, strict=True)):
            left_s = self._waits.left_s(key, self._clock.monotonic())
            yield MailboxOpened(number, rows.start, rows.stop, blocked_for_s=left_s)

    def folder_rows(self, runs: Iterable[range]) -> list[FolderRows]:
        """Return the rows at these positions, in their order, grouped by folder."""
        rows = [self._rows[self._number_at[position]] for run in runs for position in run]
        folders = groupby(rows, key=lambda row: (row.user, row.folder))
        return [FolderRows(user, folder, [row.contact for row in some]) for (user, folder), some in folders]

    def user_of(self, mailbox: int) -> str:
        """Return the name of a mailbox, for messages."""
        return self._rows[self._number_at[self._ranges[mailbox].start]].user

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Keep the entries. ``at_utc_ms`` is ignored, because nothing is kept for another process."""
        now = self._clock.monotonic()
        for entry in entries:
            match entry:
                case BatchSent():
                    self._sent_at[entry.batch] = now
                case BatchEnded():
                    self._outer = Reply(entry.status or 0)
                    over_at = self._sent_at.pop(entry.batch, now) + self._cooldown_s
                    self._runs_until = over_at if entry.status is None or may_still_run(entry.status) else -inf
                case Returned():
                    self._hold_back(entry)
                case Settled():
                    self._hold_back(entry)
                    for position in range(entry.position, entry.position + entry.rows):
                        self._keep(position, entry.reply)
                    if entry.reply.status == self._outer.status and judge_batch(entry.reply) is Verdict.REFUSED:
                        self.refused_batch = entry.reply
                case MailboxClosed():
                    for position in self._ranges[entry.mailbox]:
                        if position not in self._replies:
                            self._keep(position, entry.reply)
                case MailboxBlocked():
                    self._waits.block(self._keys[entry.mailbox], now + entry.for_s)
                case RunBlocked():
                    self._waits.block_app(now + entry.for_s)

    def replies(self) -> list[Reply | None]:
        """Return the last reply to each row, in the order of the rows given; None for a row without an answer."""
        found: list[Reply | None] = [None] * len(self._rows)
        for position, reply in self._replies.items():
            found[self._number_at[position]] = reply
        return found

    def _hold_back(self, entry: Returned | Settled) -> None:
        """Make the mailbox of a row in doubt wait for the next job, if Graph may still be running the batch that ended last."""
        if entry.in_doubt and self._runs_until > -inf:
            mailbox = bisect_right(self._ranges, entry.position, key=lambda rows: rows.start) - 1
            self._waits.block(self._keys[mailbox], self._runs_until)

    def _keep(self, position: int, reply: Reply) -> None:
        self._replies[position] = reply
        self._body_bytes += len(reply.body)
        if self._body_bytes > BODY_BYTES_MAX and self.trouble is None:
            self.trouble = RunStopped(
                f"Graph's answers are longer than the {BODY_BYTES_MAX // 2**20} MiB that are kept in memory. Nothing was changed. "
                "Ask for fewer at once."
            )
