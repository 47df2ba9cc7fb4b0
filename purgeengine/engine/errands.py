"""The tasks that run beside the loop: each carries one batch, or renews the token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from purgeengine.errors import NotSent

ABANDON_S_MAX = 2.0
"""Seconds that tasks may take to end after they were cancelled. All they have left to do is to close a connection."""


class Errands:
    """The tasks of one run.

    The edges turn every expected failure (network, disk, Graph) into a `PurgeEngineError`, and the tasks handle it.
    Any other exception is a mistake of ours; ``on_mistake`` is called with it.
    """

    def __init__(self, on_mistake: Callable[[BaseException], None]) -> None:
        self._on_mistake = on_mistake
        self._all: set[asyncio.Task[None]] = set()
        self._before_sending: set[asyncio.Task[Any]] = set()
        self._calls: dict[int, asyncio.Task[None]] = {}

    def start(self, errand: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine as a task beside the loop."""
        task = asyncio.ensure_future(errand)
        self._all.add(task)
        task.add_done_callback(self._ended)
        return task

    def start_call(self, batch: int, call: Coroutine[Any, Any, None]) -> None:
        """Run the call of this batch as a task beside the loop."""
        self._calls[batch] = task = self.start(call)
        task.add_done_callback(lambda _: self._calls.pop(batch))

    def abandon_call(self, batch: int) -> None:
        """Cancel the call of this batch if it has not ended."""
        if batch in self._calls:
            self._calls[batch].cancel()

    async def before_sending(self, waiting: Awaitable[str]) -> str:
        """Wait for what a batch needs before it leaves, and return it. Raises `NotSent` if `recall_unsent` ends the wait."""
        task = asyncio.current_task()
        assert task is not None, "errands are tasks"
        self._before_sending.add(task)
        try:
            return await waiting
        except asyncio.CancelledError:
            raise NotSent("the run was stopped before the batch left") from None
        finally:
            self._before_sending.discard(task)

    def recall_unsent(self) -> None:
        """End every wait in `before_sending`. Those batches have not left, and a run that stops need not wait for them."""
        for task in self._before_sending:
            task.cancel()

    async def abandon(self) -> None:
        """Cancel all tasks, and wait at most `ABANDON_S_MAX` seconds for them to end."""
        for task in list(self._all):
            task.cancel()
        if self._all:
            await asyncio.wait(self._all, timeout=ABANDON_S_MAX)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._all.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_mistake(error)
