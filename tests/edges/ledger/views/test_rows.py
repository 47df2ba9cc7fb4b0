"""Tests of the rows of a ledger: every kind of row with its outcome and details, and records that are impossible."""

from __future__ import annotations

import gc
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purgeengine.core.messages import Entry, MailboxClosed
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.edges.ledger import LedgerReader, reader
from purgeengine.edges.ledger.store.database import connect_to_read, snapshot
from purgeengine.edges.ledger.store.parts import Parts
from purgeengine.edges.ledger.views import row_states
from purgeengine.edges.ledger.views.row_states import RowStates
from purgeengine.edges.ledger.views.rows import schema_of
from purgeengine.errors import LedgerError
from tests.fuzz.targets import ledgers
from tests.support.ledger_fixtures import (
    ID,
    NOW,
    FakeSource,
    a_source,
    ended,
    open_ledger,
    returned,
    rows_of,
    sent,
    settled,
)

DENIED = Reply(403, "ErrorAccessDenied", "No.")
GONE = Reply(404, "ErrorItemNotFound", "Gone.")
LOST = Reply(0, message="Lost.")
INPUT = [
    *rows_of("a", 9), ("nobody", "", "x"), *rows_of("b", 4), rows_of("a", 3)[2], *rows_of("c", 3), *rows_of("d", 2),
    ("a@contoso.example", "", ".."),
]  # fmt: skip


def at(ms: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


NO_USER = "line 11 of one.csv: the user is neither a user principal name (name@domain) nor an object id (GUID)"
NO_ID = "line 22 of two.csv: the contact id holds a character that no Graph id has"
ID_1, ID_2, ID_3 = (ID.format(batch) for batch in (1, 2, 3))
NEVER: tuple[Any, ...] = (0, False, None, None, "", "")
UNTOLD: tuple[Any, ...] = (None, "", "")
TOLD = [
    (None, *UNTOLD, 1, False, at(0), None, "request-1", ID_1),  # to be sent again
    ("exhausted", None, "", "Lost.", 1, True, at(1_000), at(1_500), "", ID_2),
    (None, *UNTOLD, 1, True, at(0), None, "request-1", ID_1),  # to be sent again, in doubt
    ("exhausted", None, "", "Lost.", 1, True, at(1_000), at(1_500), "", ID_2),
    (None, *UNTOLD, 1, True, at(2_000), None, "", ID_3),  # in flight for the first time
    (None, *UNTOLD, *NEVER),
    (None, *UNTOLD, *NEVER),
    (None, *UNTOLD, 3, True, at(0), None, "", ID_3),  # in flight for the third time
    ("purged", 204, "", "", 1, False, at(0), at(100), "request-1", ID_1),
    ("invalid", None, "", NO_USER, *NEVER),
    ("skipped", 403, "ErrorAccessDenied", "No.", 0, False, None, at(200), "", ""),
    ("skipped", 403, "ErrorAccessDenied", "No.", 0, False, None, at(200), "", ""),
    ("refused", 403, "ErrorAccessDenied", "No.", 1, True, at(0), at(100), "request-1", ID_1),
    ("skipped", 403, "ErrorAccessDenied", "No.", 0, True, None, at(200), "", ""),
    ("duplicate", None, "", "same contact as row 2", *NEVER),
    ("absent", 404, "ErrorItemNotFound", "Gone.", 2, False, at(0), at(1_500), "", ID_2),
    (None, *UNTOLD, 1, True, at(2_000), None, "", ID_3),  # in flight for the first time
    (None, *UNTOLD, *NEVER),
    (None, *UNTOLD, *NEVER),
    (None, *UNTOLD, 0, True, None, None, "", ""),  # left in doubt by an earlier ledger and not yet sent
    ("invalid", None, "", NO_ID, *NEVER),
]  # fmt: skip
"""For each row: outcome, status, code, message, attempts, in doubt, first sent, settled, and the ids of its call."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a ledger with one or two rows of every kind, sent in another order than the input's."""
    folder = tmp_path_factory.mktemp("rows") / "L"
    rows = [(*row, f"n{number}") for number, row in enumerate(INPUT)]
    source = FakeSource(
        rows, ("note",), (Path("one.csv"), Path("two.csv")), 5, doubtful=frozenset([7, 8, 12, 13, 14, 19])
    )
    with open_ledger(folder, source) as ledger:
        assert ledger.rows_of(range(18)) == [2, 7, 8, 0, 1, 3, 4, 5, 6, 12, 13, 10, 11, 15, 16, 17, 19, 18]
        doubted = [Attempt(position, in_doubt=True) for position in (0, 1, 9)]
        ledger.write([sent(1, (0, [*doubted[:2], 2, 3]), (1, doubted[2:]), (2, [13]))], NOW)
        back = [returned(0, in_doubt=True), returned(1, failures=1), returned(3), returned(13)]
        refused = settled(9, 1, Outcome.REFUSED, in_doubt=True, reply=DENIED)
        ledger.write([ended(1), settled(2, 1), refused, *back], NOW + 100)
        ledger.write([MailboxClosed(1, DENIED, 3)], NOW + 200)
        ledger.write([sent(2, (0, [Attempt(1, 2, 1), 4, 5]), (2, [Attempt(13, 2)]))], NOW + 1_000)
        lost = [settled(position, 2, Outcome.EXHAUSTED, in_doubt=True, reply=LOST) for position in (4, 5)]
        gone = settled(13, 2, Outcome.ABSENT, attempts=2, reply=GONE)
        ledger.write([ended(2, None), returned(1, 2, 2, in_doubt=True), *lost, gone], NOW + 1_500)
        ledger.write([sent(3, (0, [Attempt(1, 3, 2, True), 6]), (2, [14]))], NOW + 2_000)
    return folder


def read(folder: Path, **more: Any) -> pa.Table:
    with LedgerReader.open(folder) as reader:
        return pa.Table.from_batches(reader.rows(**more))


def test_every_kind_of_row_is_told_in_full(folder: Path) -> None:
    """Every kind of row shows what was asked, its outcome, when and by which call, and nothing where nothing is known."""
    rows = read(folder).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (number, *asked, *told, f"n{number}") for number, (asked, told) in enumerate(zip(INPUT, TOLD, strict=True))
    ]


def test_any_column_can_be_told_without_the_others(folder: Path) -> None:
    """Any column can be read without the others, with the same values, in any order."""
    whole = read(folder)
    assert whole.schema == schema_of(["note"])
    for name in whole.column_names:
        for columns in ([name], ["note", name, "outcome"]):
            assert read(folder, columns=columns) == whole.select(columns)


def test_rows_with_some_outcomes_are_told_and_progress_counts_them_all(folder: Path) -> None:
    """Rows with some outcomes are read, invalid ones and duplicates too, and progress counts all rows."""
    progress: list[int] = []
    chosen = [Outcome.INVALID, Outcome.DUPLICATE, Outcome.PURGED]
    some = read(folder, only=chosen, on_progress=progress.append)
    assert some.column("row").to_pylist() == [8, 9, 14, 20]
    assert progress == [21]
    assert read(folder, only=[]).num_rows == 0


def test_scratch_space_is_taken_where_it_was_said_and_given_back(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """States that do not fit in memory go to a scratch file in the given folder, which is closed even if reading stops early."""
    taken: list[Any] = []
    temporary = tempfile.TemporaryFile

    def noted(**more: Any) -> Any:
        taken.append((temporary(**more), more["dir"]))
        return taken[-1][0]

    monkeypatch.setattr("purgeengine.edges.ledger.store.grouping.PENDING_BYTES_MAX", 0)
    monkeypatch.setattr("purgeengine.edges.ledger.store.grouping.tempfile.TemporaryFile", noted)
    assert read(folder, scratch=tmp_path).column("outcome").to_pylist() == [told[0] for told in TOLD]
    ((file, where),) = taken
    assert (where, file.closed) == (tmp_path, True)
    with LedgerReader.open(folder) as reader:
        rows = reader.rows(scratch=tmp_path)
        next(rows)
        rows.close()  # type: ignore[attr-defined]
    assert taken[1][0].closed


# ------------------------------------------------------------------------------------------------ the states of many rows


def test_what_is_told_of_many_rows_at_once_is_cut_where_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state of many rows is cut where a row group of 512 rows ends."""
    monkeypatch.setattr(row_states, "CHUNK_GROUPS", 1)
    with open_ledger(tmp_path / "L", a_source(1_300, 300)) as ledger:
        fates: list[Entry] = [*map(returned, range(3)), *(settled(position, 1) for position in range(3, 1_100))]
        ledger.write([sent(1, (0, range(1_100))), ended(1), *fates], NOW)
    found = read(tmp_path / "L", columns=["outcome", "attempts"]).to_pydict()
    assert found["outcome"] == [None] * 3 + ["purged"] * 1_097 + [None] * 500
    assert found["attempts"] == [1] * 1_100 + [0] * 500


@pytest.mark.parametrize("sizes", [(17,), (5, 10), ()])
def test_states_of_more_rows_than_there_are_contradict_the_parts(folder: Path, sizes: tuple[int, ...]) -> None:
    """States of more rows than there are to send raise `ValueError`."""
    with closing(connect_to_read(folder)) as connection:
        chunks = row_states._Chunks(row_states._without_gaps(connection))
        for size in sizes:
            chunks.take(size)
        with pytest.raises(ValueError, match=r"^the records know more rows than there are to send$"):
            chunks.end()


def test_what_reads_the_records_has_ended_before_they_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading stops before the records are closed: after an error, nothing more is written to standard error."""
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        ledger.write(
            [sent(1, (0, [0, 1, 2])), ended(1), returned(0), settled(1, 1), settled(2, 1, Outcome.ABSENT)], NOW
        )
    with closing(sqlite3.connect(tmp_path / "L" / "ledger.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE outcome SET rows = 2 WHERE first = 1")
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: said.append(what.exc_value))
    monkeypatch.setattr(reader, "check", lambda folder: None)
    with pytest.raises(LedgerError, match="position 2 has two states"), LedgerReader.open(tmp_path / "L") as opened:
        list(opened.rows())
    gc.collect()
    assert said == []


def test_states_are_cut_where_a_chunk_ends_and_nowhere_else(folder: Path) -> None:
    """A state that ends with its chunk is not cut, and the next chunk begins with the next state."""
    with closing(connect_to_read(folder)) as connection:
        chunks = row_states._Chunks(row_states._without_gaps(connection))
        found = [[(state.first, state.end) for state in chunks.take(size)] for size in (2, 3, 2, 1, 7, 3)]
        chunks.end()
        with pytest.raises(ValueError, match=r"^there are more rows to send than the records know$"):
            chunks.take(1)
    assert found == [
        [(0, 1), (1, 2)], [(2, 3), (3, 4), (4, 5)], [(5, 6), (6, 7)], [(7, 8)],
        [(8, 9), (9, 10), (10, 11), (11, 13), (13, 14), (14, 15)], [(15, 16), (16, 17), (17, 18)],
    ]  # fmt: skip


@pytest.fixture
def known(tmp_path: Path) -> Iterator[RowStates]:
    """Return the states of rows 0, 2 and 3 of five; 1 and 4 are invalid."""
    rows = [*rows_of("a", 1), ("nobody", "", "x"), *rows_of("b", 2), ("nobody", "", "x")]
    with open_ledger(tmp_path / "L", FakeSource(rows)) as ledger:
        ledger.write([sent(1, (0, [0]), (1, [1, 2])), ended(1, None), settled(0, 1), returned(1), returned(2)], NOW)
    with closing(connect_to_read(tmp_path / "L")) as connection, snapshot(connection):
        files = {name: (size, crc) for name, size, crc in connection.execute("SELECT * FROM file")}
        with closing(RowStates(connection, Parts(tmp_path / "L", files), ["outcome", "attempts"], None)) as found:
            yield found


def test_states_are_given_in_order_and_rows_without_any_get_none(known: RowStates) -> None:
    """States come in order, and rows without a position get none, however many are asked for at a time."""
    nothing = {"row": None, "outcome": None, "attempts": None}
    assert known.take(0, pa.array([True, False, True])).to_pylist() == [
        {"row": 0, "outcome": 1, "attempts": 1}, nothing, {"row": 2, "outcome": None, "attempts": 1},
    ]  # fmt: skip
    assert known.take(3, pa.array([True])).to_pylist() == [{"row": 3, "outcome": None, "attempts": 1}]
    assert known.take(4, pa.array([False])).to_pylist() == [nothing]
    with pytest.raises(ValueError, match=r"^what became of a row is not known$"):
        known.take(5, pa.array([True]))


@pytest.mark.parametrize(("first_row", "placed"), [(0, [True, True]), (1, [True]), (0, [False, False, True])])
def test_states_of_other_rows_than_those_asked_for_are_refused(
    known: RowStates, first_row: int, placed: list[bool]
) -> None:
    """States asked for other rows than those that follow are refused, so that a row never gets the state of another."""
    with pytest.raises(ValueError, match=r"^what became of a row is not known$"):
        known.take(first_row, pa.array(placed))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables the check for changes of the database."""
    monkeypatch.setattr("purgeengine.edges.ledger.reader.check", lambda folder: None)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE mailbox SET rows = rows - 1 WHERE number = 1", "there are more rows to send than the records know"),
        ("UPDATE outcome SET rows = 3", "the row at position 2 has two states"),
        ("UPDATE outcome SET rows = 0", "the row at position 0 has two states"),
        ("UPDATE attempt SET position = 1 WHERE position = 2", "the row at position 1 has two states"),
        ("UPDATE outcome SET rows = 1; UPDATE attempt SET position = 0", "the row at position 0 has two states"),
        ("DELETE FROM file WHERE name LIKE 'order/%'", r"zip\(\) argument 2 is shorter than argument 1"),
    ],
)
def test_records_of_rows_that_cannot_be_so_are_refused(tmp_path: Path, change: str, said: str) -> None:
    """Impossible records are refused, and no row is reported."""
    with open_ledger(tmp_path / "L", a_source(4, 2)) as ledger:
        ledger.write([sent(1, (0, [0, 1, 2])), ended(1), settled(0, 1), settled(1, 1), returned(2)], NOW)
    with closing(sqlite3.connect(tmp_path / "L" / "ledger.sqlite")) as connection, connection:
        connection.executescript(change)
    with pytest.raises(LedgerError, match=rf"contradict each other \(ValueError: {said}\)"):
        read(tmp_path / "L")


@pytest.mark.usefixtures("unchecked")
def test_rows_whose_order_is_not_known_are_not_left_out(tmp_path: Path) -> None:
    """An order file that was forged with fewer rows than the input is refused, so that no row is left out."""
    open_ledger(tmp_path / "L", a_source(3)).close()
    part = tmp_path / "L" / "order" / "part-00000.parquet"
    pq.write_table(pq.read_table(part).slice(0, 0), part, write_page_checksum=True)
    ledgers.adopt(tmp_path / "L", "order/part-00000.parquet")
    with pytest.raises(LedgerError, match="contradict each other"):
        read(tmp_path / "L")
