"""Tests of the side of a run: what it asks, when it asks at once, and what it makes of the answers."""

from __future__ import annotations

from purgeengine.core.coordination.lease_clock import Instant
from purgeengine.core.coordination.lease_holder import LeaseHolder
from purgeengine.core.coordination.lease_messages import Grant, Notice, Over, PassedWait, Tenure
from purgeengine.core.coordination.quota_book import NO_QUOTA, AppQuota
from purgeengine.core.messages import AskedToWait, QuotaChanged

ALL = AppQuota(100, 8)


def at(seconds: float) -> Instant:
    return Instant(seconds, 1.7e9 + seconds)


def a_holder() -> LeaseHolder:
    """Return a holder of a lease of 30 seconds that has not asked yet."""
    return LeaseHolder(Tenure(0, 1, 1), "run", "disk", "app", 30.0)


def grant(number: int, share: AppQuota = ALL, term: int = 1, wait: PassedWait | None = None) -> Grant:
    return Grant("run", number, term, share, wait)


def test_a_run_tells_what_it_holds_and_nothing_if_its_lease_has_ended() -> None:
    """Only what it could be sending with counts against the others."""
    holder = a_holder()
    assert holder.ask(at(0.0)).holds == NO_QUOTA
    assert holder.heard(grant(1)) == [QuotaChanged(100.0, 8)]
    assert holder.ask(at(10.0)).holds == AppQuota(100, 8)
    assert holder.left_s(at(29.0)) == 1.0
    assert holder.ask(at(31.0)).holds == NO_QUOTA


def test_a_lowered_share_is_confirmed_at_once_and_a_raised_one_is_not() -> None:
    """Others wait for what the run has lost."""
    holder = a_holder()
    holder.heard(grant(holder.ask(at(0.0)).number))
    assert not holder.asks_now
    holder.heard(grant(holder.ask(at(7.0)).number, AppQuota(100, 4)))
    assert holder.asks_now
    assert holder.ask(at(7.1)).holds == AppQuota(100, 4)
    assert not holder.asks_now
    assert holder.heard(grant(3, AppQuota(100, 4))) == []


def test_old_answers_and_those_of_others_do_not_count() -> None:
    """Neither the answer to an older question, nor that to another run, nor that of a coordinator that was replaced."""
    holder = a_holder()
    holder.ask(at(0.0))
    holder.ask(at(1.0))
    assert holder.heard(grant(1)) == []
    assert holder.heard(Grant("another run", 2, 1, AppQuota(1, 1))) == []
    assert holder.heard(grant(2, term=5)) == [QuotaChanged(100.0, 8)]
    holder.ask(at(25.0))
    assert holder.heard(grant(3, AppQuota(50, 4), term=4)) == []
    assert holder.left_s(at(25.0)) == 6.0


def test_a_run_that_was_replaced_never_sends_again() -> None:
    """Not even if another answer grants it the lease."""
    holder = a_holder()
    holder.heard(grant(holder.ask(at(0.0)).number))
    holder.heard(Over("run", 1, "shard 0 is not this run's any more"))
    assert holder.over == "shard 0 is not this run's any more"
    holder.heard(grant(holder.ask(at(1.0)).number))
    assert holder.left_s(at(1.0)) < 0


def test_a_wait_that_graph_asked_for_is_told_until_it_is_over() -> None:
    """It is told at once and with every question, with what is left of it; a shorter one is no news."""
    holder = a_holder()
    holder.ask(at(0.0))
    holder.asked_to_wait(30.0, at(1.0), cut=True)
    assert holder.asks_now
    wait = holder.ask(at(2.0)).wait
    assert wait is not None
    assert (wait.number, wait.for_s, wait.cut) == (1, 29.0, True)
    holder.asked_to_wait(5.0, at(3.0), cut=False)
    assert not holder.asks_now
    assert holder.ask(at(31.0)).wait is None


def test_a_wait_that_was_passed_on_is_obeyed_once() -> None:
    """It may come as a notice, and again with grants until the run has confirmed that it heard it."""
    holder = a_holder()
    holder.ask(at(0.0))
    wait = PassedWait(4, 20.0, True)
    assert holder.heard(Notice("run", 1, wait)) == [AskedToWait(20.0, True)]
    assert holder.left_s(at(0.0)) < 0, "a notice extends no lease"
    assert holder.heard(grant(1, wait=wait)) == [QuotaChanged(100.0, 8)]
    assert holder.ask(at(1.0)).wait_heard == 4


def test_a_run_that_only_waits_says_so_at_once() -> None:
    """Others may have its share, until it wants it again."""
    holder = a_holder()
    holder.ask(at(0.0))
    holder.want(True)
    assert not holder.asks_now
    holder.want(False)
    assert holder.asks_now
    assert not holder.ask(at(0.0)).wants


def test_a_run_stops_for_the_first_reason() -> None:
    """A notice is as good as a grant for that."""
    holder = a_holder()
    holder.heard(Notice("run", 1, stop="too many rows failed"))
    holder.heard(Notice("run", 1, stop="another reason"))
    assert holder.stop == "too many rows failed"
