"""Runs a purge in its own thread, and calls the callbacks in the caller's thread.

The purge has its own event loop, so neither a slow callback nor a busy notebook delays the handling of Graph's answers. An
exception in the caller's thread (Ctrl-C, or the signal handler of a scheduler such as Airflow) does not cut a call to Graph short:
the caller waits until the answers of the batches in flight have been recorded.
"""

from __future__ import annotations

import contextvars
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from purgeengine.errors import RunStopped, UsageProblem
from purgeengine.jobs.callbacks import StopHandle
from purgeengine.jobs.progress import Progress
from purgeengine.words import AGAIN, shown

Post = Callable[[Callable[[], None]], None]
"""Schedules a function to be called in the caller's thread. It returns at once and never raises."""


def in_a_thread(work: Callable[[], Any], ended: Callable[[], None]) -> Future[Any]:
    """Run ``work`` in a new thread, with the caller's context variables, and return its result as a future.

    ``ended`` is called in that thread afterwards. If the thread could not be started, or starting it was interrupted,
    ``ended`` is called here, and the exception is raised.
    """
    done: Future[Any] = Future()
    context = contextvars.copy_context()

    def carry_out() -> None:
        try:
            result = context.run(work)
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(result)
        ended()

    try:
        threading.Thread(
            target=carry_out, name="purge", daemon=True
        ).start()  # a daemon, so that a process that must end at once does not wait
    except BaseException:
        ended()
        raise
    return done


class CallbacksOfCaller:
    """Calls the caller's functions in the caller's thread. If one of them raises, the purge stops in order.

    The error is kept, to be raised afterwards.
    """

    def __init__(self, stop: StopHandle, post: Post) -> None:
        self.error: BaseException | None = None
        """The first error that a callback raised. None while no callback has raised."""
        self._stop = stop
        self._post = post
        self._lock = threading.Lock()
        self._latest: Progress | None = None

    def failed(self, error: BaseException, name: str) -> None:
        """Stop the purge in order because a callback raised ``error``. The caller raises it once the purge has ended."""
        if self.error is None:
            self.error = error
        self._stop.stop(f"the callback {name} raised {type(error).__name__}")

    def progress(self, on_progress: Callable[[Progress], object]) -> Callable[[Progress], None]:
        """Return a function that passes progress on to the caller. If the caller is slow, it gets the latest progress only."""

        def deliver() -> None:
            with self._lock:
                latest, self._latest = self._latest, None
            if latest is None or self.error is not None:
                return
            try:
                on_progress(latest)
            except BaseException as error:
                self.failed(error, "on_progress")

        def hand_over(progress: Progress) -> None:
            with self._lock:
                is_posted, self._latest = self._latest is not None, progress
            if not is_posted:
                self._post(deliver)

        return hand_over

    def confirmation(self, confirm: Callable[[Any], Any], start: Callable[[Any, Future[bool]], None]) -> Any:
        """Return a function that asks the caller for the confirmation and waits for the answer.

        ``start`` is given an answer that must be awaited, and the future to put it into.
        """

        def ask(preview: Any) -> bool:
            answer: Future[bool] = Future()

            def deliver() -> None:
                try:
                    said = confirm(preview)
                    if inspect.isawaitable(said):
                        start(said, answer)
                    else:
                        settle(answer, is_yes(said))
                except BaseException as error:
                    self.failed(error, "confirm")
                    settle(answer, error)

            with self._stop.calling(lambda reason: settle(answer, RunStopped(_NOT_CONFIRMED.format(reason=reason)))):
                self._post(deliver)
                return answer.result()

        return ask


def is_yes(answer: object) -> bool:
    """Return a confirmation. Raises `UsageProblem` for what is neither True nor False: the text ``"no"`` must not confirm."""
    if isinstance(answer, bool):
        return answer
    raise UsageProblem(f"confirm must return True or False, and returned {shown(answer)}. Nothing was sent.")


def refuse_uncallable(**callbacks: object) -> None:
    """Raise `UsageProblem` for a callback that cannot be called, or ``on_progress`` as a coroutine, before anything is sent."""
    for name, callback in callbacks.items():
        if callback is not None and not callable(callback):
            raise UsageProblem(f"{name} must be a function, not {shown(callback)}. Nothing was sent.")
    if inspect.iscoroutinefunction(callbacks.get("on_progress")):
        raise UsageProblem(
            "on_progress must be a plain function, not a coroutine: nobody would await it. Nothing was sent."
        )


_NOT_CONFIRMED = "The purge was stopped before anything was sent: {reason}. To resume, " + AGAIN + "."


def settle(answer: Future[bool], found: bool | BaseException) -> None:
    """Put the answer or the error into the future, unless it has one already."""
    with suppress(InvalidStateError):
        if isinstance(found, BaseException):
            answer.set_exception(found)
        else:
            answer.set_result(found)
