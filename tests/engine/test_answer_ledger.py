"""Tests of the ledger in memory: the order of rows and replies, and waits that outlive a job."""

from __future__ import annotations

import asyncio

import pytest

from purgeengine.core.messages import (
    BatchEnded,
    BatchSent,
    Entry,
    MailboxBlocked,
    MailboxClosed,
    Returned,
    RunBlocked,
    Settled,
)
from purgeengine.core.model import FolderRows, Item, Outcome, Reply
from purgeengine.engine.answer_ledger import AnswerLedger, GraphWaits

ROWS = [Item("a@x", "", "1"), Item("b@x", "F", "2"), Item("A@x", "", "3"), Item("b@x", "F", "4"), Item("c@x", "", "5")]


class StillClock:
    """A clock that stands still."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def utc(self) -> float:
        """Seconds since 1970."""
        return self.now


def written(ledger: AnswerLedger, *entries: Entry) -> AnswerLedger:
    """Return the ledger after it has written these entries. A batch that ends was sent just before."""
    for entry in entries:
        before = [BatchSent(entry.batch, "", ())] if isinstance(entry, BatchEnded) else []
        asyncio.run(ledger.write([*before, entry], 0))
    return ledger


def settled(position: int, reply: Reply, rows: int = 1, batch: int = 1) -> Settled:
    """Return the entry of a row that has its reply."""
    return Settled(position, Outcome.PURGED, 1, False, batch, reply, rows)


def test_rows_of_one_mailbox_are_neighbours_however_their_names_are_spelt() -> None:
    """Rows of one mailbox are neighbours in any spelling of its name, because the limit of four is the mailbox's."""
    ledger = AnswerLedger(ROWS, GraphWaits(), StillClock(), cooldown_s=5.0)
    assert [(box.mailbox, box.next, box.end) for box in ledger.mailboxes()] == [(0, 0, 2), (1, 2, 4), (2, 4, 5)]
    assert ledger.folder_rows([range(5)]) == [
        FolderRows("a@x", "", ["1"]),
        FolderRows("A@x", "", ["3"]),
        FolderRows("b@x", "F", ["2", "4"]),
        FolderRows("c@x", "", ["5"]),
    ]
    assert ledger.folder_rows([range(4, 5), range(1)]) == [FolderRows("c@x", "", ["5"]), FolderRows("a@x", "", ["1"])]
    assert [ledger.user_of(number) for number in range(3)] == ["a@x", "b@x", "c@x"]


def test_replies_come_back_in_the_order_of_the_rows() -> None:
    """Replies come in the order of the rows. A row that was never sent has the reply that closed its mailbox."""
    ledger = AnswerLedger(ROWS, GraphWaits(), StillClock(), cooldown_s=5.0)
    assert ledger.replies() == [None] * 5
    good, closed = Reply(200, body=b'{"id":"x"}'), Reply(403, "ErrorAccessDenied")
    written(
        ledger, BatchEnded(1, 200, ""), settled(0, good, rows=2), settled(2, Reply(404)), MailboxClosed(1, closed, 1)
    )
    assert ledger.replies() == [good, Reply(404), good, closed, None]
    assert ledger.refused_batch is None


def test_a_batch_that_was_refused_as_a_whole_is_told_from_a_row_that_was() -> None:
    """A batch that was refused as a whole is told from a refused row by the status of the call."""
    refused = Reply(400, "BadRequest")
    ledger = written(
        AnswerLedger(ROWS, GraphWaits(), StillClock(), cooldown_s=5.0), BatchEnded(1, 200, ""), settled(0, refused)
    )
    assert ledger.refused_batch is None
    assert written(ledger, BatchEnded(2, 400, ""), settled(1, refused, batch=2)).refused_batch == refused


def test_waits_outlive_a_job_and_the_longer_one_holds() -> None:
    """Waits outlive a job, by mailbox name in any letter case; the longer wait holds, and a past one counts as none."""
    waits, clock = GraphWaits(), StillClock()
    assert (waits.left_s("B@X", 100.0), waits.app_left_s(100.0)) == (0.0, 0.0)
    written(
        AnswerLedger(ROWS, waits, clock, cooldown_s=5.0),
        MailboxBlocked(1, 30.0),
        MailboxBlocked(1, 5.0),
        RunBlocked(7.0),
        RunBlocked(2.0),
    )
    assert (waits.left_s("B@X", 110.0), waits.left_s("a@x", 110.0), waits.app_left_s(101.0)) == (20.0, 0.0, 6.0)
    clock.now = 125.0
    boxes = AnswerLedger(ROWS, waits, clock, cooldown_s=5.0).mailboxes()
    assert [box.blocked_for_s for box in boxes] == [0.0, 5.0, 0.0]
    assert waits.app_left_s(125.0) == 0.0


@pytest.mark.parametrize("status", [None, 503])
def test_a_read_without_an_answer_keeps_its_mailbox_from_the_next_job(status: int | None) -> None:
    """A mailbox whose read was lost waits in the next job until Graph cannot be running that read: five seconds from its sending.

    So does one whose row was given up. A mailbox whose row certainly did not arrive does not wait.
    """
    waits, clock = GraphWaits(), StillClock()
    ledger = AnswerLedger(ROWS, waits, clock, cooldown_s=5.0)
    asyncio.run(ledger.write([BatchSent(1, "", ())], 0))
    clock.now = 102.0
    given_up = settled(2, Reply(0))._replace(in_doubt=True)
    ends = [BatchEnded(1, status, ""), Returned(1, 1, 1, in_doubt=True), given_up, Returned(4, 0, 0, in_doubt=False)]
    asyncio.run(ledger.write(ends, 0))
    boxes = list(AnswerLedger(ROWS, waits, clock, cooldown_s=5.0).mailboxes())
    assert [box.blocked_for_s for box in boxes] == [3.0, 3.0, 0.0]
    assert waits.left_s("a@x", 105.0) == 0.0


@pytest.mark.parametrize("status", [200, 429, 401])
def test_a_read_that_was_answered_keeps_nobody_waiting(status: int) -> None:
    """A row in doubt whose call was answered makes its mailbox wait no longer, whichever call was lost before."""
    waits, clock = GraphWaits(), StillClock()
    ledger = AnswerLedger(ROWS, waits, clock, cooldown_s=5.0)
    written(ledger, BatchEnded(1, None, ""), BatchEnded(2, status, ""), Returned(0, 1, 1, in_doubt=True))
    assert waits.left_s("a@x", 100.0) == 0.0
