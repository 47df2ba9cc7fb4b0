"""Tests of what shows a purge over several workers: a block on a terminal, lines elsewhere, events in a log."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from purgeengine.cli.output.run_block import Mood
from purgeengine.cli.output.shared_progress import SharedDisplay, facts_of
from purgeengine.core.model import Outcome
from purgeengine.core.policy.run_figures import RunFigures
from purgeengine.edges.ledger.views.counts import Counts
from purgeengine.jobs.coordination.coordinator_thread import SharedProgress

FIGURES = RunFigures(settled={Outcome.PURGED: 1_200, Outcome.REFUSED: 3}, per_s=41.4, left_s=75.0, lost_calls=2)
BEFORE = Counts(4_000, Counter({Outcome.PURGED: 100, Outcome.INVALID: 7}), 3_893, 0)


def at(elapsed_s: float, **more: Any) -> SharedProgress:
    """Return how it stands after so many seconds."""
    return replace(SharedProgress(FIGURES, workers=4, out=3, left=3, elapsed_s=elapsed_s, before=BEFORE), **more)


def test_a_line_tells_rows_rate_outcomes_and_workers_now_and_then() -> None:
    """It comes every five seconds at first, and less often later. Rows that were settled before this command count."""
    told: list[str] = []
    display = SharedDisplay(told.append, quiet=False, log_format="console")
    for second in range(1, 12):
        display.show(at(second))
    display.close()
    assert len(told) == 2
    assert told[0].startswith("1,310 of 4,000 rows")
    for words in (
        "now 41",
        "left about 1 min 15 s",
        "purged 1,300",
        "refused 3",
        "4 workers, 3 shards left",
        "lost calls 2",
    ):
        assert words in told[0]
    assert "absent" not in told[0]


def test_nothing_is_told_if_quiet_and_no_line_in_a_log_of_json() -> None:
    """A JSON log holds only JSON."""
    told: list[str] = []
    SharedDisplay(told.append, quiet=True, log_format="console").show(at(30.0))
    SharedDisplay(told.append, quiet=False, log_format="json").show(at(30.0))
    assert told == []


@pytest.mark.parametrize(
    ("more", "said", "mood"),
    [
        ({}, "left about", Mood.WELL),
        ({"silent": 1}, "1 shard not heard of", Mood.WAITING),
        ({"out": 1}, "2 shards waiting for a worker", Mood.WAITING),
        ({"wait_s": 30.2}, "waiting 30 s as Graph asked", Mood.WAITING),
        ({"stopping": "SIGINT was received"}, "stopping: SIGINT was received", Mood.WAITING),
        ({"out": 2}, "time left not known", Mood.WAITING),
    ],
)
def test_the_block_says_what_holds_up_the_purge(more: dict[str, Any], said: str, mood: Mood) -> None:
    """The time left is told only if every shard is being run."""
    facts = facts_of(at(3.0, **more))
    assert said in " ".join([*facts.figures, *facts.notes])
    assert facts.mood is mood


def test_at_the_end_there_is_no_rate_and_no_time_left() -> None:
    """All rows are told as done, and never more than there are, however often a run told them."""
    facts = facts_of(at(90.0, figures=replace(FIGURES, settled={Outcome.PURGED: 5_000}), left=0, out=0))
    assert (facts.done, facts.rows) == (4_000, 4_000)
    assert facts.figures == ["4,000 of 4,000 rows"]
