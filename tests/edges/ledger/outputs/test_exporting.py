"""Tests of the export: every row in input order, safe to open in a spreadsheet, and itself a valid input."""

from __future__ import annotations

import csv
import gzip
import io
import random
import re
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.cli.main import run
from purgeengine.core.messages import MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import Ledger, LedgerReader, export
from purgeengine.edges.ledger.views.row_states import RowStates
from purgeengine.edges.source import LEDGER_COLUMNS, open_source
from purgeengine.errors import InputError, LedgerError, UsageProblem
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
from tests.support.oracles import FORMULA_STARTS, is_quiet
from tests.support.properties import examples

ROWS = [
    ("Ann@x.example", "", "a-0", "=cmd()", None),
    ("bob@x.example", "F", "b-0", "plain", 'é, "quoted"\nline'),
    ("nobody", "", "x", "", ""),
    ("ann@x.example", "G", "a-1", "'tis", "@home"),
    ("ann@x.example", "", "a-0", "-1", "2"),
    ("ann@x.example", "", "a-2", "\tx", "+"),
    ("bob@x.example", "F", "b-1", "y", "z"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a ledger with a row of every kind.

    Ann (positions 0 to 2) has a row purged, one exhausted and one waiting; Bob (3 and 4) has one refused and one
    skipped.
    """
    source = FakeSource(ROWS, extra_columns=("Note", "=x"), files=(Path("one.csv"), Path("two.csv")), batch_rows=3)
    with open_ledger(tmp_path / "L", source) as ledger:
        ledger.write([sent(1, (0, [0, 1]), (1, [3]))], NOW)
        denied = Reply(403, "ErrorAccessDenied", "=No")
        ends = [
            ended(1),
            settled(0, 1),
            settled(1, 1, Outcome.EXHAUSTED, in_doubt=True, reply=Reply(0, message="Lost.")),
        ]
        closing = [settled(3, 1, Outcome.REFUSED, reply=denied), MailboxClosed(1, denied, 1)]
        ledger.write([*ends, *closing], NOW + 1_234)
    return tmp_path / "L"


def exported(folder: Path, name: str = "out.csv", **more: Any) -> Path:
    out = folder.parent / name
    with LedgerReader.open(folder) as reader:
        export(reader, out, **more)
    return out


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_parquet_export_is_typed_and_in_input_order(folder: Path) -> None:
    """A Parquet export has typed columns and every row once, in input order, with its outcome and the input's extra columns."""
    table = pq.read_table(exported(folder, "out.parquet"))
    assert tuple(table.schema.names) == (*LEDGER_COLUMNS, "Note", "=x")
    assert [str(table.schema.field(n).type) for n in ("row", "status", "attempts", "in_doubt", "settled_utc")] == [
        "int64",
        "int32",
        "int32",
        "bool",
        "timestamp[ms, tz=UTC]",
    ]
    rows = table.to_pylist()
    assert [row["row"] for row in rows] == list(range(7))
    assert [row["outcome"] for row in rows] == [
        "purged", "refused", "invalid", "exhausted", "duplicate", None, "skipped",
    ]  # fmt: skip
    assert [row["status"] for row in rows] == [204, 403, None, None, None, None, 403]
    assert [row["in_doubt"] for row in rows] == [False, False, False, True, False, False, False]
    assert [row["attempts"] for row in rows] == [1, 1, 0, 1, 0, 0, 0]
    assert [tuple(row[name] for name in ("user", "folder", "contact", "Note", "=x")) for row in rows] == ROWS
    assert rows[0]["first_sent_utc"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert rows[0]["settled_utc"] == datetime(2026, 1, 1, 0, 0, 1, 234_000, tzinfo=UTC)
    assert (rows[0]["request_id"], rows[0]["client_request_id"][:8]) == ("request-1", "11111111")
    assert pq.ParquetFile(folder.parent / "out.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_rows_never_sent_say_why(folder: Path) -> None:
    """A row that was never sent says why.

    An invalid row has its line, a duplicate the row that it repeats, and a skipped row the reply that closed the
    mailbox.
    """
    rows = pq.read_table(exported(folder, "out.parquet")).to_pylist()
    assert re.fullmatch(r"line 4 of one\.csv: the user is neither .*", rows[2]["message"])
    assert rows[4]["message"] == "same contact as row 0"
    assert (rows[6]["code"], rows[6]["message"]) == ("ErrorAccessDenied", "=No")


def test_csv_export_neutralises_formulas(folder: Path) -> None:
    """In a CSV export an apostrophe precedes each cell and column name that a spreadsheet would run, and nothing else changes."""
    rows = read_csv(exported(folder))
    assert list(rows[0])[-2:] == ["Note", "'=x"]
    assert [row["Note"] for row in rows] == ["'=cmd()", "plain", "", "''tis", "'-1", "'\tx", "y"]
    assert [row["'=x"] for row in rows] == ["", 'é, "quoted"\nline', "", "'@home", "2", "'+", "z"]
    assert (rows[1]["message"], rows[0]["in_doubt"], rows[3]["in_doubt"]) == ("'=No", "false", "true")
    assert (rows[0]["settled_utc"], rows[5]["settled_utc"]) == ("2026-01-01T00:00:01.234Z", "")


def test_column_names_are_neutralised_as_cells_are(tmp_path: Path) -> None:
    """A column name that begins with a sign that a spreadsheet would run gets an apostrophe.

    A sign inside a name does not matter.
    """
    signs = ["=", "+", "-", "@", "\t", "\r", "'"]
    names = (*(f"{sign}x" for sign in signs), *(f"x{sign}" for sign in signs))
    source = FakeSource([(*rows_of("a", 1)[0], *map(str, range(14)))], names)
    open_ledger(tmp_path / "L", source).close()
    (row,) = read_csv(exported(tmp_path / "L"))
    assert list(row)[-14:] == [*(f"'{sign}x" for sign in signs), *(f"x{sign}" for sign in signs)]


def test_export_is_a_valid_input(folder: Path) -> None:
    """An export as CSV, compressed CSV or Parquet can be read as an input again, with the same rows and extra columns."""
    for name in ("again.csv", "again.csv.gz", "again.parquet"):
        source = open_source([exported(folder, name)])
        table = pa.Table.from_batches(source.batches())
        users = zip(*(table.column(name).to_pylist() for name in ("user", "folder", "contact")), strict=True)
        assert list(users) == [row[:3] for row in ROWS]
        assert table.column("Note").to_pylist() == [row[3] for row in ROWS]
        with open_ledger(folder.parent / f"L-{name}", source) as ledger:
            assert (ledger.counts().waiting, ledger.counts().in_doubt) == (4, 1)


tricky = st.text(st.sampled_from(list("ab=+-@'\"\t\r\n,; \x1b\x9b\u202e\u2028\xe9\U0001f600")), max_size=8)
cells = st.none() | tricky | st.text(max_size=8).filter(lambda text: "\0" not in text)
names = tricky | st.sampled_from(["=cmd()", "'=x", "''x", "Outcome", "input_row", "Reason", "line", "note"])
some_users = st.sampled_from(
    ["ann@x.example", "Ann@X.example", "-ann@x", "+a@x", "$a'b@x", "nobody", "", "\x1b[2J@x", "=1@x"]
)
some_ids = st.text("Aa0=+-_", max_size=4) | st.sampled_from(["..", "A/B", "\x9b"])
replies = st.builds(
    Reply, st.sampled_from([400, 403, 404, 0]), cells.map(lambda text: text or ""), cells.map(lambda text: text or "")
)


@examples(25)
@given(
    columns=st.lists(names.filter(str.strip), max_size=3, unique_by=str.casefold),
    rows=st.lists(st.tuples(some_users, some_ids, some_ids, cells, cells, cells), max_size=8),
    told=st.lists(replies, min_size=8, max_size=8),
)
def test_any_rows_come_back_from_an_export_and_steer_nothing(
    columns: list[str], rows: list[Any], told: list[Reply]
) -> None:
    """Random rows come back from an export in every format, with their extra columns and the same valid rows.

    No cell of the CSV runs in a spreadsheet, and no name, cell, code or message reaches a terminal unescaped.
    """
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        table = [pa.array([row[place] for row in rows], pa.string()) for place in range(3 + len(columns))]
        pq.write_table(pa.table(table, ["user", "folder", "contact", *columns]), folder / "in.parquet")
        try:
            source = open_source([folder / "in.parquet"])
        except InputError:
            return  # two equal names, or a control character in one
        expected = [*source.batches()]
        if rows and all(reason for batch in expected for reason in batch.column("reason").to_pylist()):
            with pytest.raises(InputError, match="No row of the list can be sent"):
                open_ledger(folder / "L", source)  # type: ignore[arg-type]
            return
        with open_ledger(folder / "L", source) as ledger:  # type: ignore[arg-type]
            settle_everything(ledger, told)
        names = ["user", "folder", "contact", *source.extra_columns]
        for name in ("out.csv", "out.csv.gz", "out.parquet"):
            again = open_source([exported(folder / "L", name)])
            found = pa.Table.from_batches(again.batches(), again.schema)
            for column in names:
                wanted = [value or "" for batch in expected for value in batch.column(column).to_pylist()]
                assert [value or "" for value in found.column(column).to_pylist()] == wanted, (name, column)
            assert found.column("reason").to_pylist() == [r for b in expected for r in b.column("reason").to_pylist()]
        with (folder / "out.csv").open(encoding="utf-8", newline="") as lines:
            assert not [cell for line in csv.reader(lines) for cell in line if cell.startswith(FORMULA_STARTS)]
        can_be_sent = any(reason is None for batch in expected for reason in batch.column("reason").to_pylist())
        for code, arguments in (
            (0 if can_be_sent else 2, ["plan", str(folder / "in.parquet")]),
            (0, ["status", str(folder / "L")]),
        ):
            for more in ([], ["--json"]):
                with redirect_stdout(io.StringIO()) as shown:
                    assert run([*arguments, *more]) == code
                assert is_quiet(shown.getvalue())


def settle_everything(ledger: Ledger, told: list[Reply]) -> None:
    """Give every valid row an outcome with one of these replies."""
    for batch, mailbox in enumerate(opened(ledger), start=1):
        positions = range(mailbox.next, mailbox.end)
        ledger.write([sent(batch, (mailbox.mailbox, positions))], NOW)
        outcomes = [settled(p, batch, Outcome.REFUSED, reply=told[p % len(told)]) for p in positions]
        ledger.write([ended(batch), *outcomes], NOW)


def test_export_of_some_outcomes_has_those_alone(folder: Path) -> None:
    """An export of some outcomes has only the rows with them, so that failed rows can be fed in again."""
    with LedgerReader.open(folder) as reader:
        count = export(reader, folder.parent / "failed.csv", [Outcome.REFUSED, Outcome.EXHAUSTED])
        assert export(reader, folder.parent / "none.csv", []) == 0
    assert count == 2
    assert [row["contact"] for row in read_csv(folder.parent / "failed.csv")] == ["b-0", "a-1"]
    assert read_csv(folder.parent / "none.csv") == []
    with LedgerReader.open(folder) as reader:
        assert export(reader, folder.parent / "none.parquet", []) == 0
    assert pq.ParquetFile(folder.parent / "none.parquet").num_row_groups == 0


def test_rows_that_were_in_flight_at_a_crash_are_exported_in_doubt(tmp_path: Path) -> None:
    """Rows that were in flight at a crash are exported without an outcome, in doubt, with the details of their sending."""
    with open_ledger(tmp_path / "L", a_source(4)) as ledger:
        ledger.write([sent(1, (0, [0, 1, 2]))], NOW)
        ledger.write([ended(1), returned(0, in_doubt=True), returned(1), settled(2, 1), sent(2, (0, [3]))], NOW + 1)
        rows = pq.read_table(exported(tmp_path / "L", "during.parquet")).to_pylist()
    assert [row["outcome"] for row in rows] == [None, None, "purged", None]
    assert [row["in_doubt"] for row in rows] == [True, False, False, True]
    assert [row["attempts"] for row in rows] == [1, 1, 1, 1]
    assert [row["client_request_id"][-1] for row in rows] == ["1", "1", "1", "2"]


def test_export_of_shuffled_rows_stands_in_input_order(tmp_path: Path) -> None:
    """An export stands in input order, whatever the order of the input's mailboxes and of the sending."""
    rows = [row for name in "abc" for row in rows_of(name, 4_000)]
    random.Random(3).shuffle(rows)
    with open_ledger(tmp_path / "L", FakeSource(rows)) as ledger:
        settle_even_positions(ledger)
        sent_rows = set(ledger.rows_of(range(0, 12_000, 2)))
    table = pq.read_table(exported(tmp_path / "L", "out.parquet"))
    assert table.column("contact").to_pylist() == [row[2] for row in rows]
    outcomes = table.column("outcome").to_pylist()
    assert {row for row, outcome in enumerate(outcomes) if outcome == "purged"} == sent_rows


def settle_even_positions(ledger: Ledger) -> None:
    for mailbox in range(3):
        batch, positions = mailbox + 1, range(4_000 * mailbox, 4_000 * (mailbox + 1))
        ledger.write([sent(batch, (mailbox, positions))], NOW)
        fates = [settled(p, batch) if p % 2 == 0 else returned(p) for p in positions]
        ledger.write([ended(batch), *fates], NOW)


def test_compressed_csv_has_the_same_text(folder: Path) -> None:
    """An export with the ending .csv.gz is gzip with the same text."""
    plain, packed = exported(folder, "a.csv"), exported(folder, "b.csv.gz")
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()


def test_progress_counts_the_rows_of_the_input(folder: Path) -> None:
    """The progress of an export counts all rows of the input, even if few are written."""
    told: list[int] = []
    exported(folder, only=[Outcome.PURGED], on_progress=told.append)
    assert told[-1] == 7


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.txt"])
def test_unknown_ending_is_refused(folder: Path, name: str) -> None:
    """An export with an unknown ending is refused, because the ending decides the format."""
    with pytest.raises(UsageProblem, match=r"\.csv, \.csv\.gz, \.parquet"):
        exported(folder, name)


def test_a_name_that_no_file_can_have_is_refused(folder: Path) -> None:
    """A file name with a NUL character raises `UsageProblem` with a sentence."""
    with pytest.raises(UsageProblem) as raised:
        exported(folder, "a\0.csv")
    named = repr(str(folder.parent / "a\0.csv"))
    assert str(raised.value) == f"{named} holds a NUL character, which no file has in its name. Name another."


def test_scratch_space_is_taken_where_the_file_is_to_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export takes its scratch space in the folder of the file, because that disk has room for the rows."""
    asked: list[Any] = []

    def noted(connection: Any, parts: Any, names: Any, scratch: Any) -> RowStates:
        asked.append(scratch)
        return RowStates(connection, parts, names, scratch)

    monkeypatch.setattr("purgeengine.edges.ledger.views.rows.RowStates", noted)
    (folder.parent / "else").mkdir()
    assert exported(folder, "else/out.csv").exists()
    assert asked == [folder.parent / "else"]


def test_failed_export_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed export leaves nothing behind, and an older file of that name stays as it was."""
    out = folder.parent / "out.csv"
    out.write_text("precious", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("purgeengine.edges.ledger.outputs.exporting._CsvFile.write", full)
    with pytest.raises(LedgerError) as raised:
        exported(folder)
    assert str(raised.value) == f"{out} cannot be written: the disk is full. Free some space and export again."
    assert out.read_text(encoding="utf-8") == "precious"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["L", "out.csv"]


def test_missing_target_folder_is_a_sentence(folder: Path) -> None:
    """An export to a missing folder is refused with a sentence that says so."""
    with pytest.raises(UsageProblem, match="there is no folder"):
        exported(folder, "missing/out.csv")


def test_damaged_input_part_stops_the_export(folder: Path) -> None:
    """A damaged part file of the input stops the export with the file's name, and leaves no incomplete export."""
    part = folder / "input" / "part-00000.parquet"
    data = bytearray(part.read_bytes())
    data[60] ^= 0xFF
    part.write_bytes(data)
    with pytest.raises(LedgerError, match=r"part-00000\.parquet is damaged"):
        exported(folder)
    assert not (folder.parent / "out.csv").exists()
