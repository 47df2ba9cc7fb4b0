"""Tests of what a ledger records about sharding: beside the runs, sealed, and ignored by whoever asks for runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from purgeengine.edges.ledger.running.shard_events import (
    CollectedShard,
    Cut,
    PlannedShard,
    ShardMark,
    collected_into,
    cut_of,
    cuts_of,
    keep_closed,
    keep_collected,
    keep_cut,
    keep_made,
    mark_of,
    sharding_of,
    without_events,
)
from purgeengine.edges.ledger.store.checking import check
from purgeengine.edges.ledger.store.database import connect_to_write
from purgeengine.edges.ledger.views.history import runs
from tests.support.ledger_fixtures import NOW, a_source, open_ledger

FIRST = Cut("one", "/shards", 64, 12_000, (PlannedShard(3, 1, 2, 77), PlannedShard(4, 0, 1, 88)))
SECOND = replace(FIRST, id="two", planned=(PlannedShard(7, 1, 3, 99),))
MARK = ShardMark(cut="one", head="h", head_name="head", number=1, shards=2, connections=32, requests_per_s=6_000)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A ledger with one run."""
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        ledger.begin(NOW, {"connections": 5})
    yield tmp_path / "L"
    check(tmp_path / "L")  # whatever was written is sealed


def test_the_latest_cut_counts(folder: Path) -> None:
    """A cut is known with its shards, made and collected ones included, until another cut begins."""
    with closing(connect_to_write(folder)) as connection:
        assert (cut_of(connection), cuts_of(connection)) == (None, frozenset())
        keep_cut(connection, FIRST, NOW)
        assert cut_of(connection) == FIRST
        keep_made(connection, FIRST, NOW)
        shard = CollectedShard(1, 2, NOW + 5)
        keep_collected(connection, FIRST, shard)
        found = cut_of(connection)
        assert found == replace(FIRST, made=True, collected={1: shard})
        assert found is not None
        assert found.out == [0]
        keep_cut(connection, SECOND, NOW)
        keep_made(connection, FIRST, NOW)  # of the earlier cut: it does not count
        assert cut_of(connection) == SECOND
        assert cuts_of(connection) == {"one", "two"}


def test_events_are_no_runs(folder: Path) -> None:
    """The history of a ledger that was cut has the runs only."""
    with closing(connect_to_write(folder)) as connection:
        keep_cut(connection, FIRST, NOW)
        assert [run.options for run in runs(connection)] == [{"connections": 5}]
        found = connection.execute("SELECT at_ms, options FROM start").fetchall()
    assert without_events(found) == [(NOW, {"connections": 5})]


def test_a_closed_shard_knows_where_its_rows_went(folder: Path) -> None:
    """The name of the head is kept. A ledger that is no shard has no mark."""
    with closing(connect_to_write(folder)) as connection:
        assert collected_into(connection) is None
        keep_closed(connection, MARK, NOW)
        assert collected_into(connection) == "head"
    assert sharding_of(folder) == (None, None, "head")


def test_a_mark_is_read_as_it_was_recorded() -> None:
    """A mark survives JSON, and damage is noticed."""
    kept = json.loads(json.dumps({name: getattr(MARK, name) for name in MARK.__struct_fields__}))
    assert mark_of({"shard": kept}) == MARK
    assert mark_of({}) is None
    with pytest.raises(ValueError, match="number"):
        mark_of({"shard": {**kept, "number": "x"}})
