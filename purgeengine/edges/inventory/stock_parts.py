"""The rows of an inventory's list, in Parquet parts. A part appears when it is whole."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from purgeengine.core.inventory.listed_rows import COLUMNS, ListedRow
from purgeengine.edges.ledger.store.storage import appear

PARTS = "parts"
"""The folder of the parts."""
PART_ROWS = 20_000
"""Rows in memory before they are written: about ten megabytes."""
PARTS_OPEN_MAX = 4
"""Parts held in memory when the list is put together. Mailboxes end nearly in the order of the list."""
LIST_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])


class StockParts:
    """The parts in the folder of an inventory. Methods raise OSError or `pyarrow.ArrowException` if the disk fails them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / PARTS
        self._next = 1
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()

    def keep_only(self, parts: Collection[int]) -> None:
        """Make the folder, and remove all other parts: those of a process that was killed before their mailboxes counted."""
        self._folder.mkdir(exist_ok=True)
        for path in self._folder.iterdir():
            if path.suffix != ".parquet" or not path.stem.isdigit() or int(path.stem) not in parts:
                path.unlink()
        self._next = max(parts, default=0) + 1

    def write(self, rows: Sequence[ListedRow]) -> int:
        """Write the rows as a new part, durably, and return its number."""
        part = self._next
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        path = self._path(part)
        temporary = path.with_suffix(".new")
        pq.write_table(pa.Table.from_arrays(columns, schema=LIST_SCHEMA), temporary, compression="zstd")
        appear(temporary, path)
        self._next += 1
        return part

    def batches(self, part: int, first: int, rows: int) -> Iterable[pa.RecordBatch]:
        """Return so many rows of a part from the row ``first`` on. The parts read last stay in memory."""
        return self._table(part).slice(first, rows).to_batches()

    def forget(self) -> None:
        """Free the parts that are in memory."""
        self._tables.clear()

    def _table(self, part: int) -> pa.Table:
        table = self._tables.pop(part, None)
        if table is None:
            table = pq.read_table(self._path(part), schema=LIST_SCHEMA)
            while len(self._tables) >= PARTS_OPEN_MAX:
                self._tables.popitem(last=False)
        self._tables[part] = table
        return table

    def _path(self, part: int) -> Path:
        return self._folder / f"{part:06}.parquet"
