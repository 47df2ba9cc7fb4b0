"""The inputs: many mailboxes, one with a fifth of all rows.

They are sorted by mailbox, shuffled, or shuffled over several files.

Ids look like Graph's: 152 characters, most of which the contacts of a mailbox share. One row in a thousand repeats
one that stands far away, and one in 100,000 is invalid.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow
import pyarrow.compute
import pyarrow.parquet

pa: Any = pyarrow
pc: Any = pyarrow.compute
pq: Any = pyarrow.parquet

Order = Literal["sorted", "shuffled"]
Format = Literal["csv", "parquet"]

MAILBOX_ROWS = 160
"""Rows of each mailbox but the largest. So 10,000,000 rows are in 50,001 mailboxes."""
GIANT_SHARE = 5
"""The largest mailbox has one row in this many."""
REPEATED_EVERY, INVALID_EVERY = 1_000, 100_000
CHUNK_ROWS = 65_536
GROUP_ROWS = 1_048_576
"""Rows of a Parquet group, as pyarrow and pandas write it by default."""
COLUMNS = ("user", "folder", "contact", "displayName")


class Job(NamedTuple):
    """What to write: the number of rows, their order, the format, and the number of files."""

    rows: int
    order: Order
    format: Format
    files: int = 1


def write_input(folder: Path, job: Job) -> list[Path]:
    """Write the input to a new folder. Return the files in their order."""
    folder.mkdir(parents=True)
    numbers = _numbers(job)
    table = _ids(job.rows)
    files = []
    for number in range(job.files):
        path = folder / f"contacts-{number:02d}.{job.format}"
        first, end = job.rows * number // job.files, job.rows * (number + 1) // job.files
        write = _write_csv if job.format == "csv" else _write_parquet
        write(path, _chunks(numbers.slice(first, end - first), job.rows, table))
        files.append(path)
    return files


def _numbers(job: Job) -> Any:
    """Return, for each place, the row that stands there: its number in the sorted list."""
    if job.order == "sorted":
        return pa.array(range(job.rows), pa.int64())
    return pc.sort_indices(pc.random(job.rows, initializer=7)).cast(pa.int64())


def _ids(rows: int) -> tuple[Any, Any]:
    """Return the beginning and the middle of the ids of each mailbox."""
    mailboxes = rows // MAILBOX_ROWS + 2
    words = [
        urlsafe_b64encode(blake2b(b"%d" % number, digest_size=45).digest()).decode() for number in range(mailboxes)
    ]
    return (
        pa.array(
            [f"AAMkAG{word[:40]}LgBGAAAAAAC{word[40:60]}BwB{word[20:60]}AAAAAAEOAAB{word[5:21]}" for word in words]
        ),
        pa.array([f"user{number:06d}@contoso.example" for number in range(mailboxes)]),
    )


def _chunks(numbers: Any, rows: int, table: tuple[Any, Any]) -> Iterator[Any]:
    heads, users = table
    giant_rows = rows // GIANT_SHARE
    giant_first = (rows - giant_rows) * 7 // 10
    for start in range(0, len(numbers), CHUNK_ROWS):
        at = numbers.slice(start, CHUNK_ROWS)
        # A repeated row repeats the one that stands half the list away.
        repeats = pc.equal(_modulo(at, REPEATED_EVERY), REPEATED_EVERY // 2)
        at = pc.if_else(repeats, _modulo(pc.add(at, rows // 2 + 1), rows), at)
        beyond = pc.greater_equal(at, giant_first + giant_rows)
        small = pc.add(pc.divide(pc.subtract(at, pc.if_else(beyond, giant_rows, 0)), MAILBOX_ROWS), 1)
        in_giant = pc.and_(pc.greater_equal(at, giant_first), pc.invert(beyond))
        mailbox = pc.if_else(in_giant, 0, small)
        number = pc.ascii_lpad(at.cast(pa.string()), 9, padding="0")
        contact = pc.binary_join_element_wise(heads.take(mailbox), number, "AAA=", "")
        invalid = pc.equal(_modulo(at, INVALID_EVERY), INVALID_EVERY // 3)
        contact = pc.if_else(invalid, pc.binary_join_element_wise(contact, "/x", ""), contact)
        name = pc.binary_join_element_wise("Contact ", number, "")
        folder = pa.repeat(pa.scalar("", pa.string()), len(at))
        yield pa.Table.from_arrays([users.take(mailbox), folder, contact, name], names=list(COLUMNS))


def _modulo(numbers: Any, by: int) -> Any:
    return pc.subtract(numbers, pc.multiply(pc.divide(numbers, by), by))


def _write_csv(path: Path, chunks: Iterator[Any]) -> None:
    with path.open("wb") as out:
        out.write(",".join(COLUMNS).encode() + b"\n")
        for chunk in chunks:
            lines = pc.binary_join_element_wise(*(column.combine_chunks() for column in chunk.columns), ",")
            lines = pc.binary_join_element_wise(lines, "\n", "")
            _, ends, data = lines.buffers()
            out.write(memoryview(data)[: memoryview(ends).cast("i")[len(lines)]])


def _write_parquet(path: Path, chunks: Iterator[Any]) -> None:
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    with pq.ParquetWriter(path, schema) as writer:
        pending: list[Any] = []
        for chunk in chunks:
            pending.append(chunk)
            if len(pending) * CHUNK_ROWS >= GROUP_ROWS:
                writer.write_table(pa.concat_tables(pending), row_group_size=GROUP_ROWS)
                pending.clear()
        if pending:
            writer.write_table(pa.concat_tables(pending), row_group_size=GROUP_ROWS)
