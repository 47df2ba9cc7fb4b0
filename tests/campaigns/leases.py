"""Several workers share one purge: kills, stops beyond the lease, partitions, lost disks, coordinators that die or are two."""

from __future__ import annotations

from collections import Counter

from tests.simulation.leases.plot import drawn
from tests.simulation.leases.world import play

SUMMARY = "The coordinator and the leases of several workers in simulated time; then the faults stop, and all must end."


def case(seed: int) -> Counter[str]:
    """Play one purge. Raises AssertionError on a broken promise."""
    return play(drawn(seed))
