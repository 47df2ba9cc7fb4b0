"""Tests of a disk that fails during a run: writes, syncs, renames and opens fail in turn, and the same command follows."""

from __future__ import annotations

import pytest

from tests.disk.faults import KINDS
from tests.disk.playing import JOB, calls_of, play_fault
from tests.disk.worlds import needs_sqlite_calls

IN_TURN = 48
"""Every 48th of the calls of one kind fails here, from a different first one for each kind; the campaign tries all."""


@needs_sqlite_calls
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("name", KINDS)
def test_a_failing_call_ends_the_run_with_a_sentence_and_loses_nothing(name: str, part: int) -> None:
    """A failing call ends the run with exit code 5 or does no harm.

    Nothing recorded is lost, and the job can be finished.
    """
    calls = calls_of(JOB)[name]
    first = 1 + list(KINDS).index(name)
    tried = sorted({*range(first, calls + 1, IN_TURN), 1, calls})
    for number in tried[part::4]:
        play_fault(JOB, name, number)
