"""Tests of several workers that share one purge: in simulated time, with all that can befall them, one seed after the other."""

from __future__ import annotations

import pytest

from tests.campaigns.lease_bites import MISTAKES, bite
from tests.simulation.leases.plot import drawn
from tests.simulation.leases.world import play

SEEDS = 60
SEEDS_TO_BITE = 60
"""Seeds within which each quick mistake must be found. The campaign found them within 25."""
SELDOM = {
    "an epoch and its run are told before they are durable": "only a crash between two commands shows it",
    "a run on another disk may own the epoch": "only a task that was run twice and then lost its first disk shows it",
    "a coordinator does not look whether there is another": "two that fight for the head play for hours",
}
"""Mistakes that the campaign finds after more seeds, or slowly, each with the reason."""


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_every_row_has_one_true_outcome_whatever_befalls_the_workers(seed: int) -> None:
    """Nobody sends for another one's shard, or more than the app may; waits reach all; every shard ends once faults stop."""
    play(drawn(seed))


def test_the_same_seed_plays_the_same() -> None:
    """A failure can be played again."""
    assert play(drawn(7)) == play(drawn(7))


@pytest.mark.parametrize("name", sorted(set(MISTAKES) - set(SELDOM)))
def test_the_judge_notices_a_mistake(name: str) -> None:
    """With the mistake in the product, some seed fails."""
    assert bite(name, SEEDS_TO_BITE).seeds is not None


@pytest.mark.parametrize("name", SELDOM)
def test_a_mistake_that_shows_seldom_can_be_put_in(name: str) -> None:
    """The code that it replaces is still where it looks for it; `python -m tests.campaigns.lease_bites` finds it."""
    with pytest.MonkeyPatch.context() as patch:
        MISTAKES[name](patch)
        assert patch._setattr, "nothing was replaced"
