"""Tests of waits that Graph does not name: each kind grows up to its longest."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.model import Reply
from purgeengine.run_limits import Limits

FAILED = Reply(503)


class Drawn(Random):
    """A generator that draws the upper or the lower end of every range."""

    def __init__(self, *, longest: bool) -> None:
        super().__init__()
        self._longest = longest

    def uniform(self, a: float, b: float) -> float:
        return b if self._longest else a


@pytest.mark.parametrize(
    ("wait_s", "longest"),
    [
        (Backoff.item_wait_s, [0.5, 0.5, 1, 2, 8, 30, 60, 60]),
        (Backoff.throttled_wait_s, [1, 2, 4, 8, 16, 32, 64, 120, 120]),
        (Backoff.call_wait_s, [1, 2, 4, 8, 16, 32, 60, 60]),
        (Backoff.held_back_wait_s, [120, 240, 480, 960, 1_800, 1_800]),
    ],
)
def test_each_wait_grows_up_to_its_longest(
    wait_s: Callable[[Backoff, int, Reply], float], longest: list[float]
) -> None:
    """Each wait grows up to its longest and is drawn from its upper half.

    Graph's own wait is a lower limit, and gives the first wait.
    """
    most, least = (Backoff(Limits(), Drawn(longest=end)) for end in (True, False))
    counts = range(1, len(longest) + 1)
    assert [wait_s(most, count, FAILED) for count in counts] == longest
    assert [wait_s(least, count, FAILED) for count in counts] == [one / 2 for one in longest]
    for asked_s in (0.0, 0.25):
        waits_s = [wait_s(most, count, Reply(503, retry_after_s=asked_s)) for count in counts]
        assert waits_s == [0.5, *longest[1:]]
    assert [wait_s(most, count, Reply(503, retry_after_s=4_000.5)) for count in (1, 10)] == [4_000.5, 4_000.5]
    assert wait_s(most, 1, Reply(503, retry_after_s=1.0)) == 1.0


def test_a_row_that_is_refused_again_and_again_waits_longer_than_its_mailbox() -> None:
    """A row that is refused often waits longer than its mailbox, but not for its first four sendings."""
    backoff = Backoff(Limits(), Drawn(longest=True))
    assert [backoff.throttled_row_wait_s(sends) for sends in (1, 4, 5, 6, 9, 20)] == [0.0, 0.0, 0.5, 0.5, 8.0, 60.0]


def test_a_row_is_given_up_after_its_attempts() -> None:
    """A row is given up after eight faults, four answers without a reason, or a hundred sendings."""
    backoff = Backoff(Limits(attempts_max=8, unclear_attempts_max=4, sends_max=100), Random(1))
    assert [backoff.gives_up(failures, failures, unclear=False) for failures in (7, 8)] == [False, True]
    assert [backoff.gives_up(failures, failures, unclear=True) for failures in (3, 4)] == [False, True]
    assert [backoff.gives_up(0, sends, unclear=False) for sends in (99, 100)] == [False, True]
