"""Runs a coroutine to its end, on uvloop if it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run ``main`` and return its result, on uvloop if the ``fast`` extra is installed, else on asyncio's own loop."""
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
