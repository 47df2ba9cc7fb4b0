"""The tables of ``ledger.sqlite``: what they mean, and their version. It knows SQL and must not know files or Graph.

Times are whole milliseconds since 1970 in UTC. A valid, unique row goes by its `position`: its index in the order of sending, in
which the rows of a mailbox are neighbours and larger mailboxes come first; so mailbox 0 is the largest, and owns the positions
from 0. Such a row is in exactly one of four states:

1. it lies in a run (``first``, ``rows``) of ``outcome``: settled, for good;
2. it has a row in ``attempt``: sent before, to be sent again or in flight again;
3. it lies in the fresh range (``first``, ``fresh``) of a ``part`` of a batch without end: in flight for the first time;
4. none of these: never sent. In a closed mailbox that means skipped.

The rows of a mailbox keep the order of the input, except that those which an earlier ledger left in doubt come first.

Neighbours that are sent and settled alike, as nearly all are, share a row: an insert costs more than the rest of a row's way.
"""

from __future__ import annotations

from purgeengine.core.model import Outcome

APPLICATION_ID = 0x50555247
"""Marks the database as ours ("PURG") for tools such as ``file``."""
VERSION = 2
"""Of the tables and the files beside them. A newer one is refused: it may mean what this program cannot know."""

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE file (
    name TEXT PRIMARY KEY,          -- below the folder, as in work/part-00000.parquet
    bytes INTEGER NOT NULL,
    footer_crc INTEGER NOT NULL     -- CRC-32 of the part of a Parquet file that its own checksums leave out
) WITHOUT ROWID;
CREATE TABLE mailbox (
    number INTEGER PRIMARY KEY,
    user TEXT NOT NULL,             -- as first spelt in the input, and as it is sent
    key TEXT NOT NULL,              -- the one spelling by which mailboxes are told apart
    first INTEGER NOT NULL,         -- position of its first row
    rows INTEGER NOT NULL,
    closed_ms INTEGER,
    detail INTEGER,                 -- why it was closed
    blocked_until_ms INTEGER,
    blocked_set_ms INTEGER,         -- when that was said: a clock that is behind this has been turned back
    waits INTEGER NOT NULL DEFAULT 0  -- how often it had to wait
);
CREATE UNIQUE INDEX mailbox_first ON mailbox (first);
CREATE TABLE run (blocked_until_ms INTEGER NOT NULL, blocked_set_ms INTEGER NOT NULL);
INSERT INTO run VALUES (0, 0);
CREATE TABLE detail (
    id INTEGER PRIMARY KEY,
    status INTEGER NOT NULL,        -- 0 where no answer came
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    UNIQUE (status, code, message)
);
CREATE TABLE batch (
    number INTEGER PRIMARY KEY,
    client_request_id NOT NULL,     -- 16 bytes where it is a UUID, else text
    request_id,                     -- the same
    sent_ms INTEGER NOT NULL,
    ended_ms INTEGER,               -- NULL while in flight, and for ever if the process died then
    status INTEGER                  -- NULL when no answer came
);
CREATE INDEX batch_in_flight ON batch (number) WHERE ended_ms IS NULL;
CREATE TABLE part (
    batch INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    first INTEGER NOT NULL,         -- the rows sent for the first time: positions first to first + fresh - 1
    fresh INTEGER NOT NULL,
    PRIMARY KEY (batch, mailbox)
) WITHOUT ROWID;
CREATE TABLE attempt (
    position INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,        -- sendings, the latest included
    failures INTEGER NOT NULL,
    in_doubt INTEGER NOT NULL,
    first_sent_ms INTEGER,          -- NULL when it never left
    batch INTEGER NOT NULL          -- the latest
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
    batch INTEGER NOT NULL
);
CREATE TABLE doubt (                -- the first rows of these mailboxes were left in doubt by an earlier ledger
    mailbox INTEGER PRIMARY KEY,
    rows INTEGER NOT NULL
);
CREATE TABLE seen (                 -- what the service had seen of a mailbox when this ledger was made, by an earlier one's doing
    mailbox INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    rows INTEGER NOT NULL
);
CREATE TABLE start (                -- every run over this ledger that had something to do
    at_ms INTEGER NOT NULL,
    options TEXT NOT NULL           -- JSON: what the run was asked for
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
"""
SINCE_VERSION_2 = """
CREATE TEMP TABLE doubt (mailbox INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TEMP TABLE seen (mailbox INTEGER NOT NULL, at_ms INTEGER NOT NULL, rows INTEGER NOT NULL);
CREATE TEMP TABLE start (at_ms INTEGER NOT NULL, options TEXT NOT NULL);
"""
"""What a ledger of version 1 lacks, empty, beside it: such ledgers know no earlier ones, and not when they were run."""
OUTCOME_CODES: dict[Outcome, int] = {
    Outcome.PURGED: 1,
    Outcome.ABSENT: 2,
    Outcome.REFUSED: 3,
    Outcome.EXHAUSTED: 4,
    Outcome.INVALID: 5,
    Outcome.DUPLICATE: 6,
    Outcome.SKIPPED: 7,
}
"""How outcomes are stored; the numbers are never reused."""
OUTCOMES = {code: outcome for outcome, code in OUTCOME_CODES.items()}
