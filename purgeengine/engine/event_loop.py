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
    try:
        return _run_and_close(main)
    except RuntimeError as error:
        # A loop or a coroutine that a signal interrupts at its very start may not be closable, and says so.
        if _follows_interrupt(error):
            raise KeyboardInterrupt from None
        raise


def _run_and_close(main: Coroutine[Any, Any, Result]) -> Result:
    new_loop: Callable[[], asyncio.AbstractEventLoop]
    try:
        try:
            from uvloop import new_event_loop as new_loop
        except ImportError:
            new_loop = asyncio.new_event_loop
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main)
    finally:
        main.close()  # in case no loop has run it: a Ctrl-C may come during the import


def _follows_interrupt(error: BaseException) -> bool:
    before = error.__context__
    while before is not None and not isinstance(before, KeyboardInterrupt):
        before = before.__context__
    return before is not None
