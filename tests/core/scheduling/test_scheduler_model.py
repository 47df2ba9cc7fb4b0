"""The scheduler is compared with a small model of what it may do, over random histories.

1. Every row is settled at most once, by a batch that had it, and is never sent again after that.
2. A batch is recorded before it leaves. No mailbox has more than four rows in flight or held by lost calls, each held until
   the end of the cooldown or until its answer comes (lanes: `tests/core/scheduling/test_mailbox_slots.py`).
3. Nothing leaves before the end of a wait that Graph asked for, while a token is awaited, or after a halt.
4. No mailbox is sent more requests than its limit in any request window, counted from the answers.
5. Purged means a 204, or gone after a doubt. Absent means gone without a doubt. A doubt is kept to the end.
   A late answer settles the rows that are gone by it and wait, and no others. Its own loss is no doubt about them.
6. When the faults stop, the rest is done in a bounded number of steps, and every row has its outcome.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from itertools import count
from math import inf

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from purgeengine.core.graph.verdicts import Verdict, judge, judge_batch
from purgeengine.core.messages import (
    Abandon,
    BatchEnded,
    BatchSent,
    Command,
    Event,
    GivenUp,
    Halt,
    InputEnded,
    MailboxClosed,
    MailboxOpened,
    Record,
    RenewToken,
    Returned,
    Send,
    Settled,
    TokenRenewed,
)
from purgeengine.core.model import Batch, Outcome, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits
from tests.support.fixtures import answer, lost, positions, refusal
from tests.support.fixtures import entries as entries_of
from tests.support.properties import examples

COOLDOWN_S = 20.0
LIMITS = Limits(
    connections=3,
    fanout=4,
    lanes=False,
    mailbox_requests=10,
    mailbox_window_s=60.0,
    outage_s_max=inf,
    quarantine_s=COOLDOWN_S,
    quarantine_s_min=COOLDOWN_S,
)
WAITS = st.none() | st.sampled_from([0.0, 0.249, 7.0, 200.0])
GONE = Reply(404, "ErrorItemNotFound", "Not found.")
DENIED = Reply(403, "ErrorAccessDenied", "Denied.")
ITEM_REPLIES = (
    st.just(Reply(204))
    | st.sampled_from([GONE, Reply(400, "Bad"), Reply(404), Reply(424), Reply(401, "InvalidAuthenticationToken")])
    | st.builds(Reply, st.sampled_from([429, 500, 503, 409]), st.just("x"), st.just("MailboxConcurrency"), WAITS)
    | st.none()
)
STEPS_TO_FINISH = 3_000


class SchedulerModel(RuleBasedStateMachine):
    """Gives the scheduler the events of a hostile service, and checks every command against what is known."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(LIMITS, random.Random(1))
        self.now = 0.0
        self.opened: dict[int, range] = {}
        self.outcome: dict[int, Outcome] = {}
        self.sendings: Counter[int] = Counter()
        self.doubt: set[int] = set()
        self.closed: set[int] = set()
        self.flying: dict[int, Batch] = {}
        self.sent_at: dict[int, float] = {}
        self.late: dict[int, Batch] = {}
        """Batches that were given up and whose answer may still come."""
        self.held: dict[int, tuple[float, Batch]] = {}
        """Lost batches that the service may still be running, each with the end of its cooldown."""
        self.blocked_until: defaultdict[int | None, float] = defaultdict(lambda: -inf)  # None stands for the run
        self.seen: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        self.token_awaited = self.halted = self.ended = False
        self.numbers = count()

    # ------------------------------------------------------------------------------------------------- what may happen

    @precondition(lambda self: not self.ended and self.scheduler.room)
    @rule(rows=st.integers(1, 25))
    def open_mailbox(self, rows: int) -> None:
        number = next(self.numbers)
        first = sum(map(len, self.opened.values()))
        self.opened[number] = range(first, first + rows)
        self.tell(MailboxOpened(number, first, first + rows))

    @rule(seconds=st.sampled_from([0.0, 0.04, 1.0, 30.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.tell()

    @precondition(lambda self: self.scheduler.wake_at() is not None)
    @rule()
    def it_wakes(self) -> None:
        self.now = max(self.now, self.scheduler.wake_at() or 0.0)
        self.tell()

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), wait=WAITS, closes=st.integers(0, 19))
    def graph_answers(self, data: st.DataObject, wait: float | None, closes: int) -> None:
        batch = self.take(data)
        replies = data.draw(st.lists(ITEM_REPLIES, min_size=batch.size, max_size=batch.size))
        if closes == 0:
            replies[0] = DENIED
        for position, reply in zip(positions(batch), replies, strict=True):
            if reply is None or judge(reply) is Verdict.FAULT:
                self.doubt_after(position)
        event = answer(batch, *replies, outer=Reply(200, retry_after_s=wait if closes == 1 else None))
        self.heed(batch, replies, event.answer.outer)
        self.tell(event, ended=(batch, dict(zip(positions(batch), replies, strict=True))))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), status=st.sampled_from([400, 401, 408, 413, 424, 429, 500, 502, 503, 504]), wait=WAITS)
    def graph_refuses_a_call(self, data: st.DataObject, status: int, wait: float | None) -> None:
        batch = self.take(data)
        outer = Reply(status, "x", "", wait)
        verdict = judge_batch(outer)
        if verdict is Verdict.FAULT:
            self.lose(batch)
        self.heed(batch, [], outer if verdict in (Verdict.FAULT, Verdict.THROTTLED) else Reply(status))
        refused = outer if verdict is Verdict.REFUSED and batch.size == 1 else None
        self.tell(refusal(batch, status, "x", wait=wait), ended=(batch, dict.fromkeys(positions(batch), refused)))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), sent=st.booleans())
    def no_answer_comes(self, data: st.DataObject, sent: bool) -> None:
        batch = self.take(data, arrived=sent)
        if sent:
            self.lose(batch)
        else:
            self.sendings.subtract(positions(batch))
        self.tell(lost(batch, sent=sent), ended=(batch, dict.fromkeys(positions(batch))))

    @precondition(lambda self: self.late)
    @rule(data=st.data(), wait=WAITS)
    def graph_answers_late(self, data: st.DataObject, wait: float | None) -> None:
        batch = self.late.pop(data.draw(st.sampled_from(sorted(self.late))))
        self.held.pop(batch.number, None)
        replies = data.draw(st.lists(ITEM_REPLIES, min_size=batch.size, max_size=batch.size))
        event = answer(batch, *replies, outer=Reply(200, retry_after_s=wait))
        self.heed(batch, [reply if reply and reply.status == 429 else None for reply in replies], event.answer.outer)
        flying = {position for other in self.flying.values() for position in positions(other)}
        expected: dict[int, Outcome] = {}
        for share in batch.shares:
            for attempt in share.attempts:
                reply = replies[positions(batch).index(attempt.position)]
                waits = attempt.position not in flying and attempt.position not in self.outcome
                if waits and reply in (GONE, Reply(204)):
                    doubted = attempt.in_doubt or self.sendings[attempt.position] > attempt.number
                    gone = Outcome.PURGED if doubted else Outcome.ABSENT
                    expected[attempt.position] = Outcome.PURGED if reply == Reply(204) else gone
        self.tell(event, late=(batch.number, expected))
        assert {position: self.outcome.get(position) for position in expected} == expected

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def no_late_answer_comes(self, data: st.DataObject) -> None:
        self.tell(lost(self.late.pop(data.draw(st.sampled_from(sorted(self.late))))))

    @precondition(lambda self: self.token_awaited)
    @rule()
    def a_token_comes(self) -> None:
        self.token_awaited = False
        self.tell(TokenRenewed())

    # ------------------------------------------------------------------------------------------------- the model

    def take(self, data: st.DataObject, *, arrived: bool = True) -> Batch:
        """End a batch in flight; its requests leave the request window later."""
        batch = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        if arrived:
            for share in batch.shares:
                self.seen[share.mailbox].append((self.now, len(share.attempts)))
        return batch

    def lose(self, batch: Batch) -> None:
        """Lose a batch: every row is in doubt, and the service may still be working on it."""
        for position in positions(batch):
            self.doubt_after(position)
        self.held[batch.number] = (self.sent_at[batch.number] + COOLDOWN_S, batch)

    def doubt_after(self, position: int) -> None:
        self.doubt.add(position)

    def heed(self, batch: Batch, replies: list[Reply | None], outer: Reply) -> None:
        """Note every wait that was asked for."""
        if outer.retry_after_s is not None:
            self.block(None, outer.retry_after_s)
        owners = [share.mailbox for share in batch.shares for _ in share.attempts]
        for mailbox, reply in zip(owners, replies, strict=False):
            if reply is not None and reply.status in (429, 500, 503) and reply.retry_after_s is not None:
                self.block(mailbox, reply.retry_after_s)

    def block(self, whom: int | None, for_s: float) -> None:
        self.blocked_until[whom] = max(self.blocked_until[whom], self.now + for_s)

    def tell(
        self,
        *events: Event,
        ended: tuple[Batch, dict[int, Reply | None]] | None = None,
        late: tuple[int, dict[int, Outcome]] | None = None,
    ) -> None:
        """Give the scheduler the events and judge its commands.

        ``ended`` is the batch that ends by the events, with its replies. ``late`` is a batch that had been given up, with the
        rows that its answer settles.
        """
        commands = self.scheduler.handle(*events, now=self.now)
        results = dict([] if ended is None else [(ended[0].number, ended)])
        for command in commands:
            if isinstance(command, GivenUp):
                batch = self.flying.pop(command.batch)
                self.late[batch.number] = batch
                for share in batch.shares:
                    self.seen[share.mailbox].append((self.now, len(share.attempts)))
                self.lose(batch)
                results[batch.number] = (batch, dict.fromkeys(positions(batch)))
            elif isinstance(command, Abandon):
                del self.late[command.batch]
        assert len(self.late) <= LIMITS.connections
        entries = entries_of(commands)
        self.judge_entries([entry for entry in entries if not isinstance(entry, BatchSent)], results, late)
        recorded: set[int] = set()
        for command in commands:
            self.judge_command(command, recorded)

    def judge_entries(
        self,
        entries: list[object],
        results: dict[int, tuple[Batch, dict[int, Reply | None]]],
        late: tuple[int, dict[int, Outcome]] | None,
    ) -> None:
        fates = [entry.position for entry in entries if isinstance(entry, Settled | Returned)]
        assert len(set(fates)) == len(fates), "a row has two fates"
        ended = {entry.batch for entry in entries if isinstance(entry, BatchEnded)}
        assert ended == set(results) | ({late[0]} if late else set())
        for batch, _ in results.values():
            assert set(fates) >= set(positions(batch)), "a row of the batch has no fate"
        for entry in entries:
            if isinstance(entry, Settled):
                self.judge_settled(entry, results, late)
            elif isinstance(entry, Returned):
                assert entry.position not in self.outcome
                assert entry.in_doubt == (entry.position in self.doubt)
                assert entry.number == self.sendings[entry.position]
            elif isinstance(entry, MailboxClosed):
                self.judge_closed(entry)

    def judge_settled(
        self,
        entry: Settled,
        results: dict[int, tuple[Batch, dict[int, Reply | None]]],
        late: tuple[int, dict[int, Outcome]] | None,
    ) -> None:
        assert entry.position not in self.outcome, "settled twice"
        assert entry.attempts == self.sendings[entry.position]
        self.outcome[entry.position] = entry.outcome
        if late is not None and entry.batch == late[0]:
            assert entry.outcome == late[1][entry.position], "a late answer settled another row, or otherwise"
            return
        assert results
        replies: dict[int, Reply | None] = {}
        if entry.batch:
            batch, replies = results[entry.batch]
            assert entry.position in positions(batch), "settled by a batch that had it not"
        reply = replies.get(entry.position)
        doubted = entry.position in self.doubt
        never_left = self.sendings[entry.position] == 0  # decided on, and its mailbox was closed before it was sent
        assert (entry.outcome is Outcome.SKIPPED) == never_left
        if entry.outcome is Outcome.PURGED:
            assert reply is not None
            assert reply.status == 204 or (reply == GONE and doubted)
        elif entry.outcome is Outcome.ABSENT:
            assert reply == GONE
            assert not doubted
        else:
            assert entry.in_doubt == doubted, "a doubt was lost"

    def judge_closed(self, entry: MailboxClosed) -> None:
        assert entry.mailbox not in self.closed
        self.closed.add(entry.mailbox)
        never_sent = [position for position in self.opened[entry.mailbox] if position not in self.outcome]
        assert [self.sendings[position] for position in never_sent] == [0] * entry.skipped
        self.outcome.update(dict.fromkeys(never_sent, Outcome.SKIPPED))

    def judge_command(self, command: Command, recorded: set[int]) -> None:
        match command:
            case Record():
                recorded |= {entry.batch for entry in command.entries if isinstance(entry, BatchSent)}
            case RenewToken():
                assert not self.token_awaited
                self.token_awaited = True
            case Halt():
                assert not self.halted
                self.halted = True
            case Send():
                assert command.batch.number in recorded, "sent before it was recorded"
                self.judge_sent(command.batch)

    def judge_sent(self, batch: Batch) -> None:
        assert not self.halted
        assert not self.token_awaited
        assert self.now >= self.blocked_until[None], "sent although the run had to wait"
        assert len(self.flying) < LIMITS.connections
        assert 1 <= batch.size <= LIMITS.batch_items_max
        taken = Counter[int]()
        for other in self.flying.values():
            taken.update({share.mailbox: len(share.attempts) for share in other.shares})
        for until, other in self.held.values():
            if until > self.now:
                taken.update({share.mailbox: len(share.attempts) for share in other.shares})
        for share in batch.shares:
            assert taken[share.mailbox] + len(share.attempts) <= LIMITS.mailbox_concurrent_max, "over four at once"
            assert share.mailbox not in self.closed
            assert self.now >= self.blocked_until[share.mailbox], "sent although the mailbox had to wait"
            assert share.attempts
            since = self.now - LIMITS.mailbox_window_s
            recent = sum(rows for at, rows in self.seen[share.mailbox] if at > since)
            assert recent + len(share.attempts) <= LIMITS.mailbox_requests, "over the limit of the window"
            for attempt in share.attempts:
                assert attempt.position in self.opened[share.mailbox]
                assert attempt.position not in self.outcome, "sent although it was settled"
                assert attempt.in_doubt == (attempt.position in self.doubt)
                self.sendings[attempt.position] += 1
                assert attempt.number == self.sendings[attempt.position]
        assert len(set(positions(batch))) == batch.size
        self.flying[batch.number] = batch
        self.sent_at[batch.number] = self.now
        assert self.scheduler.may_leave(batch.number, self.now)

    # ------------------------------------------------------------------------------------------------- and the end of it

    def teardown(self) -> None:
        """End the faults and answer everything with 204; the job must then finish."""
        self.ended = True
        self.tell(InputEnded())
        for _ in range(STEPS_TO_FINISH):
            if self.scheduler.finished:
                break
            if self.token_awaited:
                self.token_awaited = False
                self.tell(TokenRenewed())
            elif self.flying:
                batch = self.flying.pop(min(self.flying))
                for share in batch.shares:
                    self.seen[share.mailbox].append((self.now, len(share.attempts)))
                self.tell(answer(batch), ended=(batch, dict.fromkeys(positions(batch), Reply(204))))
            else:
                at = self.scheduler.wake_at()
                assert at is not None, "nothing is in flight and nothing will ever happen"
                self.now = max(self.now, at)
                self.tell()
        assert self.scheduler.finished
        if not self.halted:
            assert set(self.outcome) == {position for rows in self.opened.values() for position in rows}


TestSchedulerModel = SchedulerModel.TestCase
TestSchedulerModel.settings = examples(60, stateful_step_count=50)
