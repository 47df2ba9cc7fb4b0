"""Tests of doubt over several ledgers: a row that an earlier run may have purged counts as purged if it is gone later."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from purgeengine.core.messages import MailboxBlocked, MailboxClosed, MailboxOpened, Settled
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.edges.ledger import LedgerReader, export
from purgeengine.edges.source import open_source
from tests.support.fixtures import a_scheduler, answer, batches, entries, positions
from tests.support.ledger_fixtures import NOW, FakeSource, a_source, ended, open_ledger, opened, rows_of, sent
from tests.support.source_fixtures import CONTACT, USER, a_file, records

GONE = Reply(404, "ErrorItemNotFound", "The specified object was not found in the store.")
EXPORT = "row,user,contact,outcome,in_doubt,client_request_id\n"


def test_a_row_in_doubt_from_before_is_purged_when_it_is_gone() -> None:
    """Of rows that are gone at the first attempt, those in prior doubt are purged and the others absent; no doubt is left."""
    scheduler = a_scheduler(MailboxOpened(0, 0, 5, doubt_end=2))
    (batch, *_) = batches(scheduler.handle(now=0.0))
    assert positions(batch) == [0, 1, 2, 3]
    settled = entries(scheduler.handle(answer(batch, rest=GONE), now=1.0), Settled)
    assert [(s.outcome, s.in_doubt) for s in settled if isinstance(s, Settled)] == [
        (Outcome.PURGED, False), (Outcome.PURGED, False), (Outcome.ABSENT, False), (Outcome.ABSENT, False),
    ]  # fmt: skip


def test_a_refused_row_stays_in_doubt() -> None:
    """A row in prior doubt that is refused stays in doubt, because the refusal does not undo what an earlier run may have done."""
    scheduler = a_scheduler(MailboxOpened(0, 0, 2, doubt_end=1))
    (batch,) = batches(scheduler.handle(now=0.0))
    settled = entries(scheduler.handle(answer(batch, rest=Reply(400, "ErrorInvalidIdMalformed")), now=1.0), Settled)
    assert [s.in_doubt for s in settled if isinstance(s, Settled)] == [True, False]


def test_a_wait_that_outlives_every_run_is_not_sat_out() -> None:
    """A mailbox with a wait of days from an earlier run is closed at once, and the other mailboxes are served."""
    sent_before = (Attempt(0, 1, 1, True),)
    scheduler = a_scheduler(MailboxOpened(0, 1, 3, sent_before, blocked_for_s=1e6), MailboxOpened(1, 3, 4))
    commands = scheduler.handle(now=0.0)
    assert [positions(batch) for batch in batches(commands)] == [[3]]
    (settled,) = entries(commands, Settled)
    assert isinstance(settled, Settled)
    assert (settled.position, settled.outcome, settled.in_doubt) == (0, Outcome.EXHAUSTED, True)
    (closed,) = entries(commands, MailboxClosed)
    assert isinstance(closed, MailboxClosed)
    assert (closed.mailbox, closed.skipped) == (0, 2)


def test_a_wait_as_long_as_is_allowed_is_sat_out() -> None:
    """A wait of exactly the longest allowed time is waited out, and the rows are sent then."""
    scheduler = a_scheduler(MailboxOpened(0, 0, 2, blocked_for_s=3_600.0), retry_after_s_max=3_600.0)
    assert scheduler.handle(now=0.0) == []
    assert scheduler.wake_at() == 3_600.0
    (batch,) = batches(scheduler.handle(now=3_600.0))
    assert positions(batch) == [0, 1]


def test_a_mailbox_that_is_closed_keeps_its_wait() -> None:
    """A mailbox that is closed for a too long wait records that wait, so that the next run does not come early."""
    scheduler = a_scheduler(1, retry_after_s_max=60.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    told = scheduler.handle(answer(batch, Reply(429, "ApplicationThrottled", "", 100.0)), now=1.0)
    assert entries(told, MailboxBlocked) == [MailboxBlocked(0, 100.0)]
    assert len(entries(told, MailboxClosed)) == 1


def test_rows_in_doubt_come_first_in_their_mailbox(tmp_path: Path) -> None:
    """Rows in doubt come first in their mailbox; the others follow in the order of the input."""
    source = a_source(6, 4, doubtful=frozenset([2, 5, 9]))
    with open_ledger(tmp_path / "L", source) as ledger:
        assert ledger.rows_of(range(10)) == [2, 5, 0, 1, 3, 4, 9, 6, 7, 8]
        assert [item.contact for item in ledger.items(range(3))] == ["a-2", "a-5", "a-0"]
        assert opened(ledger) == [MailboxOpened(0, 0, 6, doubt_end=2), MailboxOpened(1, 6, 10, doubt_end=7)]
        assert (ledger.counts().waiting, ledger.counts().in_doubt) == (7, 3)


def test_a_duplicate_hands_its_doubt_to_the_row_it_repeats(tmp_path: Path) -> None:
    """A duplicate in doubt passes its doubt to the row that it repeats, which is sent."""
    rows = [*rows_of("a", 3), rows_of("a", 1)[0], rows_of("a", 2)[1]]
    with open_ledger(tmp_path / "L", FakeSource(rows, doubtful=frozenset([1, 3, 4]))) as ledger:
        assert ledger.counts().outcomes[Outcome.DUPLICATE] == 2
        assert opened(ledger) == [MailboxOpened(0, 0, 3, doubt_end=2)]
        assert ledger.rows_of(range(3)) == [0, 1, 2]


def test_doubt_outlives_a_mailbox_that_is_closed_before_it_is_sent(tmp_path: Path) -> None:
    """A row that is skipped because its mailbox was closed stays in doubt, and its export says so."""
    with open_ledger(tmp_path / "L", a_source(4, doubtful=frozenset([1, 3]))) as ledger:
        ledger.write([sent(1, (0, [Attempt(0, in_doubt=True)]))], NOW)
        denied = Reply(403, "ErrorAccessDenied")
        told = [Settled(0, Outcome.REFUSED, 1, True, 1, denied), MailboxClosed(0, denied, 3)]
        ledger.write([ended(1), *told], NOW)
        assert (ledger.counts().waiting, ledger.counts().in_doubt) == (0, 0)
    with LedgerReader.open(tmp_path / "L") as reader:
        export(reader, tmp_path / "out.csv")
    again = records(open_source([tmp_path / "out.csv"]))
    assert [(row["input_outcome"], row["in_doubt"]) for row in again] == [
        ("skipped", False), ("refused", True), ("skipped", False), ("skipped", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "in_doubt"),
    [("true", True), ("TRUE", True), ("WAHR", True), ("?", True), ("", False), ("False", False), ("FALSCH", False)],
)
def test_an_export_that_a_spreadsheet_has_saved_keeps_its_doubts(tmp_path: Path, cell: str, in_doubt: bool) -> None:
    """In an export that a spreadsheet has saved, every value that is not plainly false means in doubt."""
    path = a_file(tmp_path, EXPORT + f"7,{USER},{CONTACT},refused,{cell},c\n")
    assert [row["in_doubt"] for row in records(open_source([path]))] == [in_doubt]


def test_other_files_know_no_doubt(tmp_path: Path) -> None:
    """A column ``in_doubt`` in a list that is no export has no meaning and is kept under another name."""
    source = open_source([a_file(tmp_path, f"user,contact,in_doubt,origin_row\n{USER},{CONTACT},true,3\n")])
    assert source.extra_columns == ("input_in_doubt", "input_origin_row")
    assert "in_doubt" not in source.schema.names


def test_rows_keep_their_number_in_the_first_ledger(tmp_path: Path) -> None:
    """Over four exports of exports, each row keeps its number in the first ledger, and no column is lost or renamed twice."""
    rows = [(*row, f"note {number}", f"mine {number}") for number, row in enumerate(rows_of("a", 6))]
    source: object = FakeSource(rows, extra_columns=("note", "input_status"))
    for generation in range(4):
        folder = tmp_path / f"L{generation}"
        with open_ledger(folder, source) as ledger:  # type: ignore[arg-type]
            left = ledger.counts().rows
            ledger.write([sent(1, (0, [0]))], NOW)
            ledger.write([ended(1), Settled(0, Outcome.PURGED, 1, False, 1, Reply(204))], NOW)
        out = tmp_path / f"{generation}.{'csv' if generation % 2 else 'parquet'}"
        with LedgerReader.open(folder) as reader:
            export(reader, out)
            table = pq.read_table(out) if out.suffix == ".parquet" else None
        assert left == 6 - generation
        if table is not None:
            pq.write_table(table.slice(1), out)
        else:
            lines = out.read_text(encoding="utf-8").splitlines(keepends=True)
            out.write_text("".join([lines[0], *lines[2:]]), encoding="utf-8")
        source = open_source([out])
    found = records(source)  # type: ignore[arg-type]
    assert [row["origin_row"] for row in found] == ["4", "5"]
    assert [(row["note"], row["input_status"], row["contact"]) for row in found] == [
        (f"note {n}", f"mine {n}", f"a-{n}") for n in (4, 5)
    ]
    assert sum(name.startswith("origin") for name in source.schema.names) == 1  # type: ignore[attr-defined]
