"""Rows that a program hands over become an input like any other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from purgeengine.edges.source import open_source
from purgeengine.edges.source.given_rows import ROWS_AT_ONCE, copied
from purgeengine.errors import InputError

ROWS = [("ann@contoso.example", "F", "A1"), ("bob@contoso.example", None, "B2")]


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    """Over more than one batch, from anything that can be iterated over, in the same order."""
    rows = [(f"u{number}@contoso.example", "", f"C{number}") for number in range(ROWS_AT_ONCE + 5)]
    digests = {
        copied(given, tmp_path / f"copy{place}") for place, given in enumerate((rows, iter(rows), map(list, rows)))
    }
    assert len(digests) == 1
    batches = list(open_source([tmp_path / "copy0"]).batches())
    assert [row for batch in batches for row in batch.column("contact").to_pylist()] == [row[2] for row in rows]
    assert all(batch.column("reason").null_count == batch.num_rows for batch in batches)


def test_the_digest_is_of_the_values(tmp_path: Path) -> None:
    """Same values, same digest; another cell, another order, or a cell cut elsewhere is another input."""
    same = copied(ROWS, tmp_path / "same")
    table = pa.table({"user": [r[0] for r in ROWS], "folder": [r[1] for r in ROWS], "contact": [r[2] for r in ROWS]})
    assert copied(table, tmp_path / "table") == same
    others: list[Iterable[Any]] = [
        ROWS[::-1],
        ROWS[:1],
        [ROWS[0], ("bob@contoso.example", "", "B2")],
        [("ann@contoso.exampl", "eF", "A1"), ROWS[1]],
        [],
    ]
    digests = [copied(rows, tmp_path / f"other{place}") for place, rows in enumerate(others)]
    assert len({same, *digests}) == 1 + len(others)


def test_a_table_keeps_its_other_columns_as_text(tmp_path: Path) -> None:
    """Whatever can be text; what cannot is refused by its name."""
    table = pa.table({"mailbox": ["ann@contoso.example"], "id": ["A1"], "size": [7], "gone": [None]})
    copied(table, tmp_path / "copy")
    source = open_source([tmp_path / "copy"])
    (batch,) = source.batches()
    assert (source.extra_columns, batch.column("size").to_pylist()) == (("size", "gone"), ["7"])
    with pytest.raises(InputError, match="The column 'tags' of the rows given cannot be text"):
        copied(pa.table({"user": ["a"], "contact": ["b"], "tags": [["x"]]}), tmp_path / "nested")


@pytest.mark.parametrize("row", ["text", ("a", "b"), ("a", "b", "c", "d"), ("a", "b", 3), None, {"user": "a"}])
def test_what_is_no_row_is_refused_by_its_number(tmp_path: Path, row: Any) -> None:
    """With what it is, so that the mistake can be found."""
    with pytest.raises(InputError, match="Row 1 of the rows given is"):
        copied([ROWS[0], row], tmp_path / "copy")
