"""Tests of the survey of an input before anything is sent, of duplicates, and of grouping rows by position."""

from __future__ import annotations

import errno
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.edges.ledger import survey_input
from purgeengine.edges.ledger.staging import duplicates as duplicates_of_an_input
from purgeengine.edges.ledger.staging.duplicates import Duplicate, Duplicates, bytes_of
from purgeengine.edges.ledger.staging.survey import Mailboxes
from purgeengine.edges.ledger.store.grouping import ARRIVING, Grouping, numbers
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import FakeSource, a_source, rows_of
from tests.support.properties import examples


def test_survey_counts_rows_mailboxes_and_duplicates() -> None:
    """The survey counts different spellings of a user as one mailbox, and its figures are those of what would be sent."""
    rows = [*rows_of("a", 3), *rows_of("B", 5), ("A@Contoso.example", "", "a-1"), ("b@contoso.example", "G", "b-new")]
    survey = survey_input(FakeSource(rows))
    assert (survey.rows, survey.valid_rows, survey.duplicates, survey.mailboxes) == (10, 10, 1, 2)
    assert survey.largest_mailboxes == (("B@contoso.example", 6), ("a@contoso.example", 3))
    assert list(survey.rows_by_mailbox) == [3, 6]
    assert [user[0] for user, _ in survey_input(a_source(2, 3, 2, 5)).largest_mailboxes] == ["d", "b", "a", "c"]


def test_survey_tells_why_rows_are_invalid_and_where_they_stand() -> None:
    """Each reason for invalid rows is counted, with a few examples that name row, line and file."""
    rows = [("nobody", "", "x"), *rows_of("a", 2), *[("", "", "x")] * 7]
    survey = survey_input(FakeSource(rows))
    assert survey.invalid_rows == 8
    assert sorted(survey.invalid_by_reason.values()) == [1, 7]
    first = survey.invalid_examples[0]
    assert (first.row, first.line, first.file) == (0, 2, "contacts.csv")
    assert len([example for example in survey.invalid_examples if example.reason == "the user is empty"]) == 3


@pytest.mark.parametrize("length", [10, 69, 70, 80, 160, 400])
def test_an_example_shows_the_place_of_the_odd_character(length: int) -> None:
    """However long an id is, the part that is shown holds the character that no id has, in 90 characters at most."""
    contact = f"AAMk{'T' * (length - 4)}\x07{'U' * 100}="
    (example,) = survey_input(FakeSource([("a@contoso.example", "", contact)])).invalid_examples
    assert "the contact id holds a character" in example.reason
    assert "T\\x07U" in example.value
    assert len(example.value) <= 90
    assert example.value.startswith("AAMk" if length < 70 else "…T")


def test_an_example_of_a_long_user_shows_the_place_of_the_odd_character() -> None:
    """The same goes for a user."""
    (example,) = survey_input(FakeSource([(f"{'a' * 150}ä@contoso.example", "", "x")])).invalid_examples
    assert "aä@contoso.example" in example.value


def test_odd_reasons_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reasons are counted each, and later ones in one sum, so that no input can fill the memory."""
    monkeypatch.setattr("purgeengine.edges.ledger.staging.survey.REASONS_MAX", 2)
    rows = [("", "", "x"), ("nobody", "", "x"), ("a@x.example", "", ""), ("a@x.example", "", "\u00e4"), ("", "", "y")]
    assert sorted(survey_input(FakeSource(rows)).invalid_by_reason.items()) == [
        ("other reasons", 2),
        ("the user is empty", 2),
        ("the user is neither a user principal name (name@domain) nor an object id (GUID)", 1),
    ]


def test_mailboxes_of_few_rows_at_a_time_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mailboxes of small batches are counted together, as soon as more rows wait than may, and whenever somebody asks."""
    monkeypatch.setattr("purgeengine.edges.ledger.staging.survey.UNCOUNTED_MAX", 4)
    mailboxes, waiting = Mailboxes(), []
    for users in (["a@x", "b@x"], ["a@x", "A@x"], ["b@x"], ["c@x", "a@x", "c@x", "c@x"]):
        assert mailboxes.count(pa.array(users)).to_pylist() == ["abc".index(user[0].lower()) for user in users]
        waiting.append(len(mailboxes._uncounted))
    assert waiting == [1, 2, 0, 1]
    assert list(mailboxes.rows) == [4, 2, 3]
    assert mailboxes.users == ["a@x", "b@x", "c@x"]


def test_survey_reports_progress_in_rows() -> None:
    """The survey reports the rows read so far, batch by batch."""
    told: list[int] = []
    survey_input(a_source(10, batch_rows=4), told.append)
    assert told == [4, 8, 10]


def test_a_survey_that_finds_no_room_says_so() -> None:
    """A survey that finds no scratch space raises a sentence that says so."""

    class Full(FakeSource):
        def batches(self) -> Iterator[pa.RecordBatch]:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(LedgerError) as raised:
        survey_input(Full([]))
    assert str(raised.value) == (
        "The input cannot be surveyed: the disk is full. Free some space and give the same command again."
    )


def test_survey_of_an_empty_input_is_all_zero() -> None:
    """The survey of an empty input is all zero and no error."""
    survey = survey_input(FakeSource([]))
    assert (survey.rows, survey.mailboxes, survey.largest_mailboxes) == (0, 0, ())


def rows_in(rows: Iterable[int], mailboxes: Sequence[int], contacts: Sequence[str]) -> tuple[Any, Any, Any]:
    """Return rows in the form that `Duplicates` takes."""
    return pa.array(rows, pa.int64()), pa.array(mailboxes, pa.int32()), pa.array(contacts, pa.string())


@examples(60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), max_size=80), st.sampled_from([1_000, 5]))
def test_duplicates_are_those_of_the_earliest_row(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[int, int]], in_memory_max: int
) -> None:
    """A row is a duplicate of the first row with its mailbox and contact, however far apart, in memory or over files."""
    scratch = tmp_path_factory.mktemp("scratch")
    duplicates = Duplicates(lambda: scratch, in_memory_max)
    for start in range(0, len(asked), 7):
        part = asked[start : start + 7]
        duplicates.add(*rows_in(range(start, start + len(part)), [m for m, _ in part], [str(c) for _, c in part]))
    first = {pair: row for row, pair in reversed(list(enumerate(asked)))}
    expected = {Duplicate(row, first[pair], pair[0]) for row, pair in enumerate(asked) if first[pair] != row}
    found = list(duplicates.found())
    assert set(found) == expected
    assert len(found) == len(expected)


def test_a_batch_without_valid_rows_says_nothing_of_duplicates(tmp_path: Path) -> None:
    """A batch without valid rows changes nothing in the search for duplicates."""
    duplicates = Duplicates(lambda: tmp_path)
    for rows in ([], [3], [], [5]):
        duplicates.add(*rows_in(rows, [1] * len(rows), ["A"] * len(rows)))
    assert list(duplicates.found()) == [Duplicate(5, 3, 1)]


def test_rows_are_spilled_when_there_are_more_than_fit(tmp_path: Path) -> None:
    """With room for five rows, the sixth moves all to one scratch folder, whose files are removed after the comparison."""
    made: list[Path] = []

    def scratch() -> Path:
        made.append(tmp_path)
        return tmp_path

    duplicates = Duplicates(scratch, 5)
    sizes = []
    for row in range(15):
        duplicates.add(*rows_in([row], [0], [str(row % 12)]))
        sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()) // 28)
    assert sizes == [0] * 5 + [6] * 6 + [12] * 3 + [12]
    assert set(duplicates.found()) == {Duplicate(12, 0, 0), Duplicate(13, 1, 0), Duplicate(14, 2, 0)}
    assert made == [tmp_path]
    assert list(tmp_path.iterdir()) == []


def test_as_many_rows_are_compared_at_once_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows are compared at once as fit, grouped by their hash, and more only if one partition alone has more."""
    sizes: list[int] = []
    compared = duplicates_of_an_input._compared

    def noted(table: Any) -> Any:
        sizes.append(len(table))
        return compared(table)

    monkeypatch.setattr(duplicates_of_an_input, "_compared", noted)
    duplicates = Duplicates(lambda: tmp_path, 10)
    contacts = [*map(str, range(2_000)), *"0" * 12]
    duplicates.add(*rows_in(range(2_012), [0] * 2_012, contacts))
    partitions = Counter(hash(contact.encode()) >> 54 for contact in contacts)
    expected, rows = [], 0
    for _, more in sorted(partitions.items()):
        if rows and rows + more > 10:
            expected.append(rows)
            rows = 0
        rows += more
    assert {found.first_row for found in duplicates.found()} == {0}
    assert sizes == [*expected, rows]


def test_rows_are_the_same_contact_where_both_checksums_agree() -> None:
    """Two rows are the same contact only if both checksums agree, and each duplicate names the first such row."""
    rows = [
        (7, 0, 1, 4),
        (8, 1, 1, 4),
        (7, 2, 2, 4),
        (7, 3, 1, 5),
        (9, 4, 1, 4),
        (7, 5, 2, 4),
        (7, 6, 1, 4),
        (8, 7, 3, 4),
    ]
    table = pa.table(dict(zip(("key", "row", "check", "mailbox"), zip(*rows, strict=True), strict=True)))
    compared = duplicates_of_an_input._compared
    assert list(compared(table)) == [Duplicate(3, 0, 5), Duplicate(5, 2, 4), Duplicate(6, 0, 4)]
    assert list(compared(table.slice(0, 2))) == list(compared(table.slice(0, 0))) == []


def test_numbers_of_a_part_of_an_array_are_those_of_the_part() -> None:
    """The bytes of a slice of an array are those of the slice, whatever the width of its numbers."""
    for kind, width in ((pa.int32(), 4), (pa.int64(), 8), (pa.uint32(), 4)):
        whole = pa.array([1, 2, 3, 4], kind)
        assert bytes(bytes_of(whole.slice(1, 2))) == b"".join(n.to_bytes(width, sys.byteorder) for n in (2, 3))


@pytest.mark.parametrize("count", [0, 1, 8_191, 8_192, 8_193])
def test_numbers_in_a_row_are_those_of_a_range(count: int) -> None:
    """A range of numbers is correct, also if it is longer than the prepared one."""
    found = numbers(70_000, count)
    assert found.type == pa.int64()
    assert found.to_pylist() == list(range(70_000, 70_000 + count))


def rows_at(*positions: int) -> pa.RecordBatch:
    """Return rows that belong at these positions."""
    columns = [
        pa.array(positions),
        pa.array(positions),
        pa.array(["F"] * len(positions)),
        pa.array(map(str, positions)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ARRIVING)


@pytest.mark.parametrize("pending_bytes_max", [10_000, 500, 0])
def test_grouping_gives_rows_back_by_position(tmp_path: Path, pending_bytes_max: int) -> None:
    """Grouping returns rows by position, with the buckets in memory or on the disk."""
    positions = list(range(100))
    random.Random(5).shuffle(positions)
    grouping = Grouping(tmp_path, pending_bytes_max, bucket_bits=4)
    for start in range(0, 100, 9):
        grouping.add(rows_at(*positions[start : start + 9]))
    written = list(grouping.tables())
    assert pa.concat_tables(written).column("contact").to_pylist() == [str(n) for n in range(100)]
    sizes = [100] if pending_bytes_max == 10_000 else [16] * 6 + [4]
    assert [len(table) for table in written] == sizes
    assert list(tmp_path.iterdir()) == []


def test_rows_go_to_the_disk_when_more_of_them_wait_than_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go to one nameless file in the given folder when more wait than may; the file is closed at the end."""
    opened: list[Any] = []
    temporary = tempfile.TemporaryFile

    def noted(**more: Any) -> Any:
        opened.append((temporary(**more), more))
        return opened[-1][0]

    monkeypatch.setattr("purgeengine.edges.ledger.store.grouping.tempfile.TemporaryFile", noted)
    first, second = rows_at(40_000, 2, 3), rows_at(0, 5, 70_000)
    grouping = Grouping(tmp_path, first.nbytes + second.nbytes)
    grouping.add(first)
    grouping.add(second)
    assert opened == []
    grouping.add(rows_at(6))
    assert [more for _, more in opened] == [{"dir": tmp_path}]
    (file, _) = opened[0]
    size = file.seek(0, os.SEEK_END)
    grouping.add(rows_at(65_535, 1, 9))
    grouping.add(rows_at(4, 8, 65_536))
    assert file.seek(0, os.SEEK_END) == size
    grouping.add(rows_at(7))
    assert file.seek(0, os.SEEK_END) > size
    grouping.add(rows_at(32_767, 32_768))
    tables = grouping.tables()
    assert [next(tables).column("position").to_pylist() for _ in range(3)] == [
        [*range(10), 32_767], [32_768, 40_000, 65_535], [65_536, 70_000],
    ]  # fmt: skip
    assert not file.closed
    assert list(tables) == []
    assert file.closed
    grouping.close()
    assert len(opened) == 1
