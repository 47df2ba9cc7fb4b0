"""Tests of figures that add up: the automatic stop weighs several runs by them as it would weigh one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.messages import BatchEnded, BatchSent, Entry, MailboxClosed
from purgeengine.core.model import Attempt, MailboxShare, Outcome, Reply
from purgeengine.core.policy.auto_stop import AutoStop, FailureThreshold
from purgeengine.core.policy.run_figures import RunFigures, StopCounter, StopFigures

DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")
TURNS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=60
)
"""Turns as (mailboxes that deny the app, rows purged, rows refused, mailboxes answered beside those)."""


def turns_of(drawn: list[tuple[int, int, int, int]]) -> list[tuple[list[Entry], Counter[Outcome]]]:
    """Return the entries and the settled rows of each turn."""
    found: list[tuple[list[Entry], Counter[Outcome]]] = []
    mailbox = 0
    for number, (denied, purged, refused, others) in enumerate(drawn):
        theirs = range(mailbox, mailbox + denied + others)
        mailbox += denied + others
        shares = tuple(MailboxShare(one, (Attempt(one),)) for one in theirs)
        closed = [MailboxClosed(one, DENIED, 1) for one in theirs[:denied]]
        entries: list[Entry] = [BatchSent(number, "id", shares), BatchEnded(number, 200, ""), *closed]
        found.append((entries, Counter({Outcome.PURGED: purged, Outcome.REFUSED: refused})))
    return found


@given(TURNS)
def test_figures_told_after_every_turn_stop_a_run_as_the_run_itself_would_stop(
    drawn: list[tuple[int, int, int, int]],
) -> None:
    """Somebody who gets the figures after each turn decides at each as the automatic stop that sees the entries."""
    here, afar, counter, before = AutoStop(), AutoStop(), StopCounter(), StopFigures()
    for entries, settled in turns_of(drawn):
        counter.seen(entries, settled)
        told = afar.weigh(counter.figures.since(before, lambda mailbox: ("shard", mailbox)))
        before = counter.figures
        assert told == here.seen(entries, settled)


@given(TURNS, st.sets(st.integers(0, 60)))
def test_figures_that_were_missed_are_in_the_next_ones(drawn: list[tuple[int, int, int, int]], heard: set[int]) -> None:
    """Whatever messages are lost, the rows and denials of those that come add up to all."""
    counter, snapshots = StopCounter(), [StopFigures()]
    turns = turns_of(drawn)
    for number, (entries, settled) in enumerate(turns):
        counter.seen(entries, settled)
        if number in heard or number == len(turns) - 1:
            snapshots.append(counter.figures)
    parts = [later.since(earlier, lambda mailbox: mailbox) for earlier, later in pairwise(snapshots)]
    assert sum(part.ended for part in parts) == sum(settled.total() for _, settled in turns)
    assert sum(part.failed for part in parts) == sum(settled[Outcome.REFUSED] for _, settled in turns)
    in_a_row = 0
    for part in parts:
        in_a_row = part.denied_in_a_row + (0 if part.went_well else in_a_row)
    assert in_a_row == counter.figures.denied_in_a_row


def test_a_failure_threshold_counts_over_all_runs() -> None:
    """Neither run alone crosses it, both together do; skipped rows do not count."""
    threshold = FailureThreshold.parse("10%")
    one = RunFigures({Outcome.PURGED: 95, Outcome.REFUSED: 8, Outcome.SKIPPED: 1_000})
    other = RunFigures({Outcome.PURGED: 10, Outcome.EXHAUSTED: 5})
    assert one.crossed(threshold) is None
    assert other.crossed(threshold) is None
    assert "13 of 118 rows failed" in ((one + other).crossed(threshold) or "")


def test_figures_add_up_and_the_end_is_that_of_the_last_run() -> None:
    """Counts and rates are added; all runs have ended when the slowest has."""
    one = RunFigures({Outcome.PURGED: 3}, 1, 3, 0, 1, 2, 3, 0, 10.0, 60.0)
    other = RunFigures({Outcome.PURGED: 4, Outcome.ABSENT: 1}, 2, 6, 1, 0, 0, 4, 1, 5.0, None)
    assert one + other == RunFigures({Outcome.PURGED: 7, Outcome.ABSENT: 1}, 3, 9, 1, 1, 2, 7, 1, 15.0, 60.0)
    assert (RunFigures() + RunFigures()).left_s is None
