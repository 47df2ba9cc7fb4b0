"""Tests of a page that is made anew while a run goes on: when it stops, and that the last page never refreshes itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from purgeengine.edges.report_page.refreshing import FOLLOWED_S_MAX, REST_SHARE, FollowEnd, follow


class Clock:
    """A clock that moves only when somebody waits, or when reading takes its time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds


def followed(
    running: Callable[[int], bool], clock: Clock, reading_s: float = 0.0, wait: Callable[[float], None] | None = None
) -> tuple[FollowEnd, Sequence[int | None]]:
    """Follow a run. ``running`` tells for each page, from 0, whether it goes on. Return the end, and the pauses of the pages."""
    pages: list[int | None] = []

    def read() -> dict[str, Any]:
        clock.now_s += reading_s
        return {"running": running(len(pages))}

    end = follow(read, lambda _, every_s: pages.append(every_s), 10, clock=lambda: clock.now_s, wait=wait or clock.wait)
    return end, pages


def test_a_page_is_made_anew_until_the_run_has_ended() -> None:
    """Every page but the last refreshes itself, and the last is written after the run has ended."""
    clock = Clock()
    assert followed(lambda page: page < 3, clock) == (FollowEnd.RUN_ENDED, [10, 10, 10, None])
    assert clock.waits == [10, 10, 10]


def test_without_a_run_there_is_one_page() -> None:
    """A ledger over which no run goes on has one page, and the reason says so."""
    assert followed(lambda _: False, Clock()) == (FollowEnd.NO_RUN, [None])


def test_an_interrupt_leaves_a_page_that_refreshes_no_more() -> None:
    """Ctrl-C ends it, and the page is written once more without asking to be loaded again."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    assert followed(lambda _: True, Clock(), wait=interrupt) == (FollowEnd.INTERRUPTED, [10, None])


def test_an_interrupt_before_the_first_page_is_an_interrupt() -> None:
    """If the ledger was not read yet, there is no page to leave, and the interrupt goes on to the command."""

    def interrupted(_: int) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        followed(interrupted, Clock())


def test_a_large_ledger_is_read_for_a_fifth_of_the_time_at_most() -> None:
    """If making a page takes long, the pauses between pages grow with it."""
    clock = Clock()
    followed(lambda page: page < 2, clock, reading_s=30.0)
    assert clock.waits == [30.0 * REST_SHARE] * 2


def test_it_ends_by_itself() -> None:
    """A run without an end is followed for seven days, and not for ever."""
    clock = Clock()
    end, pages = followed(lambda _: True, clock, reading_s=3_600.0)
    assert (end, pages[-1]) == (FollowEnd.TOO_LONG, None)
    assert FOLLOWED_S_MAX < clock.now_s < FOLLOWED_S_MAX + 6 * 3_600
