"""Random services, jobs and faults. Then the faults stop, and the job must end."""

from __future__ import annotations

from collections import Counter

from tests.simulation.scenario import chaos
from tests.simulation.world import play

SUMMARY = "The whole engine in simulated time under every kind of fault; then the faults stop, and it must end."


def case(seed: int) -> Counter[str]:
    """Play one job. Raises AssertionError on a broken promise."""
    return play(chaos(seed))
