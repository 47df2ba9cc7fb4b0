"""The purge's thread and the caller's: who calls what where, and what is kept of what was missed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from purgeengine.api.caller import CallbacksOfCaller, in_a_thread
from purgeengine.jobs.callbacks import StopHandle
from purgeengine.jobs.progress import Progress


def a_progress(calls: int) -> Progress:
    """One that can be told from the others."""
    return Progress(10, {}, 10, 0.0, calls, 0, None, 0.0, 0.0, None)


def test_a_slow_caller_is_told_the_latest_only() -> None:
    """However much comes in between, one delivery waits: memory does not grow with a caller who looks away."""
    waiting: list[Callable[[], None]] = []
    told: list[int] = []
    hand_over = CallbacksOfCaller(StopHandle(), waiting.append).progress(lambda progress: told.append(progress.calls))
    for calls in range(100):
        hand_over(a_progress(calls))
    assert len(waiting) == 1
    waiting.pop()()
    assert told == [99]
    hand_over(a_progress(100))
    waiting.pop()()
    assert told == [99, 100]


def test_the_first_error_of_a_callback_counts_and_ends_the_telling() -> None:
    """The stop names the callback; nothing more is told to somebody who failed."""
    stop, told = StopHandle(), list[int]()

    def fail(progress: Progress) -> None:
        told.append(progress.calls)
        raise ValueError(progress.calls)

    of_caller = CallbacksOfCaller(stop, lambda deliver: deliver())
    hand_over = of_caller.progress(fail)
    hand_over(a_progress(1))
    hand_over(a_progress(2))
    assert (told, str(of_caller.error), stop.reason) == ([1], "1", "the callback on_progress raised ValueError")


def test_a_stop_ends_the_wait_for_an_answer() -> None:
    """A question that is never answered does not keep the thread; an answer that comes later changes nothing."""
    stop, posted = StopHandle(), list[Callable[[], None]]()
    ask = CallbacksOfCaller(stop, posted.append).confirmation(lambda preview: True, lambda said, answer: None)
    stop.stop("enough")
    with pytest.raises(Exception, match="before anything was sent: enough"):
        ask(None)
    posted[0]()


def test_the_end_is_told_however_the_work_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an answer, with an error, and where no thread can be had: a caller that waits is never left waiting."""
    ended = threading.Event()
    assert in_a_thread(lambda: 7, ended.set).result() == 7
    assert ended.wait(30)

    def fail() -> Any:
        raise KeyError("x")

    ended.clear()
    done = in_a_thread(fail, ended.set)
    assert ended.wait(30)
    with pytest.raises(KeyError):
        done.result()
    ended.clear()

    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(RuntimeError, match="can't start"):
        in_a_thread(fail, ended.set)
    assert ended.is_set()
