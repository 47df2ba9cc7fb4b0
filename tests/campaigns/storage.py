"""Every call to the disk fails in turn, in every way: first those of one job of 200 rows, then any of random jobs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from random import Random

from tests.disk.playing import JOB, calls_of, play_fault
from tests.simulation.scenario import crashing

SUMMARY = (
    "A failing write, sync, rename or open, a full, read-only or dead disk; then the same command must finish the job."
)


def case(seed: int) -> Counter[str]:
    """Play one fault. The first seeds are all faults of `JOB`, one by one. Raises AssertionError on a broken promise."""
    number = seed
    for name, calls in sorted(_calls().items()):
        if number <= calls:
            return play_fault(JOB, name, number)
        number -= calls
    rng = Random(f"storage {seed}")
    scenario = replace(crashing(seed), crashes=())
    calls = calls_of(scenario)
    name = rng.choice(sorted(calls))
    return play_fault(scenario, name, rng.randint(1, calls[name]))


@cache
def _calls() -> Counter[str]:
    return calls_of(JOB)
