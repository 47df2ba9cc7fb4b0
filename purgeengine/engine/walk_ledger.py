"""A ledger for walks: each mailbox is read page by page, and an answer may make further pages necessary.

The engine opens a mailbox with the pages that are known. When all of them are answered, and their answers name more pages, the
mailbox is opened again with those, before any new mailbox. One and the same scheduler bounds all of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.graph.verdicts import Verdict, judge_batch, may_still_run
from purgeengine.core.inventory.mailbox_walk import MailboxWalk, Page
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
from purgeengine.core.model import FolderRows, Reply
from purgeengine.engine.answer_ledger import GraphWaits
from purgeengine.engine.ports import Clock
from purgeengine.errors import PurgeEngineError

WALKS_MAX = 1_000
"""Mailboxes that are read at once."""
HELD_MAX = 50_000
"""Wanted contacts in memory, about 1 KB each, above which no further mailbox is begun.

Those of a mailbox are held until it is done, so the mailboxes that have been begun may exceed it."""


@dataclass
class _Walking:
    """A mailbox that is being read: its pages that wait, and its pages that the scheduler has, by position."""

    number: int
    walk: MailboxWalk
    waiting: list[Page] = field(default_factory=list)
    pages: dict[int, Page] = field(default_factory=dict)
    """The pages with the scheduler that have no answer yet, by position."""
    sent: set[int] = field(default_factory=set)
    """The positions of this opening that have left at least once. Each of them gets a `Settled` of its own."""
    recent: deque[tuple[float, int]] = field(default_factory=deque)
    """When requests left in the last window, and how many."""


class WalkLedger:
    """Feeds an engine with the pages of walks, and gives every answer to its walk.

    ``mailboxes`` are (number, walk), taken when there is room. ``on_done`` gets each mailbox that was read or could not be,
    with its number; it is awaited before the engine goes on, so that what is done stays done. ``on_wait`` gets each wait that must
    outlive the process. If the answer to a call is lost, Graph may still be running that call until ``cooldown_s`` seconds after
    its sending. Graph counts requests over ``window_s`` seconds.
    """

    def __init__(
        self,
        mailboxes: Iterator[tuple[int, MailboxWalk]],
        on_done: Callable[[int, MailboxWalk], Awaitable[None]],
        waits: GraphWaits,
        clock: Clock,
        *,
        cooldown_s: float,
        window_s: float,
        on_wait: Callable[[str, float], None] = lambda key, for_s: None,
    ) -> None:
        self._mailboxes = mailboxes
        self._on_done = on_done
        self._on_wait = on_wait
        self._waits = waits
        self._clock = clock
        self._cooldown_s = cooldown_s
        self._window_s = window_s
        self._walking: set[int] = set()
        self._ready: deque[_Walking] = deque()
        self._openings: dict[int, tuple[range, _Walking]] = {}
        """The mailboxes with the scheduler, by the number under which each was opened; numbers and positions only rise."""
        self._starts: list[tuple[int, int]] = []
        self._opened = 0
        self._held = 0
        self._position = 0
        self._sent_at: dict[int, float] = {}
        self._runs_until = -inf
        self._outer = Reply(0)
        self.refused_batch: Reply | None = None
        """What Graph answered to a batch that it refused as a whole, if a row got that as its last answer."""
        self.trouble: PurgeEngineError | None = None
        """Why the walks should stop although all was kept; None if they should not."""
        self.pages_read = 0
        """Pages that were answered for good."""

    def openings(self) -> Iterator[MailboxOpened | None]:
        """Yield mailboxes to open: None while all that is known is with the scheduler. It ends when every mailbox is done."""
        while True:
            if not self._ready and len(self._walking) < WALKS_MAX and (self._held < HELD_MAX or not self._walking):
                self._take_next()
            if self._ready:
                yield self._open(self._ready.popleft())
            elif self._walking:
                yield None
            else:
                return

    def _take_next(self) -> None:
        found = next(self._mailboxes, None)
        if found is not None:
            number, walk = found
            self._walking.add(number)
            self._ready.append(_Walking(number, walk, walk.begin()))

    def _open(self, walking: _Walking) -> MailboxOpened:
        now = self._clock.monotonic()
        positions = range(self._position, self._position + len(walking.waiting))
        walking.pages = dict(zip(positions, walking.waiting, strict=True))
        walking.waiting, walking.sent = [], set()
        number = self._opened
        self._openings[number] = positions, walking
        self._starts.append((positions.start, number))
        self._opened += 1
        self._position = positions.stop
        while walking.recent and walking.recent[0][0] < now - self._window_s:
            walking.recent.popleft()
        recent = tuple((now - at, rows) for at, rows in walking.recent)
        blocked_for_s = self._waits.left_s(walking.walk.user, now)
        return MailboxOpened(number, positions.start, positions.stop, blocked_for_s=blocked_for_s, recent=recent)

    def _number_of(self, position: int) -> int | None:
        """Return under which number the mailbox of a position is open. None if it is not open any more."""
        at = bisect_right(self._starts, position, key=lambda start: start[0]) - 1
        number = self._starts[at][1] if at >= 0 else None
        return number if number is not None and position in self._openings[number][0] else None

    def _page(self, position: int) -> tuple[str, str]:
        """Return the user and the url of a page that is to be sent."""
        number = self._number_of(position)
        assert number is not None, f"position {position} is in no open mailbox"
        walking = self._openings[number][1]
        return walking.walk.user, walking.pages[position].url

    def folder_rows(self, runs: Iterable[range]) -> list[FolderRows]:
        """Return the pages at these positions, in their order, by mailbox."""
        rows = [self._page(position) for run in runs for position in run]
        return [FolderRows(user, "", [url for _, url in some]) for user, some in groupby(rows, key=lambda row: row[0])]

    def user_of(self, mailbox: int) -> str:
        """Return the name of a mailbox, for messages."""
        return self._openings[mailbox][1].walk.user if mailbox in self._openings else ""

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Give the answers to the walks, and end those that are done."""
        now = self._clock.monotonic()
        touched: dict[int, None] = {}
        for entry in entries:
            match entry:
                case BatchSent():
                    self._sent_at[entry.batch] = now
                    for share in entry.shares:
                        walking = self._openings[share.mailbox][1]
                        walking.recent.append((now, len(share.attempts)))
                        walking.sent.update(attempt.position for attempt in share.attempts)
                case BatchEnded():
                    self._outer = Reply(entry.status or 0)
                    over_at = self._sent_at.pop(entry.batch, now) + self._cooldown_s
                    self._runs_until = over_at if entry.status is None or may_still_run(entry.status) else -inf
                case Returned():
                    self._hold_back(entry)
                case Settled():
                    self._hold_back(entry)
                    for position in range(entry.position, entry.position + entry.rows):
                        self._settle(position, entry.reply, touched)
                    if entry.reply.status == self._outer.status and judge_batch(entry.reply) is Verdict.REFUSED:
                        self.refused_batch = entry.reply
                case MailboxClosed():
                    if entry.mailbox in self._openings:
                        walking = self._openings[entry.mailbox][1]
                        walking.walk.failed(entry.reply)
                        walking.pages = {at: page for at, page in walking.pages.items() if at in walking.sent}
                        touched[entry.mailbox] = None
                case MailboxBlocked():
                    self._block(mailbox_key(self.user_of(entry.mailbox)), now, entry.for_s)
                case RunBlocked():
                    self._waits.block_app(now + entry.for_s)
                    self._on_wait("", entry.for_s)
        for number in touched:
            await self._end(number)

    def _settle(self, position: int, reply: Reply, touched: dict[int, None]) -> None:
        number = self._number_of(position)
        if number is None:
            return
        walking = self._openings[number][1]
        page = walking.pages.pop(position, None)
        touched[number] = None
        if page is not None:
            self.pages_read += 1
            held = walking.walk.held
            walking.waiting += walking.walk.answered(page, reply)
            self._held += walking.walk.held - held

    async def _end(self, number: int) -> None:
        """If all pages of an opening are answered, open the mailbox again or end it."""
        if number not in self._openings or self._openings[number][1].pages:
            return
        positions, walking = self._openings.pop(number)
        self._starts.remove((positions.start, number))
        if not walking.walk.done and walking.waiting:
            self._ready.append(walking)
            return
        self._walking.discard(walking.number)
        self._held -= walking.walk.held
        await self._on_done(walking.number, walking.walk)

    def _block(self, key: str, now: float, for_s: float) -> None:
        self._waits.block(key, now + for_s)
        self._on_wait(key, for_s)

    def _hold_back(self, entry: Returned | Settled) -> None:
        """Let a mailbox wait, when it is opened again, if Graph may still be running a lost call of that mailbox."""
        number = self._number_of(entry.position)
        if entry.in_doubt and self._runs_until > -inf and number is not None:
            self._waits.block(mailbox_key(self.user_of(number)), self._runs_until)
