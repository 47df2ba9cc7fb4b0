"""The process dies one to five times, between any two of its steps, and the same command is given again."""

from __future__ import annotations

from collections import Counter

from tests.simulation.scenario import crashing
from tests.simulation.world import play

SUMMARY = "Death between any two steps, one to five times in a job, in simulated time over the real ledger."


def case(seed: int) -> Counter[str]:
    """Play one job. Raises AssertionError on a broken promise."""
    return play(crashing(seed))
