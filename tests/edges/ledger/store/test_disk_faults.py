"""A disk that fails under a run: every write, sync, rename and open in turn, and the same command afterwards."""

from __future__ import annotations

import pytest

from tests.disk.faults import KINDS
from tests.disk.playing import JOB, calls_of, play_fault
from tests.disk.worlds import needs_sqlite_calls

IN_TURN = 48
"""Of the calls that can fail in one way, every 48th is tried here, from another one on for each; the campaign tries all."""


@needs_sqlite_calls
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("name", KINDS)
def test_a_failing_call_ends_the_run_with_a_sentence_and_loses_nothing(name: str, part: int) -> None:
    """Exit 5 or no harm; what was acknowledged or answered is kept, nothing false is said, and the job can be finished."""
    calls = calls_of(JOB)[name]
    first = 1 + list(KINDS).index(name)
    tried = sorted({*range(first, calls + 1, IN_TURN), 1, calls})
    for number in tried[part::4]:
        play_fault(JOB, name, number)
