"""Read a file whose bytes are the input, for the targets for CSV and for Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from purgeengine.core.graph.identifiers import row_problem
from purgeengine.core.model import Item
from purgeengine.edges.source import open_source
from purgeengine.edges.source.formats.csv_reader import CsvTable
from purgeengine.errors import InputError
from tests.support.oracles import check_urls, is_quiet


class Reading(NamedTuple):
    """The rows of a file as plain values, the sentence that refused it (or where it broke off), and a CSV file's table."""

    rows: list[dict[str, Any]]
    refused: str | None
    table: CsvTable | None = None


@contextmanager
def a_file_of(data: bytes) -> Iterator[Path]:
    """Make a file whose name says nothing, so that its bytes alone say what it is."""
    with TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / "contacts"
        path.write_bytes(data)
        yield path


def read(path: Path, block_bytes: int = 1 << 20) -> Reading:
    """Read the file. Only `InputError` may be raised; its sentence names the file and does not control the terminal."""
    rows: list[dict[str, Any]] = []
    table: CsvTable | None = None
    try:
        source = open_source([path], block_bytes=block_bytes)
        table = source._tables[0] if isinstance(source._tables[0], CsvTable) else None
        for batch in source.batches():
            rows += batch.to_pylist()
    except InputError as error:
        assert is_quiet(str(error)), str(error)
        assert path.name in str(error)
        return Reading(rows, str(error), table)
    return Reading(rows, None, table)


def check_rows(rows: list[dict[str, Any]]) -> None:
    """Check that rows are numbered, ascend through the file, and can be sent or have a reason that can be shown."""
    assert [row["row"] for row in rows] == list(range(len(rows)))
    lines = [row["line"] for row in rows]
    assert lines == sorted(set(lines))
    valid = []
    for row in rows:
        if row["reason"] is None:
            assert row_problem(row["user"], row["folder"], row["contact"]) is None
            valid.append(Item(row["user"], row["folder"], row["contact"]))
        else:
            assert row["reason"].isprintable()
    check_urls(valid[:60])
