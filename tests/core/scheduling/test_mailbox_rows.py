"""Tests of which rows of a mailbox travel next: in batches those that are longest due, in lanes those that break none."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.model import Attempt
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.mailbox_rows import DOUBTFUL_IN_LANE, FAILURES_IN_LANE
from purgeengine.run_limits import Limits

NOW = 100.0


def a_mailbox(fresh: int, doubtful: int = 0, whole: int = 0) -> Mailbox:
    """Return a mailbox with so many rows never sent, then so many in doubt, then so many to be sent again without doubt."""
    rows = fresh + doubtful + whole
    mailbox = Mailbox(7, 0, rows, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)
    mailbox.end = fresh
    for position in range(fresh, rows):
        mailbox.put_back(Attempt(position, 1, 1, position < fresh + doubtful), NOW)
    return mailbox


def positions(attempts: Sequence[Attempt]) -> list[int]:
    return [attempt.position for attempt in attempts]


def test_doubtful_rows_stand_at_the_end_of_a_lane() -> None:
    """A row that is gone breaks its lane, so that a few rows in doubt follow those that were never sent."""
    mailbox = a_mailbox(fresh=200, doubtful=9)
    drawn = mailbox.draw_lane(20, NOW)
    assert positions(drawn) == [*range(18), 200, 201]
    assert [attempt.number for attempt in drawn] == [1] * 18 + [2, 2]
    assert mailbox.remaining == 189


def test_rows_without_doubt_that_were_sent_before_follow_those_never_sent() -> None:
    """What a broken lane left untried is carried by later lanes, before the rows in doubt."""
    mailbox = a_mailbox(fresh=4, doubtful=8, whole=80)
    assert positions(mailbox.draw_lane(20, NOW)) == [0, 4, 5]
    mailbox.end = mailbox.next
    assert positions(mailbox.draw_lane(20, NOW)) == [*range(12, 30), 6, 7]


def test_with_doubtful_rows_only_no_lane_is_worth_it() -> None:
    """The first row that is gone would end the lane. Rows that may not be sent yet do not count."""
    mailbox = a_mailbox(fresh=0, doubtful=30)
    assert not mailbox.has_lane_rows(NOW)
    mailbox.put_back(Attempt(30), NOW + 1.0)
    assert [mailbox.has_lane_rows(now) for now in (NOW, NOW + 1.0)] == [False, True]
    assert a_mailbox(fresh=1).has_lane_rows(NOW)


def test_a_doubtful_row_that_failed_often_travels_in_batches_only() -> None:
    """A lost lane counts as its failure although the lane may have broken before it. So it is no longer put at the end of lanes."""
    mailbox = a_mailbox(fresh=200)
    for position, failures in ((300, FAILURES_IN_LANE), (301, FAILURES_IN_LANE + 1)):
        mailbox.put_back(Attempt(position, 4, failures, True), NOW)
    assert (mailbox.remaining, mailbox.sendable(NOW, 20)) == (202, 20)
    assert positions(mailbox.draw_lane(20, NOW)) == [*range(19), 300]
    assert not a_mailbox(fresh=0).has_lane_rows(NOW)
    assert positions(mailbox.draw(3, NOW)) == [301, 19, 20]


def test_rows_in_doubt_are_not_sent_before_their_time() -> None:
    """A lane takes those rows in doubt only that may be sent again."""
    mailbox = a_mailbox(fresh=200)
    mailbox.put_back(Attempt(300, in_doubt=True), NOW + 1.0)
    assert positions(mailbox.draw_lane(20, NOW)) == [*range(20)]
    assert positions(mailbox.draw_lane(20, NOW + 1.0)) == [*range(20, 39), 300]


def test_the_rows_longest_due_come_first_in_a_batch_whether_in_doubt_or_not() -> None:
    """An unordered batch does not mind a row that is gone."""
    mailbox = a_mailbox(fresh=0)
    for position, at, in_doubt in ((1, 3.0, True), (2, 1.0, False), (3, 2.0, True), (4, 4.0, False), (5, 99.0, True)):
        mailbox.put_back(Attempt(position, failures=3 * (position == 1), in_doubt=in_doubt), at)
    assert mailbox.ready_at(0.0) == 1.0
    assert mailbox.sendable(4.0, 20) == 4
    assert positions(mailbox.draw(4, 4.0)) == [2, 3, 1, 4]
    assert mailbox.ready_at(5.0) == float("inf")
    mailbox.purged(4, 5.0, lane=False)
    assert mailbox.ready_at(5.0) == 99.0


def test_rows_in_doubt_are_taken_back_and_given_up_like_others() -> None:
    """A late answer settles a row that waits, and a mailbox that closes drops all."""
    mailbox = a_mailbox(fresh=0, doubtful=3, whole=1)
    mailbox.put_back(Attempt(9, 4, 3, True), NOW)
    mailbox.put_back(Attempt(10, 4, 3, True), NOW)
    assert mailbox.take_back(10) == Attempt(10, 4, 3, True)
    taken = mailbox.take_back(1)
    assert taken is not None
    assert (taken.position, mailbox.take_back(1), mailbox.remaining) == (1, None, 4)
    assert sorted(positions(mailbox.give_up())) == [0, 2, 3, 9]
    assert mailbox.remaining == 0


def test_an_earlier_run_leaves_rows_with_and_without_doubt() -> None:
    """A resumed run tells them apart as well."""
    unsettled = [Attempt(0, 1, 1, True), Attempt(1), Attempt(2, 4, 3, True)]
    window, cooldown = Window(10_000, 600.0), LostCallCooldown(Limits())
    mailbox = Mailbox(7, 3, 3, window, cooldown, limit_max=4, unsettled=unsettled, now=NOW)
    assert (mailbox.remaining, mailbox.has_lane_rows(NOW)) == (3, True)
    assert positions(mailbox.draw_lane(20, NOW)) == [1, 0]


@given(
    fresh=st.integers(0, 60),
    doubtful=st.integers(0, 60),
    whole=st.integers(0, 60),
    most=st.integers(1, 20),
    held=st.integers(0, 3),
)
def test_lanes_lose_no_row_and_send_none_twice(fresh: int, doubtful: int, whole: int, most: int, held: int) -> None:
    """Whatever is drawn, each row comes once, no lane is longer than it may be, and its rows in doubt are few and last."""
    mailbox = a_mailbox(fresh, doubtful, whole)
    mailbox.lost_slots.restore(NOW + 1e6, held)
    seen: list[int] = []
    while mailbox.has_lane_rows(NOW):
        drawn = mailbox.draw_lane(most, NOW)
        assert 1 <= len(drawn) <= most
        doubts = [attempt.in_doubt for attempt in drawn]
        assert doubts == sorted(doubts)
        assert sum(doubts) <= DOUBTFUL_IN_LANE
        assert not doubts[0]
        seen += positions(drawn)
        mailbox.purged(len(drawn), NOW, lane=True)
    while mailbox.remaining:
        drawn = mailbox.draw(mailbox.sendable(NOW, 20), NOW)
        seen += positions(drawn)
        mailbox.purged(len(drawn), NOW, lane=False)
    assert sorted(seen) == [*range(fresh + doubtful + whole)]
