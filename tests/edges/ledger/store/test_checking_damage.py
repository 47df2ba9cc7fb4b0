"""Tests of damaged or changed ledgers.

A command ends with a sentence and exit code 5, or repeats what the ledger says.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.cli.main import run
from purgeengine.errors import LedgerError
from tests.fuzz.targets import ledgers
from tests.support.ledger_fixtures import (
    NOW,
    FakeSource,
    a_source,
    ended,
    open_ledger,
    opened,
    returned,
    rows_of,
    sent,
    settled,
)
from tests.support.oracles import is_quiet
from tests.support.properties import examples


@examples(30)
@given(
    st.lists(
        st.tuples(st.integers(0, len(ledgers.EDITS) - 1).map(lambda n: bytes([n])), st.binary(max_size=10)).map(
            b"".join
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_edits_to_a_ledger_end_in_anything_but_a_sentence(edits: list[bytes]) -> None:
    """Random edits of a ledger's files and records end in nothing but a sentence; ``ledgers.case`` checks what must hold."""
    ledgers.case(b"".join(edits))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables the check of the database, so that later checks are tested on their own."""
    for module in ("ledger", "reader"):
        monkeypatch.setattr(f"purgeengine.edges.ledger.{module}.check", lambda folder: None)


def change(folder: Path, statement: str, *values: object) -> None:
    """Execute one statement on the ledger's database, as anybody could."""
    connection = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
    connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize("command", ["status", "export"])
@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("DELETE FROM meta WHERE key = 'extra_columns' OR key = ?", "rows"),
        ("UPDATE meta SET value = ? WHERE key = 'rows'", "many"),
        ("UPDATE meta SET value = ? WHERE key = 'rows'", '"\x1b[2J"'),
        ("UPDATE meta SET value = ? WHERE key = 'files'", "7"),
        ("UPDATE file SET name = ? WHERE name LIKE 'order%'", "order"),
    ],
)
def test_records_that_contradict_each_other_are_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, statement: str, value: str
) -> None:
    """Records that contradict each other end in exit code 5 or a result, and control no terminal."""
    open_ledger(tmp_path / "L", a_source(3)).close()
    change(tmp_path / "L", statement, value)
    if command == "export":
        assert run([command, str(tmp_path / "L"), str(tmp_path / "out.csv")]) == 5
    else:
        assert run([command, str(tmp_path / "L")]) in (0, 5)
    said = capsys.readouterr()
    assert is_quiet(said.out + said.err)


@pytest.mark.parametrize(("column", "value"), [("first", -5), ("first", 2), ("fresh", 2**40), ("fresh", 2**62)])
def test_rows_in_flight_that_do_not_exist_are_a_sentence(tmp_path: Path, column: str, value: int) -> None:
    """A batch with rows that do not exist is refused, without a loop over as many rows as its number says."""
    ledger = open_ledger(tmp_path / "L", a_source(3))
    ledger.write([sent(1, (0, [0, 1]))], NOW)
    ledger.close()
    change(tmp_path / "L", f"UPDATE part SET {column} = ?", value)
    with pytest.raises(LedgerError, match="batch 1 has rows that do not exist"):
        open_ledger(tmp_path / "L", None)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("user", ["../me", "ann@x/contacts", "", "ann@x\n", "a" * 400 + "@x"])
def test_nothing_is_sent_to_a_mailbox_whose_name_was_changed_into_none(tmp_path: Path, user: str) -> None:
    """A mailbox whose user name was changed into an unusable one gets nothing.

    Users are checked again before they become a URL.
    """
    open_ledger(tmp_path / "L", a_source(3)).close()
    change(tmp_path / "L", "UPDATE mailbox SET user = ?", user)
    with (
        open_ledger(tmp_path / "L", None) as ledger,
        pytest.raises(LedgerError, match=r"contradict each other \(ValueError: the user"),
    ):
        ledger.items([0])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("cell", ["outcome.rows", "attempt.number", "attempt.failures", "part.rows", "doubt.rows"])
def test_a_part_of_a_row_is_told_to_no_scheduler(tmp_path: Path, cell: str) -> None:
    """A count of rows with a fraction is refused as a contradiction, so that nothing is sent."""
    with open_ledger(tmp_path / "L", FakeSource(rows_of("a", 6), doubtful={0})) as ledger:
        ledger.write([sent(1, (0, [0, 1]))], NOW)
        ledger.write([ended(1), returned(0), settled(1, 1)], NOW)
        assert opened(ledger, NOW)
    table, column = cell.split(".")
    change(tmp_path / "L", f"UPDATE {table} SET {column} = {column} + 0.5")
    with open_ledger(tmp_path / "L", None) as ledger, pytest.raises(LedgerError, match="contradict each other"):
        opened(ledger, NOW)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("contact", "../../me"),
        ("contact", ""),
        ("contact", "A" * 513),
        ("contact", "\u00e9"),
        ("folder", ".."),
        ("folder", "F/G"),
    ],
)
def test_nothing_is_sent_from_a_part_that_was_forged(tmp_path: Path, column: str, value: str) -> None:
    """No row is sent from a part file that was forged with correct checksums and an unusable id."""
    open_ledger(tmp_path / "L", FakeSource([("ann@x", "F", "A"), ("ann@x", "F", "B")])).close()
    part = "work/part-00000.parquet"
    table = pq.read_table(tmp_path / "L" / part)
    place = table.column_names.index(column)
    table = table.set_column(place, column, pa.array(["Q", value]))
    pq.write_table(table, tmp_path / "L" / part, write_page_checksum=True)
    ledgers.adopt(tmp_path / "L", part)
    with open_ledger(tmp_path / "L", None) as ledger, pytest.raises(LedgerError, match="contradict each other"):
        ledger.items([0])


@pytest.mark.usefixtures("unchecked")
def test_json_for_programs_steers_no_terminal_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output of ``status --json`` is ASCII whatever names the ledger holds, and a parser gets them unchanged."""
    for name, content in ledgers.original().items():
        (tmp_path / "L" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "L" / name).write_bytes(content)
    change(tmp_path / "L", "UPDATE mailbox SET user = ? WHERE number = 1", "\x9b31m\u202e@x")
    assert run(["status", str(tmp_path / "L"), "--json"]) == 0
    said = capsys.readouterr().out
    assert said.isascii()
    assert "\\u009b31m\\u202e@x" in said
