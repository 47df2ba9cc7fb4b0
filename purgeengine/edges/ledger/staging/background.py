"""Calls in a background thread. Packing and writing need one core while reading needs another."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

AT_ONCE = 64
"""Calls that are made at once, before a thread is started. A small input needs no thread."""
WAITING_MAX = 2
"""Calls that may wait for their turn. Each holds rows in memory."""


class ThreadedCall(Generic[Result]):
    """One call in a thread of its own. Neither a caller that ignores the result nor the end of the process waits for it."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._answer: Future[Result] = Future()
        threading.Thread(target=self._make, args=(call,), daemon=True).start()

    def result(self) -> Result:
        """Wait for the call. Return what it returned, or raise what it raised."""
        return self._answer.result()

    def _make(self, call: Callable[[], Result]) -> None:
        try:
            self._answer.set_result(call())
        except BaseException as error:  # `result` raises it
            self._answer.set_exception(error)


class Background:
    """Calls in their order, in one thread once there are many. Use it from one thread, and end it with `end` or `abandon`."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[Any]] = deque()

    def do(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Make a call now or soon.

        Raises what this call or an earlier one raised; the caller must then make no further call.
        """
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
        """Wait for all calls. Raises what one of them raised."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Wait for the call under way, and drop those that wait. Safe to call twice."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
