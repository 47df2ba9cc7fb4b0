"""Read the rows to send, a few at a time and for many mailboxes in turn, from files that hold many rows."""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pyarrow.compute
import pyarrow.parquet as pq

from purgeengine.core.graph.identifiers import ID_LENGTH_MAX, is_id, of_id_characters, user_problem
from purgeengine.core.model import FolderRows, Item
from purgeengine.edges.ledger.store.parts import PART_ROWS_MAX, WORK_GROUP_ROWS, Parts, part_name, reading
from purgeengine.edges.ledger.store.storage import WORK

pc: Any = pyarrow.compute

CACHE_BYTES_MAX = 24 << 20
"""Bytes of rows kept in memory: about 300 groups with long ids.

So 300 mailboxes can take turns without a group being read twice.
"""
OPEN_FILES_MAX = 16
USERS_CACHED_MAX = 4_096


class _Group:
    """Neighbouring rows in memory, whose ids are checked once more.

    A folder that repeats is kept once; a contact is cut out of one long text when it is asked for. The ids are
    checked all at once, because somebody may have changed the ledger. Raises ValueError if one is not an id.
    """

    __slots__ = ("_contacts", "_ends", "_folder_of_row", "_folders", "size_bytes")

    def __init__(self, table: Any) -> None:
        folders = table.column("folder").combine_chunks()
        self._folders: list[str] = folders.dictionary.to_pylist()
        self._folder_of_row: list[int] = folders.indices.to_pylist() if len(self._folders) > 1 else []
        contacts = table.column("contact").combine_chunks()
        _, ends, data = contacts.buffers()
        self._ends = memoryview(ends).cast("i")[contacts.offset : contacts.offset + len(contacts) + 1]
        self._contacts = memoryview(data)[: self._ends[-1]].tobytes().decode("ascii")
        lengths = pc.binary_length(contacts)
        right = (
            of_id_characters(self._contacts) and 0 < pc.min(lengths).as_py() <= pc.max(lengths).as_py() <= ID_LENGTH_MAX
        )
        if not right or any(folder and not is_id(folder) for folder in self._folders):
            raise ValueError("a row to send has an id that is none")
        self.size_bytes = len(self._contacts) + 16 * len(contacts) + sum(map(len, self._folders)) + 1_000

    def folder_rows(self, user: str, start: int, end: int) -> Iterator[FolderRows]:
        """Yield the rows ``start`` to ``end - 1`` of the group, by folder."""
        text = self._contacts
        contacts = [text[begin:stop] for begin, stop in pairwise(self._ends[start : end + 1].tolist())]
        if len(self._folders) == 1:
            yield FolderRows(user, self._folders[0], contacts)
            return
        for folder, same in groupby(self._folder_of_row[start:end]):
            rows = sum(1 for _ in same)
            yield FolderRows(user, self._folders[folder], contacts[:rows])
            del contacts[:rows]


class WorkRows:
    """Tells which row stands at a position.

    Its methods raise `LedgerError` if the file that holds the row is damaged, and ValueError if the row was changed
    into one that cannot be sent.
    """

    def __init__(self, folder: Path, parts: Parts, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._parts = parts
        self._connection = connection
        self._firsts = array(
            "q", (first for (first,) in connection.execute("SELECT first FROM mailbox ORDER BY number"))
        )
        (end,) = connection.execute("SELECT coalesce(max(first + rows), 0) FROM mailbox").fetchone()
        self._firsts.append(end)
        self._groups: OrderedDict[int, _Group] = OrderedDict()
        self._groups_bytes = 0
        self._files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._users: OrderedDict[int, str] = OrderedDict()

    def folder_rows(self, runs: Iterable[range]) -> list[FolderRows]:
        """Return the rows at these positions, in their order, grouped by folder."""
        found: list[FolderRows] = []
        for run in runs:
            start, end = run.start, run.stop
            while start < end:
                number = bisect_right(self._firsts, start) - 1
                group, offset = divmod(start, WORK_GROUP_ROWS)
                stop = min(end, self._firsts[number + 1], (group + 1) * WORK_GROUP_ROWS)
                found += self._group(group).folder_rows(self.user(number), offset, offset + stop - start)
                start = stop
        return found

    def items(self, positions: Sequence[int]) -> list[Item]:
        """Return the rows at these positions one by one."""
        return [
            Item(user, folder, contact)
            for user, folder, contacts in self.folder_rows(runs(positions))
            for contact in contacts
        ]

    def rows(self, positions: Sequence[int]) -> list[int]:
        """Return the row numbers, in the input, of the rows at these positions."""
        found: list[int] = []
        for run in runs(positions):
            start, end = run.start, run.stop
            while start < end:
                group, offset = divmod(start, WORK_GROUP_ROWS)
                stop = min(end, (group + 1) * WORK_GROUP_ROWS)
                column: Any = self._read(group, ["row"]).column("row")
                found += column.slice(offset, stop - start).to_pylist()
                start = stop
        return found

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close(force=True)
        self._files.clear()
        self._groups.clear()

    def user(self, number: int) -> str:
        """Return the user under whose name requests for this mailbox are sent."""
        user = self._users.get(number)
        if user is None:
            (user,) = self._connection.execute("SELECT user FROM mailbox WHERE number = ?", (number,)).fetchone()
            if problem := user_problem(user):
                raise ValueError(f"{problem} in mailbox {number}")
            self._users[number] = user
            if len(self._users) > USERS_CACHED_MAX:
                self._users.popitem(last=False)
        return user

    def _group(self, number: int) -> _Group:
        group = self._groups.get(number)
        if group is not None:
            self._groups.move_to_end(number)
            return group
        group = self._groups[number] = _Group(self._read(number, ["folder", "contact"]))
        self._groups_bytes += group.size_bytes
        while self._groups_bytes > CACHE_BYTES_MAX and len(self._groups) > 1:
            self._groups_bytes -= self._groups.popitem(last=False)[1].size_bytes
        return group

    def _read(self, group: int, columns: list[str]) -> Any:
        part, inside = divmod(group, PART_ROWS_MAX // WORK_GROUP_ROWS)
        file = self._file(part)
        with reading(self._folder / part_name(WORK, part)):
            return file.read_row_group(inside, columns=columns, use_threads=False)

    def _file(self, part: int) -> pq.ParquetFile:
        file = self._files.get(part)
        if file is None:
            file = self._files[part] = self._parts.open(part_name(WORK, part), dictionary=["folder"])
            if len(self._files) > OPEN_FILES_MAX:
                self._files.popitem(last=False)[1].close(force=True)
        self._files.move_to_end(part)
        return file


def runs(positions: Sequence[int]) -> Iterator[range]:
    """Yield consecutive positions as ranges."""
    if not positions:
        return
    first = expected = positions[0]
    for position in positions:
        if position != expected:
            yield range(first, expected)
            first = position
        expected = position + 1
    yield range(first, expected)
