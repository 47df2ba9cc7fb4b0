"""Tests of the automatic stop: when a run stops because it looks wrong, and when it does not."""

from __future__ import annotations

import pytest

from purgeengine import logs
from purgeengine.core.messages import BatchEnded, BatchSent, Entry, MailboxClosed, Settled
from purgeengine.core.model import Attempt, MailboxShare, Outcome, Reply
from purgeengine.core.policy.auto_stop import (
    DENIALS_IN_A_ROW_MAX,
    MAILBOXES_BEFORE_ALL_FAILED,
    MAILBOXES_WEIGHED,
    ROWS_BEFORE_ALL_FAILED,
    ROWS_OF_FEW_BEFORE_ALL_FAILED,
    ROWS_WEIGHED,
    SOUGHT_BEFORE_WARNING,
    AbsenceWatch,
    AutoStop,
    FailureThreshold,
)
from purgeengine.engine.tally import Tally

DENIED = Reply(403, "ErrorAccessDenied", "Access to OData is disabled.")


def rows(outcome: Outcome, count: int = 1) -> list[Entry]:
    """Return entries of so many rows with this outcome."""
    return [Settled(0, outcome, 1, False, 1, Reply(0)) for _ in range(count)]


def answered(batch: int, mailboxes: range, denied: int = 0, reply: Reply = DENIED) -> list[Entry]:
    """Return the entries of a batch with one row of each mailbox, of which the first ``denied`` were closed."""
    parts = tuple(MailboxShare(mailbox, (Attempt(mailbox),)) for mailbox in mailboxes)
    closed = [MailboxClosed(mailbox, reply, 5) for mailbox in list(mailboxes)[:denied]]
    return [BatchSent(batch, "id", parts), BatchEnded(batch, 200, ""), *closed]


def a_tally() -> Tally:
    """Return a tally with an automatic stop."""
    return Tally(1_000_000, {}, None, AutoStop())


def test_denials_in_a_row_stop_the_run_and_say_what_graph_said() -> None:
    """Ten denied mailboxes in a row stop the run with Graph's own words, and nine do not."""
    tally = a_tally()
    for mailbox in range(DENIALS_IN_A_ROW_MAX - 1):
        assert tally.seen([*answered(mailbox, range(mailbox, mailbox + 1), 1), *rows(Outcome.REFUSED)]) is None
    reason = tally.seen([MailboxClosed(99, DENIED, 5), *rows(Outcome.REFUSED)])
    assert reason is not None
    assert "10 mailboxes in a row" in reason
    assert "403 ErrorAccessDenied Access to OData is disabled" in reason


def test_what_graph_said_is_told_to_its_last_letter() -> None:
    """The reason has the whole of Graph's message, without its full stop."""
    stop = AutoStop()
    reply = DENIED._replace(message="Blocked by policy X.")
    reason = stop.seen([MailboxClosed(number, reply, 5) for number in range(10)], {}) or ""
    assert (
        "no row was purged in between (403 ErrorAccessDenied Blocked by policy X). Check the app's permission" in reason
    )


def test_after_a_row_that_went_well_it_takes_as_many_denials_as_at_first() -> None:
    """After a purged row it takes ten more denials to stop the run."""
    stop = AutoStop()
    stop.seen([], {Outcome.PURGED: 1})
    reasons = [stop.seen([MailboxClosed(number, DENIED, 5)], {Outcome.REFUSED: 1}) for number in range(10)]
    assert [reason is None for reason in reasons] == [True] * 9 + [False]


@pytest.mark.parametrize("outcome", [Outcome.PURGED, Outcome.ABSENT])
def test_a_row_that_went_well_begins_the_count_anew(outcome: Outcome) -> None:
    """A purged or absent row resets the count of denials, because some of a list may be outside the app's scope."""
    tally = a_tally()
    for mailbox in range(3 * DENIALS_IN_A_ROW_MAX):
        closed = [MailboxClosed(mailbox, DENIED, 5), *rows(Outcome.REFUSED)]
        assert tally.seen([*closed, *(rows(outcome) if mailbox % 5 == 0 else [])]) is None


@pytest.mark.parametrize("reply", [Reply(404, "ErrorInvalidUser"), Reply(403, "ErrorQuotaExceeded"), Reply(507)])
def test_mailboxes_that_are_missing_or_full_are_no_denials(reply: Reply) -> None:
    """A mailbox that is missing or full does not count as a denial, because it says nothing about the app."""
    tally = a_tally()
    for mailbox in range(3 * DENIALS_IN_A_ROW_MAX):
        assert tally.seen([MailboxClosed(mailbox, reply, 5), *rows(Outcome.REFUSED)]) is None


def test_half_of_the_mailboxes_denied_stop_the_run_though_others_are_purged() -> None:
    """Half of the last fifty mailboxes denied stop the run, even if others are purged; three of ten never do."""
    half, third = a_tally(), a_tally()
    stopped_at = None
    for batch in range(1, 200):
        mailboxes = range(batch * 10, batch * 10 + 10)
        assert third.seen([*answered(batch, mailboxes, 3), *rows(Outcome.PURGED, 7)]) is None
        reason = half.seen([*answered(batch, mailboxes, 5), *rows(Outcome.PURGED, 5)])
        if reason is not None and stopped_at is None:
            stopped_at = 10 * batch
            assert "25 of the last 50 mailboxes denied the app" in reason
    assert stopped_at == MAILBOXES_WEIGHED


def test_only_the_mailboxes_answered_last_are_weighed() -> None:
    """Only the last fifty answered mailboxes count: 20 and 24 denials do not stop the run, and 25 do."""
    stop = AutoStop()
    stop.seen(answered(1, range(50)), {Outcome.PURGED: 50})
    for batch in range(2, 6):
        assert stop.seen(answered(batch, range(100 * batch, 100 * batch + 5), 5), {Outcome.PURGED: 1}) is None
    assert stop.seen(answered(6, range(600, 604), 4), {Outcome.PURGED: 1}) is None
    reason = stop.seen(answered(7, range(700, 701), 1), {Outcome.PURGED: 1})
    assert "25 of the last 50 mailboxes denied the app" in (reason or "")


@pytest.mark.parametrize("status", [None, 300, 503])
def test_a_call_that_failed_is_no_answer_of_its_mailboxes(status: int | None) -> None:
    """A failed call counts as no answer of its mailboxes, so that fifty failed rows do not yet stop the run."""
    stop = AutoStop()
    sent, _ = answered(1, range(10))
    assert stop.seen([sent, BatchEnded(1, status, "")], {Outcome.EXHAUSTED: 50}) is None
    assert stop.seen(answered(2, range(10)), {}) is not None


def test_the_end_of_a_batch_that_was_not_seen_to_leave_says_nothing() -> None:
    """The end of a batch of an earlier run is ignored."""
    assert AutoStop().seen([BatchEnded(7, 200, "")], {}) is None


@pytest.mark.parametrize(
    ("mailboxes", "enough"),
    [(MAILBOXES_BEFORE_ALL_FAILED, ROWS_BEFORE_ALL_FAILED), (1, ROWS_OF_FEW_BEFORE_ALL_FAILED)],
)
def test_first_rows_that_all_fail_stop_a_small_run(mailboxes: int, enough: int) -> None:
    """A run stops if its first fifty rows of many mailboxes fail, or later if they are of few, unless one row ended well."""
    tally, other = a_tally(), a_tally()
    assert tally.seen([*answered(1, range(mailboxes)), *rows(Outcome.REFUSED, enough - 1)]) is None
    assert f"first {enough} rows" in (tally.seen(rows(Outcome.EXHAUSTED)) or "")
    assert other.seen([*rows(Outcome.REFUSED, ROWS_WEIGHED - 2), *rows(Outcome.ABSENT)]) is None
    early = AutoStop()
    assert early.seen([], {Outcome.PURGED: 1}) is None
    assert early.seen([], {Outcome.REFUSED: ROWS_WEIGHED - 2}) is None


def test_more_than_half_of_the_last_thousand_failing_stop_the_run() -> None:
    """More than half of the last thousand rows failing stops the run, at its start and after many good rows.

    Exactly half does not.
    """
    for before in (0, 1_000_000):
        tally = a_tally()
        tally.seen(rows(Outcome.PURGED, min(before, 5_000)))
        reasons = [tally.seen([*rows(Outcome.REFUSED, 10), *rows(Outcome.PURGED, 10)]) for _ in range(60)]
        assert reasons == [None] * 60
        reasons = [tally.seen([*rows(Outcome.REFUSED, 11), *rows(Outcome.PURGED, 9)]) for _ in range(60)]
        assert "of the last 1,000 rows that ended failed" in (reasons[-1] or "")


def test_absent_rows_never_stop_and_a_hundred_of_nothing_else_warn_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Absent rows never stop a run. If nearly nothing is found, one warning asks somebody to look."""
    logs.configure_logs()
    tally = a_tally()
    for _ in range(40):
        assert tally.seen(rows(Outcome.ABSENT, 100)) is None
    said = capsys.readouterr()
    assert said.err.count("run.doubted") == 1
    mixed = a_tally()
    mixed.seen([*rows(Outcome.PURGED, 600), *rows(Outcome.ABSENT, 5_000)])
    said = capsys.readouterr()
    assert "run.doubted" not in said.err


def test_the_warning_comes_with_the_hundredth_contact_that_was_not_found() -> None:
    """The warning comes with the hundredth contact that was not found, and one in the Purges folder counts as found."""
    for reply, warns in ((Reply(404, "ErrorItemNotFound"), True), (Reply(403, "ErrorCannotDeleteObject"), False)):
        watch = AbsenceWatch()
        watch.take(Settled(0, Outcome.ABSENT, 1, False, 1, reply, SOUGHT_BEFORE_WARNING - 1))
        assert watch.warning() is None
        watch.take(Settled(0, Outcome.REFUSED, 1, False, 1, Reply(400), 50))
        assert watch.warning() is None
        watch.take(Settled(0, Outcome.ABSENT, 1, False, 1, reply))
        said = watch.warning()
        assert (said is not None) is warns
        assert said is None or said.startswith(
            "Not one of the 100 contacts that Graph looked for was found under its id so far."
        )
        assert watch.warning() is None


def test_skipped_rows_do_not_thin_out_a_share_of_failures() -> None:
    """Skipped rows do not lower the share of failures: 20 of 100 rows that were sent reach a limit of 10 %."""
    tally = Tally(10_000, {}, FailureThreshold.parse("10%"))
    reason = tally.seen([*rows(Outcome.PURGED, 80), *rows(Outcome.REFUSED, 20), MailboxClosed(1, DENIED, 5_000)])
    assert reason is not None


def test_without_auto_stop_nothing_stops() -> None:
    """Without the automatic stop, a hundred denied mailboxes do not stop the run."""
    tally = Tally(10_000, {})
    assert tally.seen([MailboxClosed(mailbox, DENIED, 5) for mailbox in range(100)]) is None
