"""Tests of the order of sending: the order of mailboxes, the positions of their rows, and rows that need no sorting."""

from __future__ import annotations

from array import array
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.model import Item
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.staging import row_order
from purgeengine.edges.ledger.staging.prior_doubts import PriorDoubts
from purgeengine.edges.ledger.staging.row_order import Repeats, RowOrder, by_last_row, first_positions, numbers_from
from purgeengine.edges.ledger.store import grouping
from purgeengine.edges.ledger.store.grouping import Grouping, in_order
from tests.support.ledger_fixtures import FakeSource, open_ledger, rows_of
from tests.support.properties import examples

PLACES = pa.schema([pa.field("place", pa.int64())])


@examples(60)
@given(st.lists(st.tuples(st.integers(-1, 6), st.booleans()), max_size=60), st.sampled_from([4, 7, 1_000]))
def test_mailboxes_are_ordered_by_their_last_rows_to_send(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, bool]], part_rows: int
) -> None:
    """Mailboxes are ordered by their last row to send, over part files of any size.

    Rows that are not sent do not count.
    """
    folder = tmp_path_factory.mktemp("scratch")
    file, repeats = folder / "mailboxes", Repeats(folder)
    file.write_bytes(array("i", [mailbox for mailbox, _ in rows]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_order, "PART_ROWS_MAX", part_rows)
        for row, (mailbox, repeated) in enumerate(rows):
            if repeated and mailbox >= 0:
                repeats.add(row, 0)
        sent = [mailbox for mailbox, repeated in rows if mailbox >= 0 and not repeated]
        expected = list(reversed(dict.fromkeys(reversed(sent))))
        assert by_last_row(file, repeats, len(expected)) == expected


def test_only_as_much_is_read_as_tells_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading from the end stops as soon as all mailboxes are known: here after two of four part files."""
    monkeypatch.setattr(row_order, "PART_ROWS_MAX", 2)
    file, read = tmp_path / "mailboxes", []
    file.write_bytes(array("i", [0, 1, 2, 0, 1, -1, 2, 0]))

    def noted(file: Any, count: int) -> Any:
        read.append(file.tell() // 4)
        return numbers_from(file, count)

    monkeypatch.setattr(row_order, "numbers_from", noted)
    assert by_last_row(file, Repeats(tmp_path), 3) == [1, 2, 0]
    assert read == [6, 4]


def test_positions_are_given_out_in_the_order_of_the_mailboxes() -> None:
    """Each mailbox gets its own range of positions, in the order of the mailboxes."""
    assert list(first_positions([2, 5, 3], [1, 0, 2])) == [5, 0, 7]
    assert list(first_positions([], [])) == []


@examples(80)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 30)), max_size=12),
    st.sets(st.integers(0, 200), max_size=6),
    st.integers(1, 40),
)
def test_rows_of_a_mailbox_keep_their_order_and_those_in_doubt_come_first(
    folder_rows: list[tuple[int, int]], doubtful: set[int], batch_rows: int
) -> None:
    """Rows of a mailbox keep their order with those in doubt first, however they are spread over the input."""
    mailboxes = [mailbox for mailbox, rows in folder_rows for _ in range(rows)]
    doubts = PriorDoubts()
    for row in sorted(doubtful):
        if row < len(mailboxes):
            doubts._add(row, mailboxes[row])
    expected = {
        row: position
        for position, row in enumerate(
            sorted(range(len(mailboxes)), key=lambda row: (mailboxes[row], row not in doubts, row))
        )
    }
    sizes = Counter(mailboxes)
    given_out = RowOrder(first_positions([sizes[number] for number in range(5)], range(5)), doubts)
    found: list[int] = []
    for start in range(0, len(mailboxes), batch_rows):
        some = mailboxes[start : start + batch_rows]
        rows = pa.array(range(start, start + len(some)), pa.int64())
        found += given_out.take(rows, pa.array(some, pa.int32())).to_pylist()
    assert found == [expected[row] for row in range(len(mailboxes))]


@pytest.mark.parametrize("in_doubt", [False, True])
def test_no_rows_have_no_positions(*, in_doubt: bool) -> None:
    """An empty batch of rows gives positions of the same type as others."""
    doubts = PriorDoubts()
    if in_doubt:
        doubts._add(0, 0)
    found = RowOrder(first_positions([3], [0]), doubts).take(pa.array([], pa.int64()), pa.array([], pa.int32()))
    assert found.type == pa.int64()
    assert len(found) == 0


@examples(60)
@given(st.permutations(range(50)), st.integers(0, 3), st.sampled_from([0, 100, 10_000]), st.integers(1, 20))
def test_rows_are_given_back_as_soon_as_none_before_them_is_missing(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], sorted_share: int, bytes_max: int, batch_rows: int
) -> None:
    """Rows are returned in order as soon as no row before them is missing, eight at a time, and each once."""
    order = sorted(order[: 17 * sorted_share]) + order[17 * sorted_share :]
    folder = tmp_path_factory.mktemp("scratch")
    told: list[int] = []

    def batches() -> Any:
        for start in range(0, 50, batch_rows):
            some = order[start : start + batch_rows]
            yield pa.RecordBatch.from_arrays([pa.array(some, pa.int64())], schema=PLACES)
            told.extend(some)
            missing = min(set(range(50)) - set(told), default=50)
            assert len(found) == (50 if missing == 50 else missing - missing % 8)

    found: list[int] = []
    for table in in_order(batches(), Grouping(folder, bytes_max, 3, PLACES, places=50)):
        found += table.column("place").to_pylist()
    assert found == list(range(50))
    assert list(folder.iterdir()) == []


def test_a_list_that_is_sorted_but_for_some_rows_needs_no_scratch_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is sorted but for a few rows uses no scratch file: the rows out of order wait in memory."""
    monkeypatch.setattr(grouping, "BUCKET_BITS", 6)
    monkeypatch.setattr(grouping, "PENDING_BYTES_MAX", 20_000)
    opened: list[Any] = []
    monkeypatch.setattr("purgeengine.edges.ledger.store.grouping.tempfile.TemporaryFile", lambda **_: opened.append(1))
    rows = [row for number in range(40) for row in rows_of(f"u{number:02d}", 50)]
    rows[10], rows[1_985] = rows[1_985], rows[10]
    rows.insert(700, rows[1_500])
    source = FakeSource(rows, batch_rows=40)
    monkeypatch.setattr("purgeengine.edges.ledger.staging.stage.INPUT_GROUP_ROWS", 64)
    with open_ledger(tmp_path / "L", source) as ledger:
        assert_all_rows_are_there(ledger, rows)
    assert opened == []


def assert_all_rows_are_there(ledger: Ledger, rows: list[Any]) -> None:
    """Check that each row is there once, with its user and its number in the input."""
    numbers = ledger.rows_of(range(len(set(rows))))
    assert sorted(numbers) == sorted({row: number for number, row in reversed(list(enumerate(rows)))}.values())
    assert ledger.items(range(len(numbers))) == [Item(*rows[number]) for number in numbers]
