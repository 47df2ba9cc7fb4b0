"""Tests of what a run learns of earlier runs: unfinished mailboxes, waits that still hold, and recent requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from purgeengine.core.messages import MailboxBlocked, MailboxClosed, MailboxOpened, RunBlocked
from purgeengine.core.model import Attempt, Reply
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.running import unfinished
from tests.edges.ledger.running.test_journal import crashed
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, opened, returned, sent, settled


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a ledger with three mailboxes: positions 0 to 29, 30 to 39, and 40 to 44."""
    opened_ledger = open_ledger(tmp_path / "L", a_source(30, 10, 5))
    yield opened_ledger
    opened_ledger.close()


def test_new_ledger_opens_every_mailbox_largest_first(ledger: Ledger) -> None:
    """A new ledger opens every mailbox, the largest first, with nothing sent and nothing to wait for."""
    assert opened(ledger) == [MailboxOpened(0, 0, 30), MailboxOpened(1, 30, 40), MailboxOpened(2, 40, 45)]
    assert (ledger.next_batch_number, ledger.slowest_call_s(), ledger.answered_calls()) == (1, None, 0)
    assert ledger.has_work()


def test_finished_and_closed_mailboxes_are_passed_over(ledger: Ledger) -> None:
    """Only mailboxes with rows to send are opened; without any, the ledger has no work."""
    ledger.write([sent(1, (1, range(30, 40)), (2, [40]))], NOW)
    ledger.write([ended(1), *(settled(n, 1) for n in [*range(30, 40), 40]), MailboxClosed(2, Reply(404), 4)], NOW)
    assert [mailbox.mailbox for mailbox in opened(ledger)] == [0]
    ledger.write([MailboxClosed(0, Reply(404), 30)], NOW)
    assert not ledger.has_work()


def test_the_largest_mailboxes_are_opened_first_and_the_others_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest mailboxes are opened first and the others in their order.

    Each is opened once, and closed or finished ones take no place.
    """
    monkeypatch.setattr(unfinished, "HEAVY_MAX", 3)
    with open_ledger(tmp_path / "L", a_source(1, 5, 2, 7, 5, 5)) as ledger:
        assert [mailbox.mailbox for mailbox in opened(ledger)] == [3, 1, 4, 0, 2, 5]
        ledger.write([MailboxClosed(1, Reply(404), 5)], NOW)
        assert [mailbox.mailbox for mailbox in opened(ledger)] == [3, 4, 5, 0, 2]
        ledger.write([sent(1, (3, range(8, 15))), ended(1), *(settled(n, 1) for n in range(8, 15))], NOW)
        assert [mailbox.mailbox for mailbox in opened(ledger)] == [4, 5, 2, 0]


def test_mailboxes_are_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mailboxes are read page by page, even if the ledger is written in between."""
    monkeypatch.setattr(unfinished, "PAGE", 2)
    with open_ledger(tmp_path / "L", a_source(5, 4, 3, 2, 1)) as ledger:
        mailboxes = ledger.mailboxes(now_utc_ms=NOW, cooldown_s=0.0, window_s=0.0)
        first = next(mailboxes)
        ledger.write([sent(1, (0, range(5)))], NOW)
        assert [first.mailbox, *(mailbox.mailbox for mailbox in mailboxes)] == [0, 1, 2, 3, 4]


def test_row_returned_before_a_clean_stop_is_not_in_doubt(ledger: Ledger) -> None:
    """A row that was returned before the process ended keeps its attempts and failures, and is in doubt only if it was before."""
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    ledger.write([ended(1), returned(0, 1, 0), returned(1, 1, 1, in_doubt=True)], NOW)
    assert opened(crashed(ledger))[0].unsettled == (Attempt(0, 1, 0, False), Attempt(1, 1, 1, True))


def test_rows_in_flight_at_a_crash_are_in_doubt_and_hold_slots_of_their_mailbox(ledger: Ledger) -> None:
    """Rows that were in flight at a crash are in doubt, and each holds a slot until the cooldown after its sending is over."""
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    ledger.write([ended(1), returned(0), settled(1, 1), sent(2, (0, [Attempt(0, 2), 2, 3]))], NOW + 1_000)
    again = crashed(ledger)
    mailbox = opened(again, NOW + 11_000)[0]
    doubt = (Attempt(0, 2, 0, True), Attempt(2, 1, 0, True), Attempt(3, 1, 0, True))
    assert (mailbox.next, mailbox.unsettled) == (4, doubt)
    assert (mailbox.blocked_for_s, mailbox.lost_slots) == (0.0, ((30.0, 3),))
    assert again.next_batch_number == 3
    assert opened(again, NOW + 41_000)[0].lost_slots == ()


def test_window_counts_answered_rows_from_the_answer(ledger: Ledger) -> None:
    """Answered rows count in the request window from their answer, oldest first, until they have left the window."""
    ledger.write([sent(1, (0, [0, 1, 2]), (1, [30]))], NOW)
    ledger.write([ended(1), *(settled(n, 1) for n in (0, 1, 2, 30)), sent(2, (0, [3]))], NOW + 2_000)
    ledger.write([ended(2, 429), returned(3)], NOW + 7_000)
    first, second, third = opened(ledger, NOW + 10_000)
    assert (first.recent, second.recent, third.recent) == (((8.0, 3), (3.0, 1)), ((8.0, 1),), ())
    assert opened(ledger, NOW + 700_000)[0].recent == ()


@pytest.mark.parametrize("status", [None, 503, 408, "never ended"])
def test_window_counts_unanswered_rows_from_the_end_of_their_cooldown(ledger: Ledger, status: int | str | None) -> None:
    """Unanswered rows count in the request window from the end of their cooldown.

    The service may have worked until then.
    """
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    if not isinstance(status, str):
        ledger.write([ended(1, status), returned(0, in_doubt=True), returned(1, in_doubt=True)], NOW)
    assert opened(ledger, NOW + 10_000)[0].recent == ((-30.0, 2),)
    assert opened(ledger, NOW + 100_000)[0].recent == ((60.0, 2),)


@pytest.mark.parametrize("status", [None, 503])
def test_a_call_that_was_waited_for_long_may_run_for_as_long_again(ledger: Ledger, status: int | None) -> None:
    """A call that ended without an answer after a minute may run for forty seconds more, as in the run that lost it."""
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    ledger.write([ended(1, status), returned(0, in_doubt=True), returned(1, in_doubt=True)], NOW + 60_000)
    mailbox = opened(ledger, NOW + 61_000)[0]
    assert (mailbox.recent, mailbox.lost_slots) == (((-39.0, 2),), ((39.0, 2),))
    mailbox = opened(ledger, NOW + 101_000)[0]
    assert (mailbox.recent, mailbox.lost_slots) == (((1.0, 2),), ())


def test_waits_of_a_mailbox_and_of_the_run_outlive_the_process(ledger: Ledger) -> None:
    """The rest of the waits of a mailbox and of the run is known after a crash, until they are over."""
    ledger.write([MailboxBlocked(0, 30.0), RunBlocked(20.0)], NOW)
    again = crashed(ledger)
    assert opened(again, NOW + 12_000)[0].blocked_for_s == 18.0
    assert again.run_blocked_for_s(NOW + 12_000) == 8.0
    assert opened(again, NOW + 31_000)[0].blocked_for_s == 0.0
    assert again.run_blocked_for_s(NOW + 31_000) == 0.0
    again.close()


def test_clock_turned_back_makes_every_wait_whole_again(ledger: Ledger) -> None:
    """If the clock was set back, a wait begins again in full, but never becomes longer."""
    ledger.write([MailboxBlocked(0, 30.0), RunBlocked(20.0), sent(1, (1, [30]))], NOW)
    yesterday = NOW - 86_400_000
    first, second, _ = opened(ledger, yesterday)
    assert (first.blocked_for_s, second.blocked_for_s) == (30.0, 0.0)
    assert (second.recent, second.lost_slots) == (((-40.0, 1),), ((40.0, 1),))
    assert ledger.run_blocked_for_s(yesterday) == 20.0
    ledger.write([MailboxBlocked(0, 10.0), RunBlocked(1.0)], yesterday)
    assert opened(ledger, yesterday + 5_000)[0].blocked_for_s == 25.0
    assert ledger.run_blocked_for_s(yesterday + 5_000) == 15.0


def test_times_of_calls_are_remembered(ledger: Ledger) -> None:
    """The slowest answered call is remembered, because it bounds the cooldown; lost calls and refusals do not count."""
    for batch, status, took_ms in ((1, 200, 700), (2, 200, 1_900), (3, None, 30_000), (4, 503, 9_000)):
        ledger.write([sent(batch, (0, [batch]))], NOW)
        ledger.write([ended(batch, status), returned(batch)], NOW + took_ms)
    assert (ledger.slowest_call_s(), ledger.answered_calls()) == (1.9, 2)
