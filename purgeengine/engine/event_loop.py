"""Runs a coroutine to its end, on uvloop if it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run ``main`` and return its result, on uvloop if the ``fast`` extra is installed, else on asyncio's own loop.

    Raises KeyboardInterrupt if a signal interrupts the very start of the loop.
    """
    new_loop: Callable[[], asyncio.AbstractEventLoop]
    try:
        try:
            from uvloop import new_event_loop as new_loop
        except ImportError:
            new_loop = asyncio.new_event_loop
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main)
    except RuntimeError as error:
        # uvloop takes itself for running if a signal interrupted its start, and says that it cannot be closed.
        if _follows_interrupt(error):
            raise KeyboardInterrupt from None
        raise
    finally:
        main.close()  # in case no loop has run it: a Ctrl-C may come during the import


def _follows_interrupt(error: BaseException) -> bool:
    before = error.__context__
    while before is not None and not isinstance(before, KeyboardInterrupt):
        before = before.__context__
    return before is not None
