"""Tests of damaged ledgers: a command refuses with exit code 5 or tells the truth, and never calls a present contact gone."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.store.checking import check
from purgeengine.edges.ledger.store.database import crc_of_staged
from purgeengine.edges.ledger.store.log_check import log_is_damaged
from purgeengine.edges.ledger.store.schema import SEALS, TABLES, crc_of
from purgeengine.errors import LedgerError
from tests.disk.damage import BASES, LOG, Damage, a_folder, base_of, drawn, play_damage
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, returned, sent, settled


@pytest.mark.parametrize("part", range(6))
def test_nothing_false_is_said_of_a_damaged_ledger(part: int) -> None:
    """Cuts, changed bytes and blank sectors anywhere in a ledger make status, export and run refuse or tell the truth."""
    found = Counter[str]()
    for seed in range(part * 30, part * 30 + 30):
        found += play_damage(*drawn(seed), resumes=seed % 8 == 0)
    assert found["export 5"] > 5
    assert found["export 0"] > 5


@pytest.mark.parametrize("name", BASES)
def test_a_database_cut_anywhere_is_refused(name: str) -> None:
    """A database that was cut at any length is refused, even at the end of a page, where SQLite would not notice."""
    size = len(base_of(name).files["ledger.sqlite"])
    for place in {0, 1, 99, 100, size - 1, *range(4096, size, 4096 * 3)}:
        found = play_damage(name, Damage("ledger.sqlite", "cut", place), resumes=place % 8192 == 0)
        assert found["status 5"] == found["export 5"] == 1 or base_of(name).files.get(LOG), (name, place)


ROWS_OF_CHAINS = {
    "doubt": "INSERT INTO doubt VALUES (0, 1)",
    "seen": "INSERT INTO seen VALUES (0, 1, 1)",
    "start": f"INSERT INTO start VALUES (1, '{{}}', {crc_of('{}')})",
}
"""Rows for the tables that are empty in a ledger without an earlier one."""
SEALED = [(table, part.split(",")[0]) for table, seal in sorted(SEALS.items()) for part in seal.split("coalesce(")[1:]]
"""Every column that a seal covers."""


def test_every_number_that_is_kept_of_rows_has_its_seal() -> None:
    """Every column with a number of rows is covered by a seal, because damage in it would pass for data."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        numbers = {
            (table, name)
            for table in SEALS
            for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
            if kind == "INTEGER"
        }
    assert numbers == set(SEALED)


@pytest.fixture(scope="module")
def a_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a ledger with rows in every table."""
    folder = tmp_path_factory.mktemp("sealed") / "L"
    with open_ledger(folder, a_source(3, 2)) as ledger:
        ledger.write([sent(1, (0, [0, 1]), (1, [3])), ended(1), settled(0, 1), settled(3, 1), returned(1)], NOW)
        ledger.write([sent(2, (0, [2]))], NOW)
    return folder


@pytest.mark.parametrize(("table", "column"), SEALED)
def test_a_number_that_changed_behind_its_seal_is_damage(a_ledger: Path, table: str, column: str) -> None:
    """A number that changed without its seal is damage, although SQLite finds every page sound."""
    database = a_ledger / "ledger.sqlite"
    before = database.read_bytes()
    try:
        with closing(sqlite3.connect(database)) as connection, connection:
            if table in ROWS_OF_CHAINS:
                connection.execute(ROWS_OF_CHAINS[table])
                staged = (str(crc_of_staged(connection)),)
                connection.execute("UPDATE meta SET value = ? WHERE key = 'crc'", staged)
        LedgerReader.open(a_ledger).close()
        generated = f"seal INTEGER AS ({SEALS[table]}) STORED"
        rewrite(database, table, generated, "seal INTEGER")
        with closing(sqlite3.connect(database)) as connection, connection:
            changed = connection.execute(f"UPDATE {table} SET {column} = coalesce({column}, 0) + 1000")
        assert changed.rowcount > 0, "a row to change is missing"
        rewrite(database, table, "seal INTEGER", generated)
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with pytest.raises(LedgerError, match=rf"is damaged \(a row of {table} was changed\)\."):
            LedgerReader.open(a_ledger)
        with pytest.raises(LedgerError, match="is damaged"):
            open_ledger(a_ledger, None)
    finally:
        database.write_bytes(before)


def rewrite(database: Path, table: str, old: str, new: str) -> None:
    """Change how a table is described, without changing its rows."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = ?", (old, new, table))


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE detail SET message = 'Everything is fine.'", "a row of detail was changed"),
        ("UPDATE batch SET request_id = 'another'", "a row of batch was changed"),
        ("UPDATE batch SET client_request_id = x'00'", "a row of batch was changed"),
        ("INSERT INTO start VALUES (1, '{}', 7)", "a row of start was changed"),
        ("UPDATE mailbox SET user = 'b@fabrikam.example'", "what was staged was changed"),
        ("UPDATE meta SET value = '\"fabrikam\"' WHERE key = 'tenant_id'", "what was staged was changed"),
        ("UPDATE file SET name = 'input/part-00001.parquet' WHERE name LIKE 'input/%'", "what was staged was changed"),
        ("DELETE FROM meta WHERE key = 'crc'", "what was staged was changed"),
        ("DROP INDEX batch_in_flight", "its tables are not as they were made"),
    ],
)
def test_texts_and_tables_that_changed_are_damage(a_ledger: Path, statement: str, what: str) -> None:
    """A changed text or table is found by its checksum, and the sentence says what was changed and what to do."""
    database = a_ledger / "ledger.sqlite"
    before = database.read_bytes()
    try:
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(statement)
        with pytest.raises(LedgerError) as raised:
            LedgerReader.open(a_ledger)
    finally:
        database.write_bytes(before)
    assert str(raised.value) == (
        f"The database of the ledger in {a_ledger} is damaged ({what}). Restore the folder from a copy."
    )


def test_what_sqlite_finds_is_told_in_one_line() -> None:
    """A fault that SQLite's own check finds in two lines is reported in one line."""
    files = base_of("stopped").files
    database = bytearray(files["ledger.sqlite"])
    database[4096 + 7] = 9
    with (
        a_folder({**files, "ledger.sqlite": bytes(database)}) as folder,
        pytest.raises(LedgerError, match=r"is damaged \(\*\*\* in database main \*\*\* \w.*\)\. Restore"),
    ):
        check(folder)


def test_a_database_that_ends_within_a_page_is_damage_unless_a_log_has_the_rest() -> None:
    """A database that ends within a page is damaged, unless a log holds the rest: a crash may leave it so."""
    for name, damaged in (("stopped", True), ("killed", False)):
        files = base_of(name).files
        with a_folder({**files, "ledger.sqlite": files["ledger.sqlite"] + b"x"}) as folder:
            if damaged:
                with pytest.raises(LedgerError, match=r"is damaged \(it ends within a page\)"):
                    check(folder)
                (folder / LOG).touch()  # an empty log holds nothing
                with pytest.raises(LedgerError, match="it ends within a page"):
                    check(folder)
            else:
                check(folder)


@pytest.mark.parametrize(
    ("error", "code", "damaged"),
    [
        (sqlite3.OperationalError("disk I/O error"), sqlite3.SQLITE_IOERR_READ, False),
        (sqlite3.OperationalError("database is locked"), sqlite3.SQLITE_BUSY, False),
        (sqlite3.DatabaseError("malformed"), sqlite3.SQLITE_CORRUPT_VTAB, True),
        (sqlite3.DatabaseError("made by hand"), None, True),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"), None, True),
    ],
)
def test_what_the_system_refuses_is_no_damage(
    a_ledger: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int | None, damaged: bool
) -> None:
    """A failing disk or a database in use does not count as damage; every other error does."""
    if code is not None:
        error.sqlite_errorcode = code  # type: ignore[attr-defined]

    def raising(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("purgeengine.edges.ledger.store.checking.connect_to_read", raising)
    with pytest.raises((LedgerError, UnicodeError, sqlite3.Error)) as raised:
        check(a_ledger)
    if damaged:
        assert isinstance(raised.value, LedgerError)
        assert f"is damaged ({error})" in str(raised.value)
        assert raised.value.__cause__ is error
    else:
        assert raised.value is error


def frames(log: bytes) -> list[int]:
    """Return where the last frame of each transaction begins in a log."""
    return [place for place in range(32, len(log), 4096 + 24) if any(log[place + 4 : place + 8])]


def test_a_log_that_lost_acknowledged_transactions_is_refused() -> None:
    """A log that lost finished transactions is refused: SQLite would silently drop them, and a run would send the rows again."""
    base = base_of("killed")
    log = base.files[LOG]
    early = frames(log)[1] + 100
    with a_folder({**base.files, LOG: Damage(LOG, "flip", early).done_to(log)}) as folder:
        with pytest.raises(LedgerError, match="wal was changed or cut, and what was recorded last is lost"):
            LedgerReader.open(folder)
        with pytest.raises(LedgerError, match="wal was changed or cut"):
            open_ledger(folder, None)
        assert (folder / LOG).stat().st_size == len(log), "the log is kept for whoever can mend it"


def a_log(folder: Path, *statements: str) -> bytes:
    """Return the log after these statements, each of which is one transaction."""
    with closing(sqlite3.connect(folder / "some.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in statements:
            connection.execute(statement)
        return (folder / "some.sqlite-wal").read_bytes()


def test_only_ends_of_transactions_count(tmp_path: Path) -> None:
    """Only whole transactions count: one torn transaction of many pages is allowed, and two small lost ones are damage."""
    large = a_log(tmp_path, "CREATE TABLE t (x)", "INSERT INTO t VALUES (zeroblob(50000))")
    torn = frames(large)[-2] + 4096 + 24 + 100
    assert (len(large) - torn) // (4096 + 24) > 10
    (tmp_path / "large").write_bytes(Damage("large", "flip", torn).done_to(large))
    assert not log_is_damaged(tmp_path / "large")
    (tmp_path / "some.sqlite").unlink()
    small = a_log(tmp_path, *(f"PRAGMA user_version = {number}" for number in (1, 2, 3)))
    (tmp_path / "small").write_bytes(Damage("small", "flip", frames(small)[-2] + 100).done_to(small))
    assert log_is_damaged(tmp_path / "small")


def test_a_log_torn_in_its_last_transaction_is_what_a_power_loss_leaves(tmp_path: Path) -> None:
    """A log that lost its last transaction, or is empty, is accepted, because a power loss can leave it so."""
    log = base_of("killed").files[LOG]
    last, one_before = frames(log)[-1], frames(log)[-2]
    for damaged, expected in [
        (log, False),
        (Damage(LOG, "flip", last + 100).done_to(log), False),
        (Damage(LOG, "flip", one_before + 100).done_to(log), True),
        (Damage(LOG, "flip", 20).done_to(log), True),
        (Damage(LOG, "flip", 1).done_to(log), True),
        (log[:32], False),
        (bytes(4096), False),
        (b"", False),
    ]:
        (tmp_path / LOG).write_bytes(damaged)
        assert log_is_damaged(tmp_path / LOG) == expected
    assert not log_is_damaged(tmp_path / "none")
