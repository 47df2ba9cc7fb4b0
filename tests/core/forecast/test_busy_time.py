"""Tests of the busy time of a mailbox."""

from __future__ import annotations

from purgeengine.core.forecast.busy_time import BusyTime, BusyTotals


def test_a_mailbox_is_busy_until_it_could_send_and_is_not_chosen() -> None:
    """Two times of five seconds count, and the rest between them does not. A second batch begins nothing new."""
    busy = BusyTime()
    busy.begins(0.0)
    busy.begins(2.0)
    busy.rests(5.0)
    busy.rests(6.0)
    busy.begins(20.0)
    assert (busy.busy_s(25.0), busy.paused_s(25.0)) == (10.0, 0.0)


def test_a_pause_is_busy_time_without_rows_in_flight() -> None:
    """Three seconds in flight, then a wait of four, in flight for one, and a wait that lasts for two so far."""
    busy, totals = BusyTime(), BusyTotals()
    busy.totals = totals
    busy.begins(0.0)
    busy.pauses(3.0)
    busy.pauses(5.0)
    busy.begins(7.0)
    busy.pauses(8.0)
    assert (busy.busy_s(10.0), busy.paused_s(10.0), totals.paused_s(10.0)) == (10.0, 6.0, 6.0)
    busy.rests(12.0)
    assert (busy.busy_s(50.0), busy.paused_s(50.0)) == (12.0, 8.0)
    assert (totals.paused_s(50.0), totals.pauses_squared) == (8.0, 4.0**2 + 4.0**2)


def test_mailboxes_of_one_lost_call_count_once() -> None:
    """Two mailboxes that pause at once after a lost call count as one, a third one later as another. A wait does not count."""
    totals = BusyTotals()
    for at, held in ((3.0, True), (3.0, True), (4.0, False), (5.0, True)):
        busy = BusyTime()
        busy.totals = totals
        busy.begins(0.0)
        busy.pauses(at, held=held)
    assert totals.holds == 2
    assert totals.paused_s(10.0) == 7.0 + 7.0 + 6.0 + 5.0


def test_a_mailbox_that_waits_before_its_first_row_is_not_busy() -> None:
    """A wait that an earlier run left counts for nothing: the mailbox has shown nothing yet."""
    busy = BusyTime()
    busy.pauses(0.0)
    assert busy.busy_s(30.0) == 0.0


def test_waits_that_overlap_count_once() -> None:
    """A wait to 10 s that is lengthened to 12 s is one wait; another one after its end is a second."""
    busy = BusyTime()
    busy.told_to_wait(0.0, 10.0)
    busy.told_to_wait(4.0, 8.0)
    busy.told_to_wait(5.0, 12.0)
    assert busy.waits == 1
    busy.told_to_wait(20.0, 23.0)
    assert busy.waits == 2
