"""The power goes one to five times, in the middle of any call to the disk, and the same command is given again."""

from __future__ import annotations

from collections import Counter

from tests.disk.worlds import PowerWorld
from tests.simulation.scenario import crashing
from tests.simulation.world import play

SUMMARY = "What was not synced is lost, or torn, or kept, by chance; in every fourth job some syncs fail before that."


def case(seed: int) -> Counter[str]:
    """Play one job. Raises AssertionError on a broken promise."""
    return play(crashing(seed), PowerWorld)
