"""Tests of the coordinator, one event after the other. What befalls many workers at once is in `tests/simulation/leases`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any, TypeVar

import pytest

from purgeengine.core.coordination.coordinator import Coordinator
from purgeengine.core.coordination.coordinator_messages import (
    Collect,
    Collected,
    CollectFailed,
    CoordinatorCommand,
    CoordinatorEvent,
    Give,
    LedgerMissing,
    Redo,
    Redone,
    RunReturned,
    Save,
    StopAsked,
    Tell,
    WorkerSeen,
    WorkersSeen,
)
from purgeengine.core.coordination.lease_messages import Grant, Notice, Over, Question, ReportedWait, Tenure
from purgeengine.core.coordination.quota_book import NO_QUOTA, AppQuota
from purgeengine.core.coordination.shard_lease import LeaseTimes
from purgeengine.core.coordination.shard_record import AppWait, HeadRecord, ShardRecord
from purgeengine.core.coordination.totals import Totals
from purgeengine.core.model import Outcome
from purgeengine.core.policy.auto_stop import FailureThreshold
from purgeengine.core.policy.run_figures import RunFigures

T = TypeVar("T")
ONE = WorkerSeen("tcp://one", "disk-one", "app")
TWO = WorkerSeen("tcp://two", "disk-two", "app")
TOTAL = AppQuota(100, 8)
FENCED_S = 45.0
UTC = 1.7e9


class Bench:
    """A coordinator, its clock, and the record that it left on the disk."""

    def __init__(self, shards: int = 1, *, record: HeadRecord | None = None, totals: Totals | None = None) -> None:
        self.record = record or HeadRecord(1, {number: ShardRecord() for number in range(shards)})
        self.now = 1_000.0
        self.term_on_disk = self.record.term
        self.core = Coordinator(self.record, TOTAL, now=self.now, utc=UTC, totals=totals)

    def handle(self, *events: CoordinatorEvent, after_s: float = 0.0) -> list[CoordinatorCommand]:
        """Let time pass, hand over events, and keep what is saved."""
        self.now += after_s
        commands = self.core.handle(*events, now=self.now, utc=UTC - 1_000.0 + self.now, term_on_disk=self.term_on_disk)
        for command in commands:
            if isinstance(command, Save):
                self.record = command.record
        return commands

    def given(self, *workers: WorkerSeen) -> list[Tenure]:
        """Let workers be seen, and return what is given."""
        return [give.tenure for give in of_kind(self.handle(WorkersSeen(workers)), Give)]

    def asks(self, tenure: Tenure, run: str, number: int, *, after_s: float = 0.0, **more: Any) -> list[Any]:
        """Let a run ask, and return what is told."""
        commands = self.handle(asking(tenure, run, number, **more), after_s=after_s)
        return [tell.said for tell in of_kind(commands, Tell)]

    def restarted(self) -> Bench:
        """Return the coordinator that comes after a crash of this one."""
        return Bench(record=replace(self.record, term=self.record.term + 1))


def asking(tenure: Tenure, run: str, number: int, **more: Any) -> Question:
    """Return a question."""
    return Question(
        tenure, run, number, **{"disk": "disk-one", "client_id": "app", "holds": NO_QUOTA, "wants": True, **more}
    )


def of_kind(commands: Sequence[CoordinatorCommand], kind: type[T]) -> list[T]:
    """Return the commands of one kind."""
    return [command for command in commands if isinstance(command, kind)]


def begun(shards: int = 1) -> tuple[Bench, list[Tenure]]:
    """Return a coordinator whose shards are all out on worker one, each with a run that has asked once."""
    bench = Bench(shards)
    tenures = bench.given(ONE)
    for tenure in tenures:
        bench.asks(tenure, f"run-{tenure.shard}", 1)
    return bench, tenures


# ------------------------------------------------------------------------------------------------------------- giving


def test_shards_go_to_the_emptiest_workers_and_the_epoch_is_durable_first() -> None:
    """Four shards on two workers: two each. Each is saved with its epoch and disk before it is given."""
    bench = Bench(4)
    assert bench.handle() == []
    commands = bench.handle(WorkersSeen((ONE, TWO)))
    assert [type(command) for command in commands] == [Save, Give] * 4
    for save, give in zip(commands[::2], commands[1::2], strict=True):
        assert isinstance(save, Save)
        assert isinstance(give, Give)
        record = save.record.shards[give.tenure.shard]
        assert (record.epoch, record.disk, record.run) == (give.tenure.epoch, give.worker.disk, None)
    assert [give.worker for give in of_kind(commands, Give)] == [ONE, TWO, ONE, TWO]


def test_the_first_run_that_asks_owns_the_epoch_and_that_is_durable_before_it_hears() -> None:
    """The same task may be run twice: the second run is told that it is over, also after a crash of the coordinator."""
    bench = Bench()
    (tenure,) = bench.given(ONE)
    commands = bench.handle(asking(tenure, "first", 1))
    assert [type(command) for command in commands] == [Save, Tell]
    assert bench.record.shards[0].run == "first"
    assert isinstance(bench.asks(tenure, "second", 1)[0], Over)
    after = bench.restarted()
    assert isinstance(after.asks(tenure, "second", 2)[0], Over)
    assert isinstance(after.asks(tenure, "first", 2)[0], Grant)


def test_a_task_that_was_started_on_another_disk_owns_nothing() -> None:
    """Its ledger is not the one that will be looked for after a crash."""
    bench = Bench()
    (tenure,) = bench.given(ONE)
    assert isinstance(bench.asks(tenure, "stray", 1, disk="disk-two")[0], Over)
    assert isinstance(bench.asks(tenure, "first", 1)[0], Grant)


def test_a_run_may_be_of_another_app_than_its_worker_seemed_to_be() -> None:
    """Each app has its own total."""
    bench = Bench(2)
    tenures = bench.given(ONE)
    (grant,) = bench.asks(tenures[0], "a", 1, client_id="another app")
    (other,) = bench.asks(tenures[1], "b", 1)
    assert (grant.quota, other.quota) == (TOTAL, TOTAL)
    assert bench.core.reserved == {"app": TOTAL, "another app": TOTAL}


def test_a_shard_that_does_not_exist_is_nobodys() -> None:
    """A run of another head is told so."""
    assert isinstance(Bench().asks(Tenure(9, 1, 1), "stray", 1)[0], Over)


def test_an_old_or_doubled_question_gets_no_answer() -> None:
    """Only questions that are newer than all others of the run count."""
    bench, (tenure,) = begun()
    assert bench.asks(tenure, "run-0", 1) == []
    assert len(bench.asks(tenure, "run-0", 3)) == 1
    assert bench.asks(tenure, "run-0", 2) == []


# --------------------------------------------------------------------------------------------------- silence and loss


def test_a_silent_run_is_fenced_and_its_ledger_goes_on_where_its_disk_is() -> None:
    """Nothing happens before lease and margin are over. Then the epoch grows, and the old run is told that it is over."""
    bench, (tenure,) = begun()
    bench.handle(after_s=29.0)
    assert bench.core.silent == []
    assert bench.handle(WorkersSeen((ONE, TWO)), after_s=FENCED_S - 29.1) == []
    assert bench.core.silent == [0]
    assert bench.core.wake_at() == pytest.approx(bench.now + 0.1)
    (give,) = of_kind(bench.handle(after_s=0.2), Give)
    assert (give.worker, give.tenure) == (ONE, replace(tenure, epoch=2))
    assert bench.core.silent == []
    assert bench.handle(RunReturned(tenure, "run-0", complete=True)) == [], "it is an earlier epoch's"
    assert isinstance(bench.asks(tenure, "run-0", 2)[0], Over)


def test_a_fenced_run_goes_on_if_nobody_has_its_shard_yet() -> None:
    """Its machine was cut off, and is the only one with the disk."""
    bench, (tenure,) = begun()
    bench.handle(WorkersSeen((TWO,)), after_s=FENCED_S)
    assert bench.core.reserved["app"] == NO_QUOTA
    (grant,) = bench.asks(tenure, "run-0", 2, after_s=60.0, holds=TOTAL)
    assert grant.quota == TOTAL
    assert bench.handle(WorkersSeen((ONE, TWO))) == []


def test_a_run_that_has_never_asked_may_take_longer_and_needs_no_disk() -> None:
    """A worker may import for a minute. If it never asks, nothing was sent, so that any worker may have the shard."""
    bench = Bench()
    bench.given(ONE)
    assert bench.handle(WorkersSeen((TWO,)), after_s=LeaseTimes().start_s - 1.0) == []
    (give,) = of_kind(bench.handle(after_s=1.0), Give)
    assert (give.worker, give.tenure) == (TWO, Tenure(0, 1, 2))


def test_a_disk_that_does_not_come_back_is_lost_durably_before_anything_else() -> None:
    """The next generation is given to anybody once it is staged; whatever the lost one still says is ignored."""
    bench, (tenure,) = begun()
    bench.handle(WorkersSeen((TWO,)), after_s=FENCED_S)
    assert bench.handle(after_s=LeaseTimes().lost_s - 1.0) == []
    assert bench.core.wake_at() == pytest.approx(bench.now + 1.0)
    commands = bench.handle(after_s=1.0)
    fenced_ms = round((UTC + FENCED_S) * 1000)
    assert commands == [Save(bench.record), Redo(0, 1, fenced_ms)]
    assert bench.record.shards[0].fenced_utc_ms == fenced_ms
    assert bench.core.wake_at() == inf
    assert isinstance(bench.asks(tenure, "run-0", 2)[0], Over)
    assert bench.handle(RunReturned(tenure, "run-0", complete=True)) == []
    assert of_kind(bench.restarted().handle(), Redo) == [Redo(0, 1, fenced_ms)], "it may not have been carried out"
    bench.handle(Redone(0, 2))
    assert bench.record.shards[0] == ShardRecord(generation=2, epoch=1)
    assert bench.handle(Redone(0, 2)) == []
    assert bench.core.wake_at() == pytest.approx(bench.now + LeaseTimes().again_s)
    (give,) = of_kind(bench.handle(after_s=LeaseTimes().again_s), Give)
    assert (give.tenure, give.worker) == (Tenure(0, 2, 2), TWO)


def test_a_lost_runs_share_is_given_away_only_after_it_is_fenced() -> None:
    """The other run keeps half until then, and has all of it with its next question."""
    bench, tenures = begun(2)
    bench.handle(WorkersSeen(()))
    half = AppQuota(50, 4)
    number = 1
    for _ in range(5):
        number += 1
        (grant,) = bench.asks(tenures[1], "run-1", number, after_s=8.0, holds=half)
        assert grant.quota == half
    (grant,) = bench.asks(tenures[1], "run-1", number + 1, after_s=6.0, holds=half)
    assert grant.quota == half, "it is fenced with this turn"
    (grant,) = bench.asks(tenures[1], "run-1", number + 2, after_s=1.0, holds=half)
    assert grant.quota == TOTAL


def test_after_a_crash_nothing_is_given_and_no_share_grows_until_all_are_heard_or_fenced() -> None:
    """Runs of the coordinator before may be sending with any share."""
    before, tenures = begun(2)
    bench = before.restarted()
    assert bench.given(ONE, TWO) == []
    (grant,) = bench.asks(tenures[1], "run-1", 2, holds=AppQuota(20, 2))
    assert grant.quota == AppQuota(20, 2)
    (grant,) = bench.asks(tenures[0], "run-0", 2, holds=AppQuota(50, 4))
    assert grant.quota == AppQuota(50, 4)
    (grant,) = bench.asks(tenures[1], "run-1", 3, holds=AppQuota(20, 2))
    assert grant.quota == AppQuota(50, 4)


def test_after_a_crash_a_shard_whose_run_never_asked_holds_nothing() -> None:
    """No run of its epoch was granted anything, because that would be durable."""
    first = Bench(2)
    tenures = first.given(ONE)
    first.asks(tenures[0], "run-0", 1)
    bench = first.restarted()
    (grant,) = bench.asks(tenures[0], "run-0", 2, holds=AppQuota(50, 4))
    assert grant.quota == AppQuota(50, 4)
    (grant,) = bench.asks(tenures[1], "run-1", 1)
    assert grant.quota == AppQuota(50, 4)


def test_a_coordinator_whose_head_was_taken_over_says_nothing_any_more() -> None:
    """Another one has a higher term on the disk."""
    bench, (tenure,) = begun()
    bench.term_on_disk = 2
    assert bench.asks(tenure, "run-0", 2) == []
    assert bench.core.superseded is not None
    assert bench.core.superseded.term == 2
    bench.term_on_disk = 1
    assert bench.asks(tenure, "run-0", 3) == []
    assert bench.core.finished


# ------------------------------------------------------------------------------------------------------------- the end


def test_a_complete_shard_is_collected_and_done_once() -> None:
    """Its quota is free at once. A second result of it is ignored, and so is one of a run that does not own the epoch."""
    bench, (tenure,) = begun()
    assert bench.handle(RunReturned(tenure, None, complete=False, reason="it is locked")) == []
    assert bench.handle(RunReturned(tenure, "run-0", complete=True)) == [Collect(0, 1)]
    assert bench.core.reserved["app"] == NO_QUOTA
    assert bench.handle(RunReturned(tenure, "run-0", complete=True)) == []
    assert not bench.core.complete
    bench.handle(Collected(0, 1))
    assert bench.record.shards[0].done
    assert bench.core.complete
    assert bench.core.finished
    assert bench.handle(Collected(0, 1)) == []
    assert bench.restarted().core.complete


def test_a_result_that_was_not_collected_before_a_crash_comes_again() -> None:
    """The shard is given once more where its disk is: the run finds everything done."""
    before, (tenure,) = begun()
    before.handle(RunReturned(tenure, "run-0", complete=True))
    bench = before.restarted()
    bench.handle(WorkersSeen((ONE,)))
    (give,) = of_kind(bench.handle(after_s=FENCED_S), Give)
    assert give.tenure.epoch == 2


def test_a_run_that_ended_without_being_complete_is_started_again_after_a_while() -> None:
    """At once would be for ever, if it cannot begin. The ended run may not come back."""
    bench, (tenure,) = begun()
    assert bench.handle(RunReturned(tenure, "run-0", complete=False)) == []
    assert isinstance(bench.asks(tenure, "run-0", 2)[0], Over)
    assert bench.handle(WorkersSeen((ONE,)), after_s=4.0) == []
    assert of_kind(bench.handle(after_s=1.0), Give)


def test_a_run_that_could_not_even_ask_is_started_again_after_a_while() -> None:
    """Its ledger was locked, for example."""
    bench = Bench()
    (tenure,) = bench.given(ONE)
    assert bench.handle(RunReturned(tenure, None, complete=False)) == []
    assert of_kind(bench.handle(after_s=5.0), Give)


def test_a_run_that_an_error_ended_stops_all() -> None:
    """The others are told at once, and again with their grants; nothing is given any more, and the end is the end of all."""
    bench, tenures = begun(2)
    commands = bench.handle(RunReturned(tenures[0], "run-0", complete=False, reason="Graph refused the app."))
    assert commands == [Tell(Notice("run-1", 1, stop="Graph refused the app."))]
    (grant,) = bench.asks(tenures[1], "run-1", 2)
    assert grant.stop == "Graph refused the app."
    assert not bench.core.finished
    bench.handle(RunReturned(tenures[1], "run-1", complete=False))
    assert bench.core.finished
    assert not bench.core.complete
    assert bench.handle(WorkersSeen((ONE,)), StopAsked("again"), after_s=10_000.0) == []
    assert bench.core.stop_reason == "Graph refused the app."
    assert bench.core.wake_at() == inf


def test_failures_of_all_runs_together_stop_all() -> None:
    """The threshold is crossed by two runs, and by neither alone."""
    bench = Bench(2, totals=Totals(FailureThreshold.parse("5")))
    tenures = bench.given(ONE)
    three = RunFigures({Outcome.REFUSED: 3})
    (grant,) = bench.asks(tenures[0], "a", 1, figures=three)
    assert grant.stop is None
    told = bench.asks(tenures[1], "b", 1, figures=three)
    assert [type(said) for said in told] == [Notice, Notice, Grant]
    assert "6 rows failed" in told[-1].stop


# ----------------------------------------------------------------------------------------------------------------- waits


def test_a_wait_of_the_app_is_durable_and_then_told_to_all_others_at_once() -> None:
    """Not to the one that reported it, not to another app's, and not to a run that has not asked yet."""
    bench = Bench(4)
    tenures = bench.given(ONE)
    for tenure, client_id in zip(tenures[:3], ("app", "app", "another"), strict=True):
        bench.asks(tenure, f"run-{tenure.shard}", 1, client_id=client_id)
    commands = bench.handle(asking(tenures[0], "run-0", 2, wait=ReportedWait(1, 60.0, True)))
    assert isinstance(commands[0], Save)
    assert bench.record.waits == {"app": AppWait(1, UTC, UTC + 60.0)}
    notice, grant = (tell.said for tell in of_kind(commands, Tell))
    assert isinstance(notice, Notice)
    assert (notice.run, notice.wait and notice.wait.for_s, notice.wait and notice.wait.cut) == ("run-1", 60.0, True)
    assert isinstance(grant, Grant)
    assert grant.wait is None


def test_grants_carry_a_wait_until_the_run_has_heard_it() -> None:
    """A notice may be lost, and a run may begin during the wait."""
    bench, tenures = begun(3)
    bench.asks(tenures[0], "run-0", 2, wait=ReportedWait(1, 60.0, False))
    (grant,) = bench.asks(tenures[1], "run-1", 2, after_s=10.0)
    assert grant.wait is not None
    assert grant.wait.for_s == 50.0
    (grant,) = bench.asks(tenures[1], "run-1", 3, wait_heard=1)
    assert grant.wait is None
    (grant,) = bench.asks(tenures[2], "run-2", 2, after_s=51.0)
    assert grant.wait is None, "it is over"


def test_a_wait_that_is_told_again_is_no_news_and_a_longer_one_is() -> None:
    """A run tells its wait with each question. A shorter one of another run changes nothing."""
    bench, tenures = begun(2)
    bench.asks(tenures[0], "run-0", 2, wait=ReportedWait(1, 60.0, False))
    assert len(bench.asks(tenures[0], "run-0", 3, wait=ReportedWait(1, 59.0, False), after_s=1.0)) == 1
    bench.asks(tenures[1], "run-1", 2, wait=ReportedWait(1, 5.0, False), wait_heard=1)
    assert bench.record.waits["app"].number == 1
    told = bench.asks(tenures[1], "run-1", 3, wait=ReportedWait(2, 300.0, False), wait_heard=1)
    assert [type(said) for said in told] == [Notice, Grant]
    assert bench.record.waits["app"].number == 2


def test_a_wait_outlives_the_coordinator_and_a_clock_that_is_set_back() -> None:
    """A run that begins after a crash is told what is left of it; if the clock shows less than its beginning, all of it is left."""
    before, tenures = begun(2)
    before.asks(tenures[0], "run-0", 2, wait=ReportedWait(1, 60.0, False))
    bench = before.restarted()
    (grant,) = bench.asks(tenures[1], "run-1", 2)
    assert grant.wait is not None
    assert grant.wait.for_s == pytest.approx(60.0)
    wait = AppWait(1, UTC, UTC + 60.0)
    assert [wait.left_s(utc) for utc in (UTC + 20.0, UTC + 70.0, UTC - 3_600.0)] == [40.0, 0.0, 60.0]


def test_a_run_that_is_over_still_tells_what_graph_asked() -> None:
    """Its last call was answered with a wait of the whole app."""
    bench, tenures = begun(2)
    bench.handle(RunReturned(tenures[0], "run-0", complete=False))
    told = bench.asks(tenures[0], "run-0", 2, wait=ReportedWait(1, 60.0, False))
    assert [type(said) for said in told] == [Notice, Over]


def test_workers_of_one_disk_share_its_shards() -> None:
    """Each of two workers gets a shard, and the shard of one that is gone goes on in the other, because the disk is the same."""
    bench = Bench(2)
    other = replace(ONE, worker="tcp://other")
    gives = of_kind(bench.handle(WorkersSeen((ONE, other))), Give)
    assert {give.worker.worker for give in gives} == {ONE.worker, other.worker}
    for give in gives:
        bench.asks(give.tenure, f"run-{give.tenure.shard}", 1)
    gone = gives[1].worker
    stays = ONE if gone.worker == other.worker else other
    bench.asks(gives[0].tenure, "run-0", 2, after_s=FENCED_S - 1.0)
    (give,) = of_kind(bench.handle(WorkersSeen((stays,)), after_s=2.0), Give)
    assert (give.tenure.shard, give.worker) == (gives[1].tenure.shard, stays)


def test_what_cannot_be_brought_home_is_run_again_or_lost() -> None:
    """A complete shard whose worker went away too early is given again where its disk is. Without the disk it is lost."""
    bench = Bench()
    (tenure,) = bench.given(ONE)
    bench.asks(tenure, "run", 1)
    (collect,) = of_kind(bench.handle(RunReturned(tenure, "run", complete=True)), Collect)
    assert not of_kind(bench.handle(CollectFailed(0, collect.generation)), Give)
    assert not bench.core.finished
    (give,) = of_kind(bench.handle(WorkersSeen((ONE, TWO)), after_s=6.0), Give)
    assert give.worker == ONE
    bench.asks(give.tenure, "again", 1)
    bench.handle(RunReturned(give.tenure, "again", complete=True))
    bench.handle(CollectFailed(0, 1))
    assert not of_kind(bench.handle(WorkersSeen((TWO,)), after_s=LeaseTimes().lost_s - 1.0), Redo)
    assert of_kind(bench.handle(after_s=2.0), Redo)


def test_a_ledger_that_is_not_on_its_disk_is_looked_for_and_then_lost() -> None:
    """A disk that is there without the shard's ledger does not keep the shard for ever, and no other ledger takes its place."""
    bench = Bench()
    (tenure,) = bench.given(ONE)
    bench.asks(tenure, "run", 1)
    looked, redos = 0, []
    bench.handle(after_s=FENCED_S)
    for _ in range(300):
        commands = bench.handle(WorkersSeen((ONE,)), after_s=5.0)
        for give in of_kind(commands, Give):
            assert give.begun
            looked += 1
            commands += bench.handle(LedgerMissing(give.tenure))
        redos += of_kind(commands, Redo)
        if redos:
            break
    assert [(redo.shard, redo.generation) for redo in redos] == [(0, 1)]
    assert looked > 100
    assert bench.handle(LedgerMissing(Tenure(0, 1, 999))) == []
