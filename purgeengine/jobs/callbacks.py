"""How a purge talks with its caller: callbacks for questions and progress, and a handle that stops it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from purgeengine.errors import RunStopped
from purgeengine.jobs.run_telemetry import UNWATCHED, Telemetry
from purgeengine.words import AGAIN, shown

if TYPE_CHECKING:
    from purgeengine.jobs.progress import Display
    from purgeengine.jobs.purge_preview import PurgePreview

NO_REASON = "the caller asked for it"
Stop = Callable[[str], int | None]
"""Stops a run in order for a reason. It returns the number of batches whose answers are awaited, or None if it does not know."""
Stopping = Callable[[Stop, Callable[[], None]], AbstractContextManager[None]]
"""A context manager made from two functions. While inside, it may call the first with a reason, to stop the run in order, and the
second just before the process ends at once."""


@contextmanager
def never_stopping(stop: Stop, leave: Callable[[], None]) -> Iterator[None]:
    """Never stop the run."""
    yield


def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Call the function soon in a loop that may run in another thread. If the loop has ended, do nothing."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


class StopHandle:
    """Stops a purge in order, from any thread.

        stop = purgeengine.StopHandle()
        threading.Timer(3_600, stop.stop, ["one hour is over"]).start()
        summary = purgeengine.purge(request, stop=stop)

    After a stop nothing more is sent, the run waits at most 30 seconds for the batches in flight, and their answers are recorded.
    `purge` then returns a `Summary` whose ``stopped`` gives the reason and whose ``exit_code`` is 4. If nothing was sent yet, it
    raises `RunStopped`. The same request resumes.

    A handle works once. A purge that is given a handle that has been stopped does not begin; make a new handle to resume.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._told: list[Callable[[str], None]] = []

    @property
    def reason(self) -> str | None:
        """The reason given to `stop`. None if nobody has asked for a stop."""
        return self._reason

    def stop(self, reason: str = NO_REASON) -> None:
        """Ask for the stop and return at once. ``reason`` becomes part of the sentence in `Summary.stopped`.

        It is safe to call this again; the first reason stays. It stops whatever the reason is.
        """
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
        """Call ``tell`` with the reason if a stop is asked for while inside, in the thread that asks for it.

        If a stop was asked for before, ``tell`` is called at once.
        """
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
    def stopping(self, stop: Stop, leave: Callable[[], None]) -> Iterator[None]:
        """Stop the run when this handle is stopped. This is the handle's `Stopping`, to be used inside a running loop."""
        loop = asyncio.get_running_loop()
        with self.calling(lambda reason: in_loop(loop, stop, reason)):
            yield

    def check(self) -> None:
        """Raise `RunStopped` if a stop was asked for. Called between two steps, before anything is sent."""
        if self._reason is not None:
            raise RunStopped(f"The purge was stopped before anything was sent: {self._reason}. To resume, {AGAIN}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """The functions that a purge calls. Each may be left out."""

    confirm: Callable[[PurgePreview], bool] | None = None
    """Called before anything is sent, unless the request has ``yes=True``. It may raise a `PurgeEngineError`."""
    wants_tenant_name: Callable[[], bool] = lambda: False
    """Called before ``confirm``. If it returns True, Graph is asked for the name of the tenant, for `PurgePreview.tenant_name`."""
    tell: Callable[[str], None] | None = None
    """Called with sentences for people during the steps before sending. None drops them."""
    tell_sign_in: Callable[[str], None] | None = None
    """Called with the sentence that says where a person must sign in. None writes it to standard error."""
    tell_reading: Callable[[str], None] | None = None
    """Called before the confirmation with lines that say how the input was read. None writes them to the log."""
    on_reading: Callable[[int], None] | None = None
    """Called now and then with the number of input rows read so far."""
    display: Callable[[], Display] | None = None
    """Makes the display when the run begins. None shows nothing."""
    signing_in: Callable[[], AbstractContextManager[None]] = nullcontext
    """The context in which the first token is obtained. That may take long."""
    stopping: Stopping = never_stopping
    """What may stop the run from outside while it sends. On the command line: signals."""
    stop: StopHandle | None = None
    """The handle that stops the purge in any of its steps."""
    on_outcome: Callable[[int], object] = lambda exit_code: None
    """Called with the exit code as soon as the run is over. Nothing changes the code after that."""
    telemetry: Telemetry = UNWATCHED
    """What watches the run from outside."""

    def check_stop(self) -> None:
        """Raise `RunStopped` if a stop was asked for."""
        if self.stop is not None:
            self.stop.check()

    def reading(self, rows: int) -> None:
        """Pass on how many rows of the input have been read. Raises `RunStopped` if a stop was asked for."""
        self.check_stop()
        if self.on_reading is not None:
            self.on_reading(rows)

    @contextmanager
    def stoppable(self, stop: Stop, leave: Callable[[], None]) -> Iterator[None]:
        """Let both ``stopping`` and ``stop`` stop the run while it sends."""
        with self.stopping(stop, leave):
            if self.stop is None:
                yield
            else:
                with self.stop.stopping(stop, leave):
                    yield
