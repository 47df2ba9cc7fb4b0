"""One fault of the disk in one job: how the run must end, and that the next run finishes the job."""

from __future__ import annotations

from collections import Counter

from purgeengine.errors import LedgerError, RunStopped
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from tests.disk.faults import KINDS, Fault, Log
from tests.disk.worlds import DiskWorld
from tests.simulation.scenario import Scenario
from tests.simulation.world import RUNS_MAX

JOB = Scenario(
    rows_by_mailbox=(60, 40, 30, 20, 20, 10, 10, 10),
    limits=Limits(connections=4),
    faults=Faults.everything(0.01),
    duplicates=0.05,
    invalid=0.02,
)
"""The job whose every call fails in turn: 200 rows and a few that are not sent, with answers of every kind."""
ADVICE = ("give the same command again", "Check ", "Restore ")


def calls_of(scenario: Scenario) -> Counter[str]:
    """Count how many calls of an undisturbed job could fail in each way."""
    log = Log()
    DiskWorld(scenario).watched_run(log)
    return log.meeting


def play_fault(scenario: Scenario, name: str, number: int) -> Counter[str]:
    """Let the ``number``-th call that can fail so fail. Then the same command must finish the job."""
    world = DiskWorld(scenario)
    fault = Fault(KINDS[name], number)
    try:
        _play(world, fault)
        world.judge()
    except Exception as problem:
        said = str(problem).replace(str(world), "")
        raise AssertionError(f"{name} at call {number}: {type(problem).__name__}: {said} ({world})") from problem
    return Counter({f"{name}, {'sat out' if world.sat_out else 'exit 5'}": 1})


def _play(world: DiskWorld, fault: Fault) -> None:
    world.watched_run(fault)
    error = world.error
    world.sat_out = error is None
    assert fault.happened, "there are not so many calls"
    if error is not None:
        assert type(error) is LedgerError, repr(error)
        assert error.exit_code == 5
        assert str(world.scratch) in str(error), error
        assert any(words in str(error) for words in ADVICE), error
        assert "rrno" not in str(error), error
    if fault.had_room_for_answers:
        lost = world.answered - world.judge_of_runs.ended_batches()
        assert not lost, f"{len(lost)} answers are lost: {error}"
    done = world.judge_of_runs.looks_between_runs()
    assert done or error is not None, "it ended without an error and is not done"
    runs_max = 1 if world.scenario == JOB else RUNS_MAX  # a random service may halt a run, and only then
    for _ in range(runs_max):
        if done:
            return
        world.run_once()
        done = world.judge_of_runs.looks_between_runs()
        assert done or isinstance(world.error, RunStopped), f"not done; {world.error}"
    assert done, f"not done after {runs_max} more runs; {world.error}"
