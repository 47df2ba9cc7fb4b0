"""The simulated tenant over HTTPS in a thread of its own, for a demo or a test whose own event loop is busy."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from purgeengine.errors import UsageProblem
from purgeengine.sim.server.http_server import SimulatedTenant

START_S_MAX = 30.0
"""Seconds that the server may take to listen. Making certificates takes a fraction of a second."""


@contextmanager
def in_background(server: SimulatedTenant) -> Iterator[SimulatedTenant]:
    """Serve inside the context. Raises the server's own error if it cannot start."""
    started, stop = threading.Event(), asyncio.Event()
    failures: list[BaseException] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        try:
            async with server:
                started.set()
                await stop.wait()
        except BaseException as error:
            failures.append(error)
            started.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="simulated tenant", daemon=True)
    thread.start()
    if not started.wait(START_S_MAX):
        raise UsageProblem(f"The simulated tenant did not start within {START_S_MAX:g} s. Try again.")
    try:
        if failures:
            raise failures[0]
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_S_MAX)
        loop.close()
