"""Open a ledger that was damaged, or forged by somebody who handed it over. The input is a list of edits to a small real one.

1. ``status`` and ``export`` end with 0 or 5, with a sentence and never a traceback. Nothing in the ledger controls the terminal, and
   no cell of the export runs in a spreadsheet.
2. Opening it to resume raises only `LedgerError` and `LedgerMismatch`. Whatever would be sent has one of the two shapes.
"""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from functools import cache
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from purgeengine.cli.main import run
from purgeengine.core.messages import MailboxBlocked, MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.store.parts import footer_of
from purgeengine.errors import LedgerError, LedgerMismatch
from tests.support.ledger_fixtures import NOW, FakeSource, ended, open_ledger, returned, rows_of, sent, settled
from tests.support.oracles import FORMULA_STARTS, check_urls, is_quiet

TOKENS = (
    b"SQLite format 3\x00",
    b"PAR1",
    b"\x1b[2J",
    b"ann@x\n",
    b"CREATE TABLE",
    b"\xff\xff\xff\xff",
    b'"rows"',
    b'["a"]',
    b"-1",
)
SOURCE = FakeSource(
    [
        *((user, folder, contact, "=note") for user, folder, contact in rows_of("a", 5) + rows_of("b", 4) + rows_of("c", 3)),
        ("nobody", "", "x", "invalid"),
        (*rows_of("a", 1)[0], "duplicate"),
    ],
    extra_columns=("Note",),
)  # fmt: skip
TABLES = {
    "meta": ("key", "value"),
    "file": ("name", "bytes", "footer_crc"),
    "mailbox": ("number", "user", "key", "first", "rows", "closed_ms", "detail", "blocked_until_ms", "blocked_set_ms", "waits"),
    "run": ("blocked_until_ms", "blocked_set_ms"),
    "detail": ("id", "status", "code", "message"),
    "batch": ("number", "client_request_id", "request_id", "sent_ms", "ended_ms", "status"),
    "part": ("batch", "mailbox", "rows", "first", "fresh"),
    "attempt": ("position", "number", "failures", "in_doubt", "first_sent_ms", "batch"),
    "outcome": ("first", "rows", "outcome", "detail", "attempts", "in_doubt", "first_sent_ms", "settled_ms", "batch"),
}  # fmt: skip
CELLS = [f"{table}.{column}" for table, columns in TABLES.items() for column in columns]
VALUES: tuple[Any, ...] = (
    None, 0, 1, -1, 3, 7, 99, 2**31, 2**53, 2**62, -(2**63), 1.5, float("inf"), "", "x", "\x1b[2J", "\x9b31m\u202e", "=cmd()", "../x", b"", b"\xff" * 16,
    b"16 bytes or more", '"x"', "[]", "{}", "null", '["Note"]', '["\\u001b[2J"]', '["a","a"]', "[1]", "1e999", "-1", '"' + "n" * 3_000,
    "../../etc/passwd", "input/part-00000.parquet", "work/part-00000.parquet",
)  # fmt: skip
ITEMS_LOOKED_AT = 40


class Bytes:
    """The input, taken a number or some bytes at a time. Zeros when it is used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bool__(self) -> bool:
        return bool(self._data)

    def take(self, count: int) -> bytes:
        """Take so many bytes, or what is left."""
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def number(self, below: int) -> int:
        """Take a number from 0 to ``below - 1``. 0 if nothing is left."""
        return int.from_bytes(self.take(1 if below <= 256 else 2), "big") % max(below, 1)


def case(data: bytes) -> None:
    """Check one ledger."""
    with TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = Path(scratch) / "L"
        for name, content in original().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        edits = Bytes(data)
        while edits:
            # An edit that is impossible on a file that an earlier edit has broken is skipped.
            with suppress(OSError, sqlite3.Error, pa.ArrowException, ValueError, LookupError):
                EDITS[edits.number(len(EDITS))](folder, edits)
        look_at(folder)
        go_on(folder)


@cache
def original() -> dict[str, bytes]:
    """Return the files of a ledger with everything in it: settled, refused, returned, in flight, closed, blocked, waiting."""
    with TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = Path(scratch) / "L"
        with open_ledger(folder, SOURCE) as ledger:
            denied = Reply(403, "ErrorAccessDenied", "Access to OData is disabled.")
            ledger.write([sent(1, (0, [0, 1, 2]), (1, [5]))], NOW)
            first = [ended(1), settled(0, 1), settled(1, 1), returned(2, in_doubt=True), MailboxBlocked(0, 5.0)]
            closing = [settled(5, 1, Outcome.REFUSED, reply=denied), MailboxClosed(1, denied, 3)]
            ledger.write([*first, *closing, sent(2, (2, [9, 10]))], NOW + 1_000)
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ------------------------------------------------------------------------------------------------------------------ the edits


def some_file(folder: Path, edits: Bytes) -> Path:
    """Choose one of the ledger's files; the database as often as all others together."""
    names = sorted(original())
    number = edits.number(2 * len(names))
    return folder / (names[number] if number < len(names) else "ledger.sqlite")


def overwrite(folder: Path, edits: Bytes) -> None:
    """Overwrite some bytes, anywhere."""
    path = some_file(folder, edits)
    content = bytearray(path.read_bytes())
    place = edits.number(min(len(content), 65_536))
    new = edits.take(1 + edits.number(32))
    content[place : place + len(new)] = new
    path.write_bytes(content)


def cut(folder: Path, edits: Bytes) -> None:
    """Cut off the end of a file."""
    path = some_file(folder, edits)
    content = path.read_bytes()
    path.write_bytes(content[: edits.number(min(len(content), 65_536))])


def remove(folder: Path, edits: Bytes) -> None:
    """Remove a file."""
    some_file(folder, edits).unlink()


def exchange(folder: Path, edits: Bytes) -> None:
    """Give a file the content of another one."""
    some_file(folder, edits).write_bytes(some_file(folder, edits).read_bytes())


def become_folder(folder: Path, edits: Bytes) -> None:
    """Put a folder in the place of a file."""
    path = some_file(folder, edits)
    path.unlink()
    path.mkdir()


def set_cell(folder: Path, edits: Bytes) -> None:
    """Change a column of the database, in one row or in all."""
    table, column = CELLS[edits.number(len(CELLS))].split(".")
    value, place = VALUES[edits.number(len(VALUES))], edits.number(8)
    keys = {"meta": "key", "file": "name", "part": "batch"}
    key = keys.get(table, "rowid")
    where = "" if place == 7 else f"WHERE {key} = (SELECT {key} FROM {table} LIMIT 1 OFFSET {place})"
    on_database(folder, f"UPDATE {table} SET {column} = ? {where}", (value,))


def delete_rows(folder: Path, edits: Bytes) -> None:
    """Empty a table, or drop it."""
    table = list(TABLES)[edits.number(len(TABLES))]
    on_database(folder, f"DELETE FROM {table}" if edits.number(2) else f"DROP TABLE {table}")


def set_version(folder: Path, edits: Bytes) -> None:
    """Change the version of the format, or the mark of the database's owner."""
    on_database(folder, f"PRAGMA {('user_version', 'application_id')[edits.number(2)]} = {edits.number(256)}")


def forge_part(folder: Path, edits: Bytes) -> None:
    """Replace a Parquet file by another table whose checksums are right."""
    part = sorted(name for name in original() if name.endswith(".parquet"))[edits.number(3)]
    table: Any = pq.read_table(folder / part)
    column = edits.number(table.num_columns)
    name = table.column_names[column]
    text = edits.take(12).decode("utf-8", "replace")
    changed: Callable[[], Any] = [
        lambda: table.slice(1),
        lambda: pa.concat_tables([table, table]),
        lambda: table.drop_columns([name]),
        lambda: table.set_column(column, name, pa.nulls(table.num_rows, table.schema.field(column).type)),
        lambda: table.set_column(column, name, pa.array([text] * table.num_rows)),
        lambda: table.set_column(column, name, pa.array([len(text) - 6] * table.num_rows)),
        lambda: table.set_column(column, name, pa.array([[text]] * table.num_rows)),
        lambda: table.rename_columns([text if other == name else other for other in table.column_names]),
    ][edits.number(8)]
    pq.write_table(changed(), folder / part, write_page_checksum=True, row_group_size=512 >> edits.number(9))
    adopt(folder, part)


def adopt(folder: Path, part: str) -> None:
    """Let the database accept the Parquet file as it is."""
    on_database(folder, "UPDATE file SET bytes = ?, footer_crc = ? WHERE name = ?", (*footer_of(folder / part), part))


def adopt_all(folder: Path, edits: Bytes) -> None:
    """Let the database accept all Parquet files, whatever was done to them."""
    for part in original():
        if part.endswith(".parquet"):
            adopt(folder, part)


def add_stranger(folder: Path, edits: Bytes) -> None:
    """Add a file that does not belong there."""
    name = ("staging", "ledger.sqlite-journal", "ledger.sqlite-wal", "ledger.sqlite-shm", "reserve", "notes.txt")[
        edits.number(6)
    ]
    (folder / name).write_bytes(edits.take(edits.number(64)))


def on_database(folder: Path, statement: str, values: tuple[Any, ...] = ()) -> None:
    """Run a statement as a stranger would, on whatever the database then is."""
    connection = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
    try:
        connection.execute(statement, values)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


EDITS: tuple[Callable[[Path, Bytes], None], ...] = (
    overwrite, cut, remove, exchange, become_folder, set_cell, set_cell, set_cell, delete_rows, set_version, forge_part, forge_part,
    adopt_all, add_stranger,
)  # fmt: skip

# ------------------------------------------------------------------------------------------------------- and what must hold


def look_at(folder: Path) -> None:
    """Look at the ledger as a user does."""
    out = folder.parent / "out.csv"
    for arguments in (["status", str(folder)], ["status", str(folder), "--json"], ["export", str(folder), str(out)]):
        with ExitStack() as stack:
            said = io.StringIO()
            stack.enter_context(redirect_stdout(said))
            stack.enter_context(redirect_stderr(said))
            code = run(arguments)
        assert code in (0, 5), said.getvalue()
        assert is_quiet(said.getvalue()), said.getvalue()
    if out.exists():
        with out.open(encoding="utf-8", newline="") as file:
            cells = [cell for line in csv.reader(file) for cell in line]
        assert not [cell for cell in cells if cell.startswith(FORMULA_STARTS) and not cell[1:].isdecimal()]


def go_on(folder: Path) -> None:
    """Resume the ledger as ``run`` does, up to the URLs."""
    try:
        with open_ledger(folder, SOURCE) as ledger:
            ledger.counts()
            ledger.run_blocked_for_s(NOW)
            ledger.slowest_call_s()
            check_urls(ledger.items(list(islice(unsettled(ledger), ITEMS_LOOKED_AT))))
    except (LedgerError, LedgerMismatch) as error:
        assert is_quiet(str(error)), str(error)


def unsettled(ledger: Ledger) -> Iterator[int]:
    """Yield the positions that would be sent."""
    for mailbox in ledger.mailboxes(now_utc_ms=NOW, cooldown_s=40.0, window_s=600.0):
        attempts = (attempt.position for attempt in mailbox.unsettled)
        yield from chain(attempts, range(mailbox.next, mailbox.end))
