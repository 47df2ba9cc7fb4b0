"""Tests of the figures of a ledger: during a run, after a crash, and after many failures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from purgeengine.core.messages import MailboxBlocked, MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import Calls, Failure, Ledger, LedgerReader, SettlingRate, WorstMailbox
from purgeengine.edges.ledger.views import counts as status
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, returned, rows_of, sent, settled

DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")
WRONG = Reply(400, "ErrorInvalidIdMalformed", "Id is malformed.")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a ledger with mailboxes a, b and c of 10, 8 and 3 rows, an invalid row and a duplicate."""
    rows = [*rows_of("a", 10), *rows_of("b", 8), *rows_of("c", 3), ("nobody", "", "x"), rows_of("a", 1)[0]]
    with open_ledger(tmp_path / "L", FakeSource(rows)) as opened_ledger:
        yield opened_ledger


def bad_day(ledger: Ledger) -> None:
    """Write a run in which mailbox a has a refused row and is throttled, b is closed, and c has a row in flight."""
    ledger.write([sent(1, (0, [0, 1, 2]), (1, [10, 11]))], NOW)
    ended_first = [
        ended(1),
        settled(0, 1),
        settled(1, 1, Outcome.REFUSED, reply=WRONG),
        returned(2),
        MailboxBlocked(0, 5.0),
    ]
    denied = [settled(10, 1, Outcome.REFUSED, reply=DENIED), settled(11, 1, Outcome.REFUSED, reply=DENIED)]
    ledger.write([*ended_first, *denied, MailboxClosed(1, DENIED, 6)], NOW + 1_500)
    ledger.write([sent(2, (2, [18]))], NOW + 2_000)
    ledger.write(
        [ended(2, None), settled(18, 2, Outcome.EXHAUSTED, in_doubt=True, reply=Reply(0)), sent(3, (2, [19]))],
        NOW + 3_000,
    )


def test_reader_sees_a_run_that_is_going_on(ledger: Ledger) -> None:
    """A reader sees the run in progress: its counts add up to the rows, and rows in flight are in doubt."""
    bad_day(ledger)
    with LedgerReader.open(ledger.folder) as reader:
        counts = reader.counts()
        assert counts == ledger.counts()
        assert {outcome.value: n for outcome, n in counts.outcomes.items() if n} == {
            "purged": 1,
            "refused": 3,
            "exhausted": 1,
            "skipped": 6,
            "invalid": 1,
            "duplicate": 1,
        }
        assert (counts.rows, counts.waiting, counts.in_doubt) == (23, 9, 1)
        assert not reader.complete
        assert reader.mailbox_count() == 3
        ledger.write([ended(3), settled(19, 3)], NOW + 4_000)
        assert reader.counts().in_doubt == 0


def test_worst_mailboxes_come_with_their_reason(ledger: Ledger) -> None:
    """Mailboxes are ordered by their rows that did not end well, and a closed one gives the reason of its closing."""
    bad_day(ledger)
    with LedgerReader.open(ledger.folder) as reader:
        worst = reader.worst_mailboxes(2)
        assert len(reader.worst_mailboxes(10)) == 3
    assert worst == [
        WorstMailbox("b@contoso.example", 8, 2, 0, 6, 0, "403 ErrorAccessDenied Access is denied."),
        WorstMailbox("a@contoso.example", 10, 1, 0, 0, 1, "400 ErrorInvalidIdMalformed Id is malformed."),
    ]
    assert worst[0].failed == 2


def test_what_was_skipped_and_what_failed_weigh_alike(ledger: Ledger) -> None:
    """Skipped and failed rows count alike; of equal mailboxes the larger comes first.

    An open one gives its most frequent answer.
    """
    failed = [settled(row, 1, Outcome.REFUSED, reply=DENIED if row == 18 else WRONG) for row in (0, 18, 19)]
    entries = [
        sent(1, (0, [0]), (1, range(10, 15)), (2, [18, 19, 20])),
        ended(1),
        *failed,
        *(settled(row, 1) for row in range(10, 15)),
        settled(20, 1, Outcome.EXHAUSTED, reply=WRONG),
        MailboxClosed(0, DENIED, 9),
        MailboxClosed(1, DENIED, 3),
    ]
    ledger.write(entries, NOW)
    with LedgerReader.open(ledger.folder) as reader:
        worst = reader.worst_mailboxes(3)
        assert reader.worst_mailboxes(2) == worst[:2]
    denied, wrong = "403 ErrorAccessDenied Access is denied.", "400 ErrorInvalidIdMalformed Id is malformed."
    assert worst == [
        WorstMailbox("a@contoso.example", 10, 1, 0, 9, 0, denied),
        WorstMailbox("b@contoso.example", 8, 0, 0, 3, 0, denied),
        WorstMailbox("c@contoso.example", 3, 2, 1, 0, 0, wrong),
    ]


def test_failures_are_counted_by_what_was_told(ledger: Ledger) -> None:
    """Failures are counted by their answer, the most frequent first."""
    bad_day(ledger)
    with LedgerReader.open(ledger.folder) as reader:
        assert reader.failures(2) == [
            Failure(403, "ErrorAccessDenied", "Access is denied.", 2),
            Failure(0, "", "", 1),
        ]


def test_calls_are_counted_by_their_end(ledger: Ledger) -> None:
    """Calls are counted as answered, lost and in flight."""
    bad_day(ledger)
    with LedgerReader.open(ledger.folder) as reader:
        assert reader.batches() == Calls(calls=3, in_flight=1, lost=1, refused=0, slowest_s=1.5, answered=1)


def test_a_call_that_ended_before_it_began_took_no_time(ledger: Ledger) -> None:
    """A call whose end is before its start, as after a change of the clock, took 0 s.

    Without a call there is no slowest one.
    """
    assert ledger.slowest_call_s() is None
    ledger.write([sent(1, (0, [0]))], NOW)
    ledger.write([ended(1), settled(0, 1)], NOW - 60_000)
    assert ledger.slowest_call_s() == 0.0


def test_pace_is_that_of_the_last_minute(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace is measured over the last minute, or over the age of a younger run, and is 0 for an old run."""
    with LedgerReader.open(ledger.folder) as reader:
        assert reader.pace(NOW) == SettlingRate(0.0, 0, 0, None, None)
        bad_day(ledger)
        start = datetime(2026, 1, 1, tzinfo=UTC)
        assert reader.pace(NOW + 10_000) == SettlingRate(0.5, 5, 5, start, start.replace(second=3))
        assert reader.pace(NOW + 120_000).per_s == 0.0
        assert reader.pace(NOW + 120_000).last_10_minutes == 5
        assert reader.pace(NOW + 500).per_s == 5.0
        assert reader.pace(NOW + 60_500).per_s == 5 / 60
        monkeypatch.setattr(status, "time", SimpleNamespace(time=lambda: (NOW + 60_500) / 1000))
        assert reader.pace() == reader.pace(NOW + 60_500)


def test_figures_asked_while_reading_rows_are_of_the_same_moment(ledger: Ledger) -> None:
    """Figures read during an export are those of its moment; what a run writes meanwhile shows afterwards."""
    with LedgerReader.open(ledger.folder) as reader:
        rows = reader.rows()
        next(rows)
        bad_day(ledger)
        assert reader.counts().outcomes[Outcome.PURGED] == 0
        rows.close()
        assert reader.counts().outcomes[Outcome.PURGED] == 1


def test_complete_ledger_is_complete(tmp_path: Path) -> None:
    """A ledger whose every row has an outcome is complete."""
    with open_ledger(tmp_path / "L", FakeSource(rows_of("a", 1))) as ledger:
        ledger.write([sent(1, (0, [0]))], NOW)
        ledger.write([ended(1), settled(0, 1)], NOW)
    with LedgerReader.open(tmp_path / "L") as reader:
        assert reader.complete
        assert reader.about["tenant_id"] == "contoso"


def test_folder_without_a_ledger_is_a_sentence(tmp_path: Path) -> None:
    """A missing, empty or foreign folder is refused with a sentence."""
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(LedgerError, match="no ledger"):
            LedgerReader.open(folder)
    with pytest.raises(LedgerError) as raised:
        LedgerReader.open(tmp_path / "a\0b")
    named = repr(str(tmp_path / "a\0b"))
    assert str(raised.value) == f"{named} holds a NUL character, which no folder has in its name. Name another."
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(LedgerError, match="is not a ledger"):
        LedgerReader.open(tmp_path)
    assert LedgerError.exit_code == 5


def test_reader_changes_nothing(tmp_path: Path) -> None:
    """A reader changes no file of the ledger."""
    open_ledger(tmp_path / "L", FakeSource(rows_of("a", 3))).close()
    before = {path: path.read_bytes() for path in (tmp_path / "L").rglob("*") if path.is_file() and path.name != "lock"}
    with LedgerReader.open(tmp_path / "L") as reader:
        reader.counts()
        list(reader.rows())
    assert {path: path.read_bytes() for path in before} == before
