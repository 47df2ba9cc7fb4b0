"""The side of a worker process: it hears what the coordinator says, and says what its runs ask.

The module is also what Dask loads into each worker process of this machine when it starts (`dask_setup`).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from purgeengine.errors import RunStopped

UP, DOWN = "purge-up-", "purge-down-"
"""Beginnings of the topics of the messages from the runs to the coordinator, and back. The name of the purge follows."""
GREETINGS_MAX, GREETING_S = 100, 0.1
"""How often, and how many seconds apart, a worker sends itself a message, to learn that it hears what is said."""

Message = Mapping[str, Any]


def dask_setup(worker: Any) -> None:
    """Prepare a worker process. A Ctrl-C at the terminal reaches it too, but it is the coordinator who stops it in order."""
    for name in ("SIGINT", "SIGHUP", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and threading.current_thread() is threading.main_thread():
            signal.signal(number, signal.SIG_IGN)


def leave_thread() -> None:
    """Let the task that calls this go on in a thread of its own, so that the worker has room for other tasks."""
    from distributed import secede

    secede()


class WorkerChannel:
    """The way from the tasks of this process to the coordinator of one purge, and back. One for each process and purge."""

    def __init__(self, purge: str) -> None:
        """Subscribe. To be called in a task."""
        from distributed import get_client, get_worker

        self._worker = get_worker()
        self._client = get_client()
        self._up, self._down = UP + purge, DOWN + purge
        self._hearing: dict[str, Callable[[Message], None]] = {}
        self._heard_itself = threading.Event()
        self._greeting = f"{os.getpid()}-{time.monotonic_ns()}"
        self._client.subscribe_topic(self._down, self._hear)
        for _ in range(GREETINGS_MAX):
            self._client.log_event(self._down, {"greeting": self._greeting})
            if self._heard_itself.wait(GREETING_S):
                return
        raise RunStopped("A worker process does not hear what the coordinator says. Nothing was sent by it.")

    def say(self, message: Message) -> None:
        """Send a message to the coordinator. It may be lost. This does not wait."""
        with suppress(OSError):
            self._worker.log_event(self._up, {"said": dict(message)})  # Dask adds a key of its own beside it

    @contextmanager
    def hearing(self, run: str, hear: Callable[[Message], None]) -> Iterator[None]:
        """Call ``hear`` with each message for this run while inside, in Dask's own loop. It must neither wait nor raise."""
        self._hearing[run] = hear
        try:
            yield
        finally:
            del self._hearing[run]

    def _hear(self, event: tuple[float, Message]) -> None:
        message = event[1]
        if message.get("greeting") == self._greeting:
            self._heard_itself.set()
        hear = self._hearing.get(str(message.get("run")))
        if hear is not None:
            hear(message)


_lock = threading.Lock()
_channels: dict[str, WorkerChannel] = {}


def worker_channel(purge: str) -> WorkerChannel:
    """Return the channel of this worker process for a purge. To be called in a task."""
    with _lock:
        if purge not in _channels:
            _channels[purge] = WorkerChannel(purge)
        return _channels[purge]
