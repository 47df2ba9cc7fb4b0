"""Tests of the history of a ledger: calls, waits, rows settled over time, and closed mailboxes."""

from __future__ import annotations

from pathlib import Path

from purgeengine.core.messages import MailboxBlocked, MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.views.history import Bucket, ClosedMailbox, History, Run, Timeline, Traffic
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, returned, sent, settled

DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")


def test_a_history_tells_runs_calls_waits_and_the_course(tmp_path: Path) -> None:
    """The history of a new ledger is empty.

    Later it has all runs, calls and waits, and rows over time in few enough intervals.
    """
    with open_ledger(tmp_path / "L", a_source(6, 4)) as ledger, LedgerReader.open(tmp_path / "L") as reader:
        assert reader.history(5) == History([], Traffic(0, 0, 0, 0, {}), None, None, Timeline(1_000, []), 0)
        ledger.begin(NOW - 7, {"connections": 4})
        ledger.write([sent(1, (0, [0, 1, 2]), (1, [6]))], NOW)
        assert reader.history(5).timeline == Timeline(1_000, [])
        ledger.write(
            [ended(1), returned(0), settled(1, 1), settled(2, 1), settled(6, 1)], NOW - 5
        )  # the clock was set back
        blocked = [MailboxBlocked(0, 5.0), MailboxBlocked(0, 6.0)]
        ledger.write([sent(2, (0, [3])), ended(2, 429), returned(3), *blocked], NOW + 900)
        assert reader.history(2).timeline == Timeline(1_000, [Bucket(NOW, {Outcome.PURGED: 3})])
        ledger.write([sent(3, (1, [7])), ended(3, 503), returned(7), sent(4, (1, [8]))], NOW + 2_000)
        ledger.write([ended(4, 503), settled(8, 4, Outcome.REFUSED, reply=DENIED), sent(5, (1, [9]))], NOW + 3_000)
        ledger.write([ended(5), settled(9, 5, Outcome.ABSENT, attempts=2)], NOW + 4_001)
        ledger.begin(NOW + 5_000, {})
        assert reader.history(2) == History(
            [Run(NOW - 7, {"connections": 4}), Run(NOW + 5_000, {})],
            Traffic(requests=8, rows_sent_again=1, waits=2, mailboxes_that_waited=1, calls_refused={429: 1, 503: 2}),
            NOW,
            NOW + 4_001,
            Timeline(
                3_000,
                [
                    Bucket(NOW, {Outcome.PURGED: 3}),
                    Bucket(NOW + 3_000, {Outcome.REFUSED: 1, Outcome.ABSENT: 1}),
                ],
            ),
            4_001,
        )


def test_the_time_between_two_runs_is_no_time_in_work(tmp_path: Path) -> None:
    """Each run counts from its first call to the end of its last, waits included. A run without a call counts nothing."""
    with open_ledger(tmp_path / "L", a_source(9)) as ledger, LedgerReader.open(tmp_path / "L") as reader:
        ledger.begin(NOW, {})
        ledger.write([sent(1, (0, [0, 1]))], NOW + 1_000)
        ledger.write([ended(1), settled(0, 1), settled(1, 1)], NOW + 3_000)
        ledger.write([sent(2, (0, [2]))], NOW + 63_000)  # Graph had asked to wait a minute
        ledger.begin(NOW + 100_000, {})  # the process was killed with the call in flight
        ledger.begin(NOW + 200_000, {})
        ledger.write([sent(3, (0, [3]))], NOW + 200_500)
        ledger.write([ended(3), settled(3, 3)], NOW + 201_500)
        history = reader.history(5)
        assert reader.average_work() == (3, 63.0)
    assert history.at_work_ms == 62_000 + 1_000
    assert (history.first_sent_ms, history.last_settled_ms) == (NOW + 1_000, NOW + 201_500)


def test_closed_mailboxes_are_told_with_their_reason_and_the_rows_never_sent_for_it(tmp_path: Path) -> None:
    """Closed mailboxes come with their reason and skipped rows, those with most such rows first, equal ones by name."""
    gone = Reply(404, "ErrorInvalidUser", "The requested user is invalid.")
    with open_ledger(tmp_path / "L", a_source(7, 4, 4, 1)) as ledger:
        ledger.write([sent(1, (0, range(7))), ended(1), *(settled(row, 1) for row in range(7))], NOW)
        closed_for = (DENIED, gone, DENIED, Reply(0))
        ledger.write([MailboxClosed(box, reply, 0) for box, reply in enumerate(closed_for)], NOW)
    with LedgerReader.open(tmp_path / "L") as reader:
        count, closed = reader.closed_mailboxes(9)
        assert reader.closed_mailboxes(2) == (4, closed[:2])
    assert (count, closed) == (
        4,
        [
            ClosedMailbox("b@contoso.example", *gone[:3], 4),
            ClosedMailbox("c@contoso.example", *DENIED[:3], 4),
            ClosedMailbox("d@contoso.example", 0, "", "", 1),
            ClosedMailbox("a@contoso.example", *DENIED[:3], 0),
        ],
    )
