"""Blocking calls beside the event loop, in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


async def beside_the_loop(call: Callable[[], Result]) -> Result:
    """Run ``call`` in a thread of its own. Return what it returns, or raise what it raises.

    Unlike with `asyncio.to_thread`, a call that hangs delays neither the end of the loop nor the end of the process.
    A caller that stops waiting leaves the thread behind.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Result] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        if not answered.done():  # otherwise nobody waits any more
            set_it()

    def work() -> None:
        try:
            result = call()
        except BaseException as error:
            outcome = _raising(answered, error)
        else:
            outcome = _answering(answered, result)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=work, name="blocking call", daemon=True).start()
    return await answered


def _raising(answered: asyncio.Future[Result], error: BaseException) -> Callable[[], None]:
    return lambda: answered.set_exception(error)


def _answering(answered: asyncio.Future[Result], result: Result) -> Callable[[], None]:
    return lambda: answered.set_result(result)
