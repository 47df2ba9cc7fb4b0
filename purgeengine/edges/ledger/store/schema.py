"""The tables of ``ledger.sqlite``: what they mean, and their version. This module knows SQL; it does not know files or Graph.

Times are whole milliseconds since 1970 in UTC. A valid, unique row goes by its ``position``: its index in the order
of sending, where the rows of a mailbox are neighbours (see `purgeengine.edges.ledger.staging.row_order`). Mailbox 0
owns the positions from 0 on. Such a row is in exactly one of four states:

1. A range (``first``, ``rows``) of ``outcome`` covers it: the row is settled, for good. 2. ``attempt`` has a row for
it: it was sent before, and it is in flight again or will be sent again. 3. The range (``first``, ``fresh``) of a
``part`` covers it, and that batch has no end: it is in flight for the first time. 4. None of these: it was never
sent. In a closed mailbox that means skipped.

A row of ``part`` is a mailbox share: the rows of one mailbox in one batch.

The rows of a mailbox keep the order of the input, except that rows which an earlier ledger left in doubt come first.

Neighbours that are sent and settled alike, as nearly all are, share a row of a table, because an insert costs more
than all other work for a row.
"""

from __future__ import annotations

import zlib

from purgeengine.core.model import Outcome

APPLICATION_ID = 0x50555247
"""Marks the database as one of purgeengine ("PURG"), for tools such as ``file``."""
VERSION = 1
"""Version of the tables and of the files beside them. A newer one is refused, because this program cannot know its meaning."""


def _sum(columns: str) -> str:
    """Return an SQL expression whose value changes when any of these columns changes, so that damage does not pass for data."""
    assert len(columns.split()) <= len(WEIGHTS)
    weighted = zip(WEIGHTS, columns.split(), strict=False)
    return f"({' + '.join(f'{weight} * coalesce({column}, -{weight})' for weight, column in weighted)}) % 2147483647"


WEIGHTS = (31, 127, 257, 521, 1031, 2053, 4099, 8209, 16411)
"""Primes, small enough that no weighted sum of times exceeds 64 bits."""
SEALS = {
    "mailbox": _sum("number first rows closed_ms detail blocked_until_ms blocked_set_ms waits"),
    "run": _sum("blocked_until_ms blocked_set_ms"),
    "detail": _sum("id status crc"),
    "batch": _sum("number crc sent_ms ended_ms status"),
    "part": _sum("batch mailbox rows first fresh"),
    "attempt": _sum("position number failures in_doubt first_sent_ms batch"),
    "outcome": _sum("first rows outcome detail attempts in_doubt first_sent_ms settled_ms batch"),
    "doubt": _sum("mailbox rows"),
    "seen": _sum("mailbox at_ms rows"),
    "start": _sum("at_ms crc"),
}
"""For each table, the expression of its column ``seal``, which was computed when the row was written."""
_SEAL = {table: f"seal INTEGER AS ({expression}) STORED" for table, expression in SEALS.items()}

TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE file (
    name TEXT PRIMARY KEY,          -- below the folder, as in work/part-00000.parquet
    bytes INTEGER NOT NULL,
    footer_crc INTEGER NOT NULL     -- CRC-32 of the part of a Parquet file that its own checksums leave out
) WITHOUT ROWID;
CREATE TABLE mailbox (
    number INTEGER PRIMARY KEY,
    user TEXT NOT NULL,             -- as first spelt in the input, and as it is sent
    key TEXT NOT NULL,              -- the one spelling of that name
    first INTEGER NOT NULL,         -- position of its first row
    rows INTEGER NOT NULL,
    closed_ms INTEGER,
    detail INTEGER,                 -- why it was closed
    blocked_until_ms INTEGER,
    blocked_set_ms INTEGER,         -- when that was said: a clock that is behind this has been turned back
    waits INTEGER NOT NULL DEFAULT 0, -- how often it had to wait
    {_SEAL["mailbox"]}
);
CREATE UNIQUE INDEX mailbox_first ON mailbox (first);
CREATE TABLE resolved (             -- the names of the input that were looked up, if any were
    key TEXT PRIMARY KEY,           -- the one spelling of a name
    object_id TEXT,                 -- of the user behind it, NULL where there is none. Names that share it are one mailbox
    upn TEXT                        -- of that user, in the one spelling
) WITHOUT ROWID;
CREATE TABLE run (blocked_until_ms INTEGER NOT NULL, blocked_set_ms INTEGER NOT NULL, {_SEAL["run"]});
INSERT INTO run VALUES (0, 0);
CREATE TABLE detail (
    id INTEGER PRIMARY KEY,
    status INTEGER NOT NULL,        -- 0 where no answer came
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    crc INTEGER NOT NULL,           -- CRC-32 of what was said
    {_SEAL["detail"]},
    UNIQUE (status, code, message)
);
CREATE TABLE batch (
    number INTEGER PRIMARY KEY,
    client_request_id NOT NULL,     -- 16 bytes where it is a UUID, else text
    request_id,                     -- the same
    sent_ms INTEGER NOT NULL,
    ended_ms INTEGER,               -- NULL while in flight, and for ever if the process died then
    status INTEGER,                 -- NULL when no answer came
    crc INTEGER NOT NULL,           -- CRC-32 of the one id, plus that of the other once it is there
    {_SEAL["batch"]}
);
CREATE INDEX batch_in_flight ON batch (number) WHERE ended_ms IS NULL;
CREATE TABLE part (
    batch INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    first INTEGER NOT NULL,         -- the rows sent for the first time: positions first to first + fresh - 1
    fresh INTEGER NOT NULL,
    {_SEAL["part"]},
    PRIMARY KEY (batch, mailbox)
) WITHOUT ROWID;
CREATE TABLE attempt (
    position INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,        -- sendings, the latest included
    failures INTEGER NOT NULL,
    in_doubt INTEGER NOT NULL,
    first_sent_ms INTEGER,          -- NULL when it never left
    batch INTEGER NOT NULL,         -- the latest
    {_SEAL["attempt"]}
);
CREATE TABLE outcome (
    first INTEGER PRIMARY KEY,      -- a run of rows of one mailbox that were settled alike, together
    rows INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    detail INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    in_doubt INTEGER NOT NULL,
    first_sent_ms INTEGER,          -- NULL when its only batch says it
    settled_ms INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    {_SEAL["outcome"]}
);
CREATE TABLE doubt (                -- the first rows of these mailboxes were left in doubt by an earlier ledger
    mailbox INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL,
    {_SEAL["doubt"]}
);
CREATE TABLE seen (                 -- what the service had seen of a mailbox when this ledger was made, by an earlier one's doing
    mailbox INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    {_SEAL["seen"]}
);
CREATE TABLE start (                -- every run over this ledger that had something to do
    at_ms INTEGER NOT NULL,
    options TEXT NOT NULL,          -- JSON: what the run was asked for
    crc INTEGER NOT NULL,           -- CRC-32 of that
    {_SEAL["start"]}
);
CREATE VIEW failed AS SELECT * FROM outcome WHERE outcome IN (3, 4);  -- refused, exhausted
-- Ranges of rows that are in flight for the first time, or were when the process died.
CREATE VIEW fresh AS SELECT part.first AS first, part.first + part.fresh AS end, part.batch AS batch, batch.sent_ms AS sent_ms,
    batch.client_request_id AS client_request_id
FROM batch JOIN part ON part.batch = batch.number WHERE batch.ended_ms IS NULL AND part.fresh > 0;
-- Mailboxes with their first row that was never sent, apart from those in fresh: rows are sent in ascending order.
CREATE VIEW progress AS SELECT mailbox.*, mailbox.first + mailbox.rows AS end, max(
    mailbox.first,
    coalesce((SELECT run.first + run.rows FROM outcome AS run
              WHERE run.first >= mailbox.first AND run.first < mailbox.first + mailbox.rows ORDER BY run.first DESC LIMIT 1), 0),
    coalesce((SELECT position + 1 FROM attempt WHERE position >= mailbox.first AND position < mailbox.first + mailbox.rows
              ORDER BY position DESC LIMIT 1), 0)
) AS next FROM mailbox;
"""  # noqa: S608 - nothing in it comes from outside
OUTCOME_CODES: dict[Outcome, int] = {
    Outcome.PURGED: 1,
    Outcome.ABSENT: 2,
    Outcome.REFUSED: 3,
    Outcome.EXHAUSTED: 4,
    Outcome.INVALID: 5,
    Outcome.DUPLICATE: 6,
    Outcome.SKIPPED: 7,
}
"""The number that stores each outcome. A number is never reused."""
OUTCOMES = {code: outcome for outcome, code in OUTCOME_CODES.items()}


def crc_of(*values: object) -> int:
    """Return the CRC-32 of these values as they are stored."""
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))
