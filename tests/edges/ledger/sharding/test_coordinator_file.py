"""Tests of the file in which a coordinator records who was given which shard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from purgeengine.core.coordination.shard_record import AppWait, HeadRecord, ShardRecord
from purgeengine.edges.ledger.running.shard_events import (
    COORDINATOR_FILE,
    CollectedShard,
    Cut,
    PlannedShard,
    ShardMark,
    is_lent,
)
from purgeengine.edges.ledger.sharding.coordinator_file import CoordinatorFile
from purgeengine.errors import LedgerError

CUT = Cut("a" * 32, "/shards", 8, 100, (PlannedShard(5, 0, 2, 1), PlannedShard(4, 0, 1, 2)), made=True)


def test_each_coordinator_has_a_higher_term_and_knows_what_the_one_before_has_left(tmp_path: Path) -> None:
    """Records and waits are kept, and a shard that the head has counts as done."""
    file = CoordinatorFile(tmp_path, CUT)
    assert file.read() is None
    assert file.begin() == HeadRecord(1, {0: ShardRecord(), 1: ShardRecord()})
    given = ShardRecord(epoch=3, disk="worker-1", run="r", client_id="app", begun=True)
    waits = {"app": AppWait(1, 100.0, 160.0)}
    file.write(HeadRecord(1, {0: given, 1: given}, waits))
    assert CoordinatorFile(tmp_path, CUT).begin() == HeadRecord(2, {0: given, 1: given}, waits)
    collected = replace(CUT, collected={1: CollectedShard(1, 0, 5)})
    assert CoordinatorFile(tmp_path, collected).begin().shards == {0: given, 1: replace(given, done=True)}
    assert [path.name for path in tmp_path.iterdir()] == [COORDINATOR_FILE]


def test_the_record_of_another_cut_is_none(tmp_path: Path) -> None:
    """A later cut begins anew."""
    CoordinatorFile(tmp_path, CUT).begin()
    assert CoordinatorFile(tmp_path, replace(CUT, id="b" * 32)).read() is None


@pytest.mark.parametrize("text", ["", "[]", '{"cut": "' + "a" * 32 + '", "record": {"term": 1}}'])
def test_a_record_that_is_not_understood_is_refused_with_a_way_out(tmp_path: Path, text: str) -> None:
    """Nothing is taken for granted that would allow two runs over one shard."""
    (tmp_path / COORDINATOR_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(LedgerError, match=r"Nothing was sent\. If no shard was ever given"):
        CoordinatorFile(tmp_path, CUT).begin()


def test_a_shard_at_home_is_lent_while_its_ledger_is_elsewhere(tmp_path: Path) -> None:
    """A copy must not be run. A record that nobody can read forbids it, too, and one of another cut says nothing."""
    shard = tmp_path / "shard-01"
    mark = ShardMark(cut=CUT.id, head="h", head_name="head", number=1, shards=2, connections=4, requests_per_s=50)
    assert not is_lent(shard, mark)
    file = CoordinatorFile(tmp_path, CUT)
    for disk, done, lent in ((None, False, False), ("here", False, False), ("d1", False, True), ("d1", True, False)):
        file.write(HeadRecord(1, {1: ShardRecord(epoch=1, disk=disk, begun=True, done=done)}))
        assert is_lent(shard, mark) is lent, disk
    file.write(HeadRecord(1, {1: ShardRecord(epoch=1, disk="d1")}))
    assert not is_lent(
        shard, ShardMark(cut="b", head="h", head_name="head", number=1, shards=2, connections=4, requests_per_s=50)
    )
    (tmp_path / COORDINATOR_FILE).write_text("{", encoding="utf-8")
    assert is_lent(shard, mark)
