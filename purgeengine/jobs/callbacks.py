"""What a purge is handed to talk with whoever asked for it: questions, progress, and a handle that stops it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from purgeengine.errors import RunStopped
from purgeengine.words import shown

if TYPE_CHECKING:
    from purgeengine.jobs.progress import Display
    from purgeengine.jobs.purge_preview import PurgePreview

NO_REASON = "the caller asked for it"
Stopping = Callable[[Callable[[str], None], Callable[[], None]], AbstractContextManager[None]]
"""While inside, may call the first function with a reason to stop in an orderly way, and the second before leaving at once."""


@contextmanager
def never_stopping(stop: Callable[[str], None], leave: Callable[[], None]) -> Iterator[None]:
    """Let a run go on to its end."""
    yield


def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Call the function soon in a loop that may run in another thread; a loop that has ended needs it no more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


class StopHandle:
    """Stops a purge in order, from any thread: nothing more is sent, batches in flight are waited for at most 30 s.

    It stays stopped: a purge that is given a handle that was used before does not begin.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._told: list[Callable[[str], None]] = []

    @property
    def reason(self) -> str | None:
        """Why the purge is to stop, as half a sentence; None while it may go on."""
        return self._reason

    def stop(self, reason: str = NO_REASON) -> None:
        """Ask for the stop. Only the first reason counts; safe to call again. It stops whatever the reason is."""
        reason = (reason if isinstance(reason, str) else shown(reason)).strip() or NO_REASON
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            told = list(self._told)
        for tell in told:
            tell(reason)

    @contextmanager
    def calling(self, tell: Callable[[str], None]) -> Iterator[None]:
        """While inside, a stop calls ``tell`` with its reason, in the thread that stops; at once where it has been asked for."""
        with self._lock:
            self._told.append(tell)
            reason = self._reason
        try:
            if reason is not None:
                tell(reason)
            yield
        finally:
            with self._lock:
                self._told.remove(tell)

    @contextmanager
    def stopping(self, stop: Callable[[str], None], leave: Callable[[], None]) -> Iterator[None]:
        """`Stopping` by this handle, inside a running loop."""
        loop = asyncio.get_running_loop()
        with self.calling(lambda reason: in_loop(loop, stop, reason)):
            yield

    def check(self) -> None:
        """Raise `RunStopped` where the stop was asked for: between two steps, before anything is sent."""
        if self._reason is not None:
            raise RunStopped(
                f"The purge was stopped before anything was sent: {self._reason}. The same request resumes it."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What a purge calls on its way. Each of them may be left out."""

    confirm: Callable[[PurgePreview], bool] | None = None
    """Asked before anything is sent, unless the request confirms the purge itself. It may raise a `PurgeEngineError`."""
    tell: Callable[[str], None] | None = None
    """Told sentences for people on the way; None where nobody wants to hear them."""
    tell_sign_in: Callable[[str], None] | None = None
    """Told where a person has to sign in; None for standard error."""
    tell_reading: Callable[[str], None] | None = None
    """Told what was taken from the input, a line each, before anybody is asked; None for the log."""
    on_reading: Callable[[int], None] | None = None
    """Told from time to time how many rows of the input have been read."""
    display: Callable[[], Display] | None = None
    """Makes what shows the run, when the run begins; None to show nothing."""
    signing_in: Callable[[], AbstractContextManager[None]] = nullcontext
    """Around the first token, which may take long."""
    stopping: Stopping = never_stopping
    """What may stop the run from outside while it sends: signals, on the command line."""
    stop: StopHandle | None = None
    """The same for every step of the purge."""
    on_outcome: Callable[[int], object] = lambda exit_code: None
    """Called with the exit code as soon as the run is over: from then on nothing changes it."""

    def check_stop(self) -> None:
        """Raise `RunStopped` where a stop was asked for."""
        if self.stop is not None:
            self.stop.check()

    def reading(self, rows: int) -> None:
        """Rows of the input have been read. Raises `RunStopped` where a stop was asked for."""
        self.check_stop()
        if self.on_reading is not None:
            self.on_reading(rows)

    @contextmanager
    def stoppable(self, stop: Callable[[str], None], leave: Callable[[], None]) -> Iterator[None]:
        """Both ways to stop, while the run sends."""
        with self.stopping(stop, leave):
            if self.stop is None:
                yield
            else:
                with self.stop.stopping(stop, leave):
                    yield
