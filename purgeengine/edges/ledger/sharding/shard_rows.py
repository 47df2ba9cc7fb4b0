"""The rows of a cut, dealt out to its shards, each as the input of a new ledger. The head is read once for all shards.

The head has its rows in the order of sending. They are put in order of their shards as staging puts rows in order of mailboxes: in
memory if they are few, otherwise by a nameless file.
"""

from __future__ import annotations

import hashlib
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
import pyarrow
import pyarrow.compute

from purgeengine.core.policy.outcomes import ORIGIN_COLUMN
from purgeengine.edges.ledger.ledger import files_of
from purgeengine.edges.ledger.running.shard_events import PlannedShard, ShardMark
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.open_rows import open_mailboxes
from purgeengine.edges.ledger.staging.names import Names, User
from purgeengine.edges.ledger.staging.takeover import Takeover
from purgeengine.edges.ledger.store.grouping import Grouping, in_order, numbers
from purgeengine.edges.ledger.store.parts import Parts
from purgeengine.edges.ledger.store.storage import WORK, reading_records
from purgeengine.errors import LedgerError

pa: Any = pyarrow
pc: Any = pyarrow.compute
CHUNK_GROUPS = 64
"""Groups of the head's rows that are read at once: 32,768 rows."""
_DEALT = pa.schema(
    [
        ("place", pa.int64()),
        ("row", pa.int64()),
        ("folder", pa.string()),
        ("contact", pa.string()),
        ("mailbox", pa.int64()),
        ("in_doubt", pa.bool_()),
    ]
)


class _Placed(NamedTuple):
    """Rows of the head from position ``first`` to ``end - 1``, which go to the places from ``place`` on."""

    first: int
    end: int
    place: int
    mailbox: int
    in_doubt: bool


class DealtRows:
    """All rows of some shards, one shard after the other. Use it as a context manager.

    ``planned`` are the shards, by number. Ask `batches` for each of them once, in ascending order.
    """

    def __init__(
        self,
        head: HeadLedger,
        mailboxes: array[int],
        shard_of: array[int],
        planned: Mapping[int, PlannedShard],
        scratch: Path,
    ) -> None:
        self.head = head
        self._mailboxes = mailboxes
        self._shard_of = shard_of
        self._planned = planned
        self._grouping = Grouping(scratch, schema=_DEALT, places=sum(shard.rows for shard in planned.values()))
        self._tables: Iterator[Any] | None = None
        self._ahead: Any = _DEALT.empty_table()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._grouping.close()

    def batches(self, number: int) -> Iterator[Any]:
        """Yield the rows of a shard in its order, as batches with row, folder, contact, mailbox and in_doubt."""
        if self._tables is None:
            self._tables = in_order(self._dealt(), self._grouping)
        left = self._planned[number].rows
        while left:
            if not self._ahead.num_rows:
                more = next(self._tables, None)
                if more is None:
                    raise ValueError("there are fewer rows than the cut has planned")
                self._ahead = more
            found = self._ahead.slice(0, left)
            self._ahead = self._ahead.slice(found.num_rows)
            left -= found.num_rows
            yield from found.combine_chunks().to_batches()

    def _dealt(self) -> Iterator[Any]:
        """Yield the rows of the head that go to one of the shards, each with its place."""
        folder, connection = self.head.folder, self.head.connection
        with reading_records(folder):
            parts = Parts(folder, files_of(connection))
            at, pieces = 0, self._placed()
            piece = next(pieces, None)
            for name in parts.names(WORK):
                for table in parts.tables(name, ["row", "folder", "contact"], CHUNK_GROUPS):
                    end = at + table.num_rows
                    found: list[_Placed] = []
                    while piece is not None and piece.first < end:
                        stop = min(piece.end, end)
                        found.append(piece._replace(end=stop))
                        if piece.end > end:
                            piece = piece._replace(first=stop, place=piece.place + stop - piece.first)
                            break
                        piece = next(pieces, None)
                    if found:
                        yield _batch(table, at, found)
                    at = end
            if piece is not None:
                raise ValueError("the records know more rows than there are to send")

    def _placed(self) -> Iterator[_Placed]:
        """Yield where the open rows go, by position."""
        places: dict[int, int] = {}
        place = 0
        for number in sorted(self._planned):
            places[number] = place
            place += self._planned[number].rows
        for mailbox, shard in zip(open_mailboxes(self.head.connection), self._shard_of, strict=True):
            if shard not in places:
                continue
            found = []
            for first, rows, in_doubt in mailbox.pieces:
                found.append(_Placed(first, first + rows, places[shard], mailbox.number, in_doubt))
                places[shard] += rows
            yield from sorted(found)


def _batch(table: Any, at: int, found: Sequence[_Placed]) -> Any:
    """Return the rows of a table, which begins at position ``at``, that go to a shard."""
    rows = [piece.end - piece.first for piece in found]
    if sum(rows) < table.num_rows:
        table = table.take(
            pa.array(list(chain.from_iterable(range(p.first - at, p.end - at) for p in found)), pa.int64())
        )
    batch = table.combine_chunks()
    if all(one.place + one.end - one.first == other.place for one, other in pairwise(found)):
        places = numbers(found[0].place, sum(rows))
    else:
        places = pa.array(
            list(chain.from_iterable(range(p.place, p.place + p.end - p.first) for p in found)), pa.int64()
        )
    ends = array("i")
    for count in rows:
        ends.append(count + (ends[-1] if ends else 0))
    index = pa.array(ends, pa.int32())

    def of_each(values: list[Any], kind: Any) -> Any:
        return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(index, pa.array(values, kind)))

    columns = [
        places,
        *(batch.column(name).combine_chunks() for name in ("row", "folder", "contact")),
        of_each([piece.mailbox for piece in found], pa.int64()),
        of_each([int(piece.in_doubt) for piece in found], pa.int8()).cast(pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_DEALT)


@dataclass(frozen=True, slots=True)
class ShardRows:
    """The rows of a shard as an input (`purgeengine.edges.ledger.staging.survey.Input`). They can be read once."""

    rows: DealtRows
    number: int
    takeover: Takeover
    mark: ShardMark
    names: Names | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The name of the head's folder, in place of input files. It has no path, because a shard is moved to other machines."""
        return (Path(self.mark.head_name),)

    @property
    def extra_columns(self) -> tuple[str, ...]:
        """The column with the row's number in the head."""
        return (ORIGIN_COLUMN,)

    @property
    def earlier(self) -> Takeover:
        """What the shard takes over from the head, and which shard it is."""
        return Takeover(
            self.mark.head,
            self.mark.head,
            self.takeover.run_blocked,
            self.takeover.blocked,
            self.takeover.seen,
            self.takeover.mailboxes,
            self.takeover.about,
            self.takeover.app_limit,
            self.names,
            msgspec.to_builtins(self.mark),
        )

    @property
    def resolve(self) -> Any:
        """What stands for the lookup of names. They were looked up for the head."""
        return None if self.names is None else (lambda _: self.names)

    def digest(self) -> str:
        """Return a digest of which shard of which cut this is."""
        again = "" if self.mark.generation == 1 else f" {self.mark.generation}"
        return hashlib.sha256(f"shard {self.mark.cut} {self.number}{again}".encode()).hexdigest()

    def batches(self) -> Iterator[Any]:
        """Yield the rows as `Source.batches` does. ``line`` is the row's number in the head."""
        count, in_doubt = 0, self.rows._planned[self.number].in_doubt > 0
        for found in self.rows.batches(self.number):
            row = found.column("row")
            columns: dict[str, Any] = {
                "row": numbers(count, found.num_rows),
                "line": row,
                "source": pa.repeat(pa.scalar(0, pa.int32()), found.num_rows),
                "user": self._users(found.column("mailbox")),
                "folder": found.column("folder"),
                "contact": found.column("contact"),
                "reason": pa.nulls(found.num_rows, pa.string()),
                ORIGIN_COLUMN: row.cast(pa.string()),
            }
            if in_doubt:
                columns["in_doubt"] = found.column("in_doubt")
            yield pa.RecordBatch.from_pydict(columns)
            count += found.num_rows

    def _users(self, mailboxes: Any) -> Any:
        encoded = mailboxes.dictionary_encode()
        users = []
        for number in encoded.dictionary.to_pylist():
            found = self.rows.head.connection.execute("SELECT user FROM mailbox WHERE number = ?", (number,)).fetchone()
            if found is None:
                raise LedgerError(f"The ledger in {self.rows.head.folder} has lost a mailbox. Restore it from a copy.")
            users.append(found[0])
        return pa.array(users, pa.string()).take(encoded.indices)


def names_by_shard(
    connection: sqlite3.Connection, mailboxes: array[int], shard_of: array[int]
) -> dict[int, dict[str, User | None]]:
    """Return the looked-up names of the users of each shard."""
    shards = dict(zip(mailboxes, shard_of, strict=True))
    keys: dict[str, int] = {}
    for number, key in connection.execute("SELECT number, key FROM mailbox"):
        if number in shards:
            keys[key] = shards[number]
    looked_up = connection.execute("SELECT key, object_id, upn FROM resolved").fetchall()
    of_user = {object_id: keys[key] for key, object_id, _ in looked_up if key in keys and object_id is not None}
    found: dict[int, dict[str, User | None]] = defaultdict(dict)
    for key, object_id, upn in looked_up:
        shard = keys.get(key, of_user.get(object_id))
        if shard is not None:
            found[shard][key] = None if object_id is None else User(object_id, upn or "")
    return dict(found)
