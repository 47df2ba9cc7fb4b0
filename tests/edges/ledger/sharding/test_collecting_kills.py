"""Cutting and collecting killed for real, for one seed of the campaign. ``python -m tests.campaigns sharding`` plays many."""

from __future__ import annotations

from tests.campaigns.sharding import case


def test_killed_processes_lose_nothing_and_double_nothing() -> None:
    """SIGKILL at moments that the seed draws: each row stays in one shard, and each record arrives once."""
    assert case(1)["cuts"] == 1
