"""What is learned of an input before anything is sent, and in which order its rows will be."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.edges.ledger import survey_input
from purgeengine.edges.ledger.duplicates import Duplicate, Duplicates
from purgeengine.edges.ledger.grouping import ARRIVING, Grouping, first_positions
from tests.ledger_fixtures import FakeSource, a_source, rows_of
from tests.properties import examples


def test_survey_counts_rows_mailboxes_and_duplicates() -> None:
    """Spellings of one mailbox are one mailbox, and the figures tell what would be sent."""
    rows = [*rows_of("a", 3), *rows_of("B", 5), ("A@Contoso.example", "", "a-1"), ("b@contoso.example", "G", "b-new")]
    survey = survey_input(FakeSource(rows))
    assert (survey.rows, survey.valid_rows, survey.duplicates, survey.mailboxes) == (10, 10, 1, 2)
    assert survey.largest_mailboxes == (("B@contoso.example", 6), ("a@contoso.example", 3))
    assert list(survey.rows_by_mailbox) == [3, 6]


def test_survey_tells_why_rows_are_invalid_and_where_they_stand() -> None:
    """Each reason is counted, with a few examples that name the row, the line and the file."""
    rows = [("nobody", "", "x"), *rows_of("a", 2), *[("", "", "x")] * 7]
    survey = survey_input(FakeSource(rows))
    assert survey.invalid_rows == 8
    assert sorted(survey.invalid_by_reason.values()) == [1, 7]
    first = survey.invalid_examples[0]
    assert (first.row, first.line, first.file) == (0, 2, "contacts.csv")
    assert len([example for example in survey.invalid_examples if example.reason == "the user is empty"]) == 3


def test_odd_reasons_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reasons by themselves, whatever comes after them in one sum: no input can fill the memory."""
    monkeypatch.setattr("purgeengine.edges.ledger.survey.REASONS_MAX", 2)
    rows = [("", "", "x"), ("nobody", "", "x"), ("a@x.example", "", ""), ("a@x.example", "", "\u00e4"), ("", "", "y")]
    assert sorted(survey_input(FakeSource(rows)).invalid_by_reason.items()) == [
        ("other reasons", 2),
        ("the user is empty", 2),
        ("the user is neither a user principal name (name@domain) nor an object id (GUID)", 1),
    ]


def test_survey_reports_progress_in_rows() -> None:
    """The caller is told the rows read so far, batch by batch."""
    told: list[int] = []
    survey_input(a_source(10, batch_rows=4), told.append)
    assert told == [4, 8, 10]


def test_survey_of_an_empty_input_is_all_zero() -> None:
    """No rows are no error."""
    survey = survey_input(FakeSource([]))
    assert (survey.rows, survey.mailboxes, survey.largest_mailboxes) == (0, 0, ())


@examples(60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), max_size=80), st.sampled_from([1_000, 5]))
def test_duplicates_are_those_of_the_earliest_row(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[int, int]], in_memory_max: int
) -> None:
    """In memory or spread over files, a row is a duplicate of the first row with its mailbox and contact, however far apart."""
    scratch = tmp_path_factory.mktemp("scratch")
    duplicates = Duplicates(lambda: scratch, in_memory_max)
    for start in range(0, len(asked), 7):
        part = asked[start : start + 7]
        duplicates.add(range(start, start + len(part)), [m for m, _ in part], [b"%d" % c for _, c in part])
    first = {pair: row for row, pair in reversed(list(enumerate(asked)))}
    expected = {Duplicate(row, first[pair], pair[0]) for row, pair in enumerate(asked) if first[pair] != row}
    found = list(duplicates.found())
    assert set(found) == expected
    assert len(found) == len(expected)


def test_first_positions_put_the_largest_mailbox_first() -> None:
    """Equal mailboxes keep the order in which they appear, and every position belongs to exactly one."""
    order, first = first_positions([2, 5, 2, 7])
    assert order == [3, 1, 0, 2]
    assert list(first) == [12, 7, 14, 0]


@pytest.mark.parametrize("pending_rows_max", [10_000, 7])
def test_grouping_gives_rows_back_by_position(tmp_path: Path, pending_rows_max: int) -> None:
    """Whether or not the buckets lay on the disk."""
    positions = list(range(100))
    random.Random(5).shuffle(positions)
    grouping = Grouping(tmp_path, pending_rows_max, bucket_bits=4)
    for start in range(0, 100, 9):
        part = positions[start : start + 9]
        columns = [pa.array(part), pa.array(part), pa.array(["F"] * len(part)), pa.array([str(p) for p in part])]
        grouping.add(pa.RecordBatch.from_arrays(columns, schema=ARRIVING))
    written: list[pa.Table] = []

    class Sink:
        def write(self, table: pa.Table) -> None:
            written.append(table)

    grouping.write_to(Sink())
    assert pa.concat_tables(written).column("contact").to_pylist() == [str(n) for n in range(100)]
    assert list(tmp_path.iterdir()) == []
