"""Calls that are made behind the caller's back: packing and writing need one core while reading needs another."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

AT_ONCE = 64
"""So many calls are made at once, before there is a thread: small inputs need none."""
WAITING_MAX = 2
"""Calls that wait for their turn, each with rows in memory."""


class Beside(Generic[Result]):
    """One call in a thread of its own. Who does not ask what it answered need not wait for it, nor does the end of the process."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._answer: Future[Result] = Future()
        threading.Thread(target=self._make, args=(call,), daemon=True).start()

    def result(self) -> Result:
        """What it answers or raises."""
        return self._answer.result()

    def _make(self, call: Callable[[], Result]) -> None:
        try:
            self._answer.set_result(call())
        except BaseException as error:  # it is raised where it is asked for
            self._answer.set_exception(error)


class Background:
    """Calls in their order: one thread, once there are many calls. Use it from one thread, and `end` or `abandon` it."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[Any]] = deque()

    def do(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Make a call now or soon. Raises what it, or an earlier one, raises; what comes after such a one is of no use."""
        if self._at_once:
            self._at_once -= 1
            call(*arguments)
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "ledger")
        self._waiting.append(self._thread.submit(call, *arguments))
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft().result()

    def end(self) -> None:
        """Wait for all of them. Raises what one of them raised."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Wait for the call under way, and make no other. Safe to call twice."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
