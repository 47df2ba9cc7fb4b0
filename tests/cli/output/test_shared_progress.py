"""Tests of the lines that show a purge over several workers."""

from __future__ import annotations

from purgeengine.cli.output.shared_progress import shared_progress
from purgeengine.core.model import Outcome
from purgeengine.core.policy.run_figures import RunFigures
from purgeengine.jobs.sharing.coordinating import SharedProgress

FIGURES = RunFigures(settled={Outcome.PURGED: 1_200, Outcome.REFUSED: 3}, per_s=41.4)


def at(elapsed_s: float) -> SharedProgress:
    """Return how it stands after so many seconds."""
    return SharedProgress(FIGURES, workers=4, out=2, left=3, elapsed_s=elapsed_s)


def test_a_line_tells_rows_rate_outcomes_and_workers_now_and_then() -> None:
    """It comes every five seconds at first, and less often later."""
    told: list[str] = []
    show = shared_progress(told.append, quiet=False, log_format="console")
    for second in range(1, 12):
        show(at(second))
    assert len(told) == 2
    assert told[0].startswith("1,203 rows settled by this command")
    for words in ("purged 1,200", "refused 3", "4 workers", "3 shards left"):
        assert words in told[0]
    assert "absent" not in told[0]


def test_nothing_is_told_if_quiet_and_no_line_in_a_log_of_json() -> None:
    """A JSON log holds only JSON."""
    told: list[str] = []
    shared_progress(told.append, quiet=True, log_format="console")(at(30.0))
    shared_progress(told.append, quiet=False, log_format="json")(at(30.0))
    assert told == []
