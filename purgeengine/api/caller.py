"""Runs a purge in a thread of its own, and its callbacks in the thread of whoever called it.

The purge has an event loop of its own, so that neither a slow callback nor a busy notebook delays the answers of Graph. And what
is raised in the caller's thread, by Ctrl-C or by the signal handler of a scheduler such as Airflow, ends no call to Graph in the
middle: the caller waits, and the purge drains.
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
from purgeengine.words import shown

Post = Callable[[Callable[[], None]], None]
"""Has a function called soon in the caller's thread. It never waits, and never raises."""


def in_a_thread(work: Callable[[], Any], ended: Callable[[], None]) -> Future[Any]:
    """Carry out ``work`` in a thread, in the context of the caller; ``ended`` is called there afterwards.

    It is called here where the thread could not be started, or where that was interrupted.
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
        ).start()  # whoever leaves at once need not wait for it
    except BaseException:
        ended()
        raise
    return done


class CallbacksOfCaller:
    """The caller's functions, called in the caller's thread. What one of them raises stops the purge, and is kept."""

    def __init__(self, stop: StopHandle, post: Post) -> None:
        self.error: BaseException | None = None
        """The first that a callback raised."""
        self._stop = stop
        self._post = post
        self._lock = threading.Lock()
        self._latest: Progress | None = None

    def failed(self, error: BaseException, name: str) -> None:
        """A callback has raised: the purge stops in order, and the error is raised when it has."""
        if self.error is None:
            self.error = error
        self._stop.stop(f"the callback {name} raised {type(error).__name__}")

    def progress(self, on_progress: Callable[[Progress], object]) -> Callable[[Progress], None]:
        """Hands progress over. Where the caller is slower than that, only the latest is kept."""

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
        """Asks for a confirmation, and waits for the answer. ``start`` has an awaitable answer worked out into a future."""

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
    """Return a confirmation. Raises `UsageProblem` if it is neither True nor False: a text ``"no"`` must not confirm a purge."""
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


_NOT_CONFIRMED = "The purge was stopped before anything was sent: {reason}. The same request resumes it."


def settle(answer: Future[bool], found: bool | BaseException) -> None:
    """Answer, or raise there, unless somebody was quicker."""
    with suppress(InvalidStateError):
        if isinstance(found, BaseException):
            answer.set_exception(found)
        else:
            answer.set_result(found)
