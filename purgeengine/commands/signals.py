"""Ctrl-C and its relatives: the first one drains, the second leaves at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""What administrators' tools send: terminals, service managers, a closed session; SIGBREAK is Ctrl-Break on Windows."""
LEFT_AT_ONCE = 4


def tell(sentence: str) -> None:
    """On standard error, if anybody still reads it."""
    with suppress(OSError, ValueError):
        click.echo(f"purgeengine: {sentence}", err=True)


@contextmanager
def stop_on_signal(stop: Callable[[str], None], leave: Callable[[], None]) -> Iterator[None]:
    """While inside, a first signal calls ``stop(reason)`` in the running loop; a second calls ``leave`` and ends the process.

    The ledger is durable at every moment, so that leaving at once loses nothing and is resumable too.
    """
    loop = asyncio.get_running_loop()
    received: list[str] = []

    def on_signal(name: str) -> None:
        received.append(name)
        if len(received) > 1:
            leave()
            tell("Left at once. The same command resumes.")
            os._exit(LEFT_AT_ONCE)
        tell("Stopping: what is in flight is waited for. Once more to leave at once.")
        stop(f"{name} was received")

    signals = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        if sys.platform == "win32":  # asyncio has no signal handlers there; Python's run in the main thread
            signal.signal(number, lambda number, _: loop.call_soon_threadsafe(on_signal, signal.Signals(number).name))
        else:
            loop.add_signal_handler(number, on_signal, signal.Signals(number).name)
    try:
        yield
    finally:
        for number in signals:
            if sys.platform != "win32":
                loop.remove_signal_handler(number)
            with suppress(TypeError, ValueError):
                signal.signal(number, before[number])
