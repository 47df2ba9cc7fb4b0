"""Tests of the statements of one write: times of sending, batches, and what is kept in memory for the next write."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.messages import BatchEnded, Entry, RunBlocked
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.edges.ledger import Ledger, LedgerReader, export
from purgeengine.edges.ledger.store.checking import check
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, opened, returned, sent, settled


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a ledger with three mailboxes: positions 0 to 29, 30 to 39, and 40 to 44."""
    with open_ledger(tmp_path / "L", a_source(30, 10, 5)) as opened_ledger:
        yield opened_ledger


def told(ledger: Ledger, row: int) -> dict[str, Any]:
    """Return a row as the export shows it."""
    with LedgerReader.open(ledger.folder) as reader:
        return dict(next(reader.rows()).slice(row, 1).to_pylist()[0])


def first_sent_ms(ledger: Ledger, row: int) -> float:
    return float(told(ledger, row)["first_sent_utc"].timestamp() * 1000)


# --------------------------------------------------------------------------------------------------- the first sending


def test_a_row_keeps_its_first_time_however_often_it_is_sent_again(ledger: Ledger) -> None:
    """A row keeps the time of its first sending, however often it is sent again in later writes."""
    ledger.write([sent(1, (0, [0]))], NOW)
    ledger.write([ended(1, 503), returned(0, 1, 1, in_doubt=True)], NOW + 1_000)
    ledger.write([sent(2, (0, [Attempt(0, 2, 1, True)]))], NOW + 2_000)
    ledger.write([ended(2, 503), returned(0, 2, 2, in_doubt=True)], NOW + 3_000)
    ledger.write([sent(3, (0, [Attempt(0, 3, 2, True)]))], NOW + 4_000)
    ledger.write([ended(3), settled(0, 3, attempts=3)], NOW + 5_000)
    assert first_sent_ms(ledger, 0) == NOW


def test_a_row_that_did_not_leave_at_first_was_sent_when_it_did(ledger: Ledger) -> None:
    """A row that twice did not leave has the time of its third sending, and the fourth does not change it."""
    ledger.write([sent(1, (0, [0]))], NOW)
    ledger.write([ended(1, None), returned(0, 0)], NOW + 1_000)
    ledger.write([sent(2, (0, [0]))], NOW + 2_000)
    ledger.write([ended(2, None), returned(0, 0)], NOW + 3_000)
    ledger.write([sent(3, (0, [0]))], NOW + 4_000)
    ledger.write([ended(3, 503), returned(0, 1, 1, in_doubt=True)], NOW + 5_000)
    ledger.write([sent(4, (0, [Attempt(0, 2, 1, True)]))], NOW + 6_000)
    ledger.write([ended(4), settled(0, 4, attempts=2)], NOW + 7_000)
    assert first_sent_ms(ledger, 0) == NOW + 4_000


# ---------------------------------------------------------------------------------------------------- which batch it was


def test_rows_returned_from_two_batches_at_once_are_accounted_for_in_their_own(ledger: Ledger) -> None:
    """Rows that two batches return in one write keep the time of their own batch."""
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    ledger.write([sent(2, (1, [30, 31]))], NOW + 1_000)
    back = [returned(row, 1, 1, in_doubt=True) for row in (0, 30, 1, 31)]
    ledger.write([ended(1, 503), ended(2, 503), *back], NOW + 2_000)
    again = [Attempt(row, 2, 1, True) for row in (0, 1, 30, 31)]
    ledger.write([sent(3, (0, again[:2]), (1, again[2:]))], NOW + 3_000)
    ledger.write([ended(3), *(settled(row, 3, attempts=2) for row in (0, 1, 30, 31))], NOW + 4_000)
    assert [first_sent_ms(ledger, row) - NOW for row in (0, 1, 30, 31)] == [0, 0, 1_000, 1_000]


@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_rows_sent_for_the_first_time_stand_before_or_behind_others(ledger: Ledger, first: bool) -> None:
    """A lane ends with rows that were sent before, a batch begins with them. Each row has its own first time and outcome."""
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    ledger.write([ended(1, 503), *(returned(row, 1, 1, in_doubt=True) for row in (0, 1))], NOW + 1_000)
    again = [Attempt(row, 2, 1, True) for row in (1, 0)]
    fresh = [Attempt(row) for row in (2, 3, 4)]
    ledger.write([sent(2, (0, [*fresh, *again] if first else [*again, *fresh]))], NOW + 2_000)
    back = returned(4, 0)
    done = [settled(2, 2), settled(3, 2), settled(1, 2, attempts=2), settled(0, 2, attempts=2)]
    ledger.write([ended(2), *done, back], NOW + 3_000)
    assert [first_sent_ms(ledger, row) - NOW for row in range(4)] == [0, 0, 2_000, 2_000]
    assert [told(ledger, row)["outcome"] for row in range(5)] == ["purged"] * 4 + [None]


def test_rows_that_were_left_out_are_a_mistake_of_ours(ledger: Ledger) -> None:
    """A gap in the rows that a mailbox sends for the first time is refused as our mistake, because its rows would be lost."""
    with pytest.raises(LedgerError, match="mistake in purgeengine"):
        ledger.write([sent(1, (0, [0, 5]))], NOW)


def test_the_end_of_a_batch_that_nobody_knows_changes_nothing(ledger: Ledger) -> None:
    """The end of an unknown batch changes no row."""
    before = ledger.counts()
    ledger.write([ended(9)], NOW)
    assert ledger.counts() == before


# ---------------------------------------------------------------------------------------------------------- what is kept


def test_rows_that_are_settled_are_forgotten(ledger: Ledger) -> None:
    """A settled row is removed from memory, so that only rows in flight or returned take memory."""
    ledger.write([sent(1, (0, [0, 1, 2]))], NOW)
    ledger.write([ended(1), settled(0, 1), returned(1), returned(2)], NOW)
    ledger.write([sent(2, (0, [Attempt(1, 2)]))], NOW)
    ledger.write([ended(2), settled(1, 2, attempts=2)], NOW)
    memory = ledger._journal._memory
    assert (memory.sent_before, memory.flights) == ({2}, {})


def test_answers_are_numbered_in_the_order_in_which_they_first_came(ledger: Ledger) -> None:
    """Answers are numbered in the order in which they first came, over several writes."""
    replies = [Reply(404, f"Code{number}") for number in range(5)]
    ledger.write([sent(1, (0, range(8)))], NOW)
    ledger.write(
        [ended(1), *(settled(row, 1, reply=replies[row]) for row in range(3)), *map(returned, range(3, 8))], NOW
    )
    ledger.write([sent(2, (0, [Attempt(row, 2) for row in range(3, 8)]))], NOW)
    some = [settled(row, 2, attempts=2, reply=replies[row - 3]) for row in range(3, 8)]
    ledger.write([ended(2), *some], NOW)
    numbers = ledger._reading.execute("SELECT id, code FROM detail ORDER BY id").fetchall()
    assert numbers == [(number + 1, f"Code{number}") for number in range(5)]


def test_a_wait_of_no_time_is_over_at_once(ledger: Ledger) -> None:
    """A wait of 0 s is over at once, and of several waits in one write the longest holds."""
    ledger.write([RunBlocked(0.0)], NOW)
    assert ledger.run_blocked_for_s(NOW) == 0.0
    ledger.write([RunBlocked(2.0), RunBlocked(3.0), RunBlocked(1.0)], NOW)
    assert ledger.run_blocked_for_s(NOW) == 3.0


# ------------------------------------------------------------------------------------------------------ for the next run


def test_a_finished_mailbox_does_not_hide_those_after_it(ledger: Ledger) -> None:
    """A finished mailbox between two unfinished ones does not stop the second one from being opened."""
    ledger.write([sent(1, (1, range(30, 40)))], NOW)
    ledger.write([ended(1), *(settled(row, 1) for row in range(30, 40))], NOW)
    assert [mailbox.mailbox for mailbox in opened(ledger)] == [0, 2]


def test_what_was_answered_counts_to_the_end_of_the_window(ledger: Ledger) -> None:
    """An answered request counts in the request window for its 600 s, however long the cooldown is."""
    ledger.write([sent(1, (0, [0]))], NOW)
    ledger.write([ended(1), settled(0, 1)], NOW)
    assert opened(ledger, NOW + 599_000, cooldown_s=300.0)[0].recent == ((599.0, 1),)


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_batch_may_end_twice(tmp_path: Path, writes: int) -> None:
    """A batch that was given up and answered later has the status and the request id of the answer, and its row is sound.

    Its rows may be settled by that answer, or have been sent again since. This holds in whatever writes the entries come.
    """
    late = BatchEnded(1, 200, "late-request")
    steps: list[list[Entry]] = [
        [sent(1, (0, [0, 1, 2]))],
        [ended(1, None), *(returned(position, 1, 1, in_doubt=True) for position in range(3))],
        [sent(2, (0, [Attempt(2, 2, 1, True)]))],
        [late, settled(0, 1), settled(1, 1, Outcome.ABSENT)],
        [ended(2), settled(2, 2, attempts=2, in_doubt=True)],
    ]
    with open_ledger(tmp_path / "L", a_source(4)) as ledger:
        per_write = -(-len(steps) // writes)
        for first in range(0, len(steps), per_write):
            ledger.write([entry for step in steps[first : first + per_write] for entry in step], NOW + first)
        counts = ledger.counts()
        assert (counts.outcomes[Outcome.PURGED], counts.outcomes[Outcome.ABSENT], counts.waiting) == (2, 1, 1)
    check(tmp_path / "L")
    with LedgerReader.open(tmp_path / "L") as reader:
        export(reader, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        told = [(row["outcome"], row["request_id"]) for row in csv.DictReader(file)]
    assert told == [
        ("purged", "late-request"),
        ("absent", "late-request"),
        ("purged", "request-2"),
        ("", ""),
    ]


def test_a_damaged_id_of_a_batch_that_ended_twice_is_noticed(tmp_path: Path) -> None:
    """If the request id of such a batch changes on the disk, the ledger is damaged, as with any other batch."""
    with open_ledger(tmp_path / "L", a_source(1)) as ledger:
        ledger.write([sent(1, (0, [0])), ended(1, None), returned(0, in_doubt=True)], NOW)
        ledger.write([BatchEnded(1, 200, "late-request"), settled(0, 1)], NOW + 1)
    check(tmp_path / "L")
    with closing(sqlite3.connect(tmp_path / "L" / "ledger.sqlite")) as connection, connection:
        connection.execute("UPDATE batch SET request_id = ''")
    with pytest.raises(LedgerError):
        check(tmp_path / "L")
