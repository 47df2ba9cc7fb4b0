"""Tests of the advice for a ledger whose shards are out."""

from __future__ import annotations

from purgeengine.core.sharding.shard_advice import COMMANDS_MAX, shard_advice


def test_each_shard_gets_the_command_for_it() -> None:
    """Unfinished shards are run, finished ones collected, and those that were not named are told. Names are quoted."""
    found = shard_advice("my head", ["a", "b c"], ["d"], [7], windows=False)
    assert [list(one.commands) for one in found] == [
        ["purgeengine run --ledger a", "purgeengine run --ledger 'b c'"],
        [],
        ["purgeengine shard collect 'my head' d"],
    ]
    assert "not counted: 7." in found[1].sentence
    assert shard_advice("head", [], [], [], windows=False) == []


def test_the_lists_are_bounded() -> None:
    """Of a thousand shards, ten are shown."""
    found = shard_advice("head", [str(n) for n in range(1_000)], [], list(range(1_000)), windows=True)
    assert len(found[0].commands) == COMMANDS_MAX
    assert found[1].sentence.endswith("9, ...")
