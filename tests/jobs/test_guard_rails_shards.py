"""Tests of what a run must know about shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.edges.ledger.running.shard_events import ShardMark
from purgeengine.edges.ledger.sharding.collecting import collect
from purgeengine.edges.ledger.sharding.cutting import cut
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.errors import UsageProblem
from purgeengine.jobs.guard_rails import (
    has_shards_out,
    numbers_in_words,
    refuse_shards_out,
    within_shares,
)
from purgeengine.run_limits import Limits
from purgeengine.words import as_fields
from tests.support.ledger_fixtures import a_source, open_ledger

MARK = ShardMark(cut="c", head="h", head_name="head", number=0, shards=4, connections=16, requests_per_s=3_000)


@pytest.mark.parametrize(
    ("limits", "connections", "rate"),
    [
        (Limits(), 16, 3_000),
        (Limits(connections=2), 2, 3_000),
        (Limits(requests_per_s=50), 16, 50),
        (Limits(connections=2, requests_per_s=50), 2, 50),
    ],
)
def test_a_run_keeps_to_the_shares_unless_it_has_limits_of_its_own(limits: Limits, connections: int, rate: int) -> None:
    """What differs from the default is the run's own. Without a mark nothing changes."""
    found = within_shares(limits, MARK)
    assert (found.connections, found.requests_per_s) == (connections, rate)
    assert within_shares(limits, None) is limits


def test_a_ledger_is_refused_from_its_cut_until_its_last_shard_is_collected(tmp_path: Path) -> None:
    """A shard that was collected unfinished is refused from then on; its head is free when nothing is out any more."""
    folder, shards = tmp_path / "head", tmp_path / "shards"
    open_ledger(folder, a_source(3, 2)).close()
    assert not has_shards_out(folder)
    with HeadLedger.open(folder) as head:
        cut(head, 2, shards, Limits())
    for name in ("shard-00", "shard-01"):
        with pytest.raises(UsageProblem, match="was cut into 2 shards"):
            refuse_shards_out(folder, as_fields)
        assert not has_shards_out(shards / name)
        with HeadLedger.open(folder) as head:
            collect(head, shards / name, unfinished=True)
        with pytest.raises(UsageProblem, match="was collected into the ledger head before it was finished"):
            refuse_shards_out(shards / name, as_fields)
    refuse_shards_out(folder, as_fields)
    assert not has_shards_out(folder)


@pytest.mark.parametrize(
    ("shards", "words"),
    [
        ([3], "shard 3 is"),
        ([0, 1, 7], "shards 0, 1 and 7 are"),
        (list(range(9)), "9 of them (0, 1, 2, 3, 4, ...) are"),
    ],
)
def test_shards_in_words(shards: list[int], words: str) -> None:
    """One, a few, and many."""
    assert numbers_in_words(shards) == words
