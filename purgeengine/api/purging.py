"""Purging and planning, called by a program."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from purgeengine.api.caller import CallbacksOfCaller, in_a_thread, is_yes, refuse_uncallable, settle
from purgeengine.errors import UsageProblem
from purgeengine.jobs.callbacks import Callbacks, StopHandle, in_loop
from purgeengine.jobs.progress import Progress, ProgressDisplay
from purgeengine.jobs.purge_preview import PurgePreview
from purgeengine.jobs.purge_preview import plan as plan_of
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.summary import Summary
from purgeengine.words import shown

LOOK_FOR_SIGNALS_S = 0.5
"""How long the caller's thread waits at a time: on Windows, a wait without an end keeps Ctrl-C waiting as well."""


def purge(
    request: PurgeRequest,
    *,
    confirm: Callable[[PurgePreview], bool] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    stop: StopHandle | None = None,
) -> Summary:
    """Purge what the request asks for; answers when the run has ended, or stopped.

    Nothing is sent unless the request says ``yes=True`` or ``confirm``, shown the preview, answers True. ``on_progress`` is told
    how the run stands, at most every 2 seconds and once at its end. ``stop`` stops the run in order from another thread.

    Callbacks are called in this thread. What one of them raises stops the run in order, and is raised then. So is what is raised
    in this thread meanwhile, such as KeyboardInterrupt; a second one leaves at once. The ledger is true and resumable in each case.

    No signal handler is installed. Log events go to the logger ``purgeengine`` of Python's logging, unless structlog is set up.

    Why a run ended before its time is in `Summary.stopped`. Raises a `PurgeEngineError` where sending did not begin: `UsageProblem`
    for what must be changed in the request or the input, `TokenError` where no token is to be had, `LedgerError` where the ledger
    cannot be used, `RunStopped` where it was not confirmed or Graph did not answer. Raises `UsageProblem` inside a running event
    loop, which it would hold up for the whole run: there, await `purge_async`.
    """
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise UsageProblem(
            "purge would hold up the event loop that is running here (a notebook has one). Nothing was sent. Write "
            "`await purge_async(...)` instead."
        )
    _refuse_odd(request, stop, confirm, on_progress)
    stop = stop or StopHandle()
    inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
    of_caller = CallbacksOfCaller(stop, inbox.put)
    start = partial(_refuse_awaitable, of_caller)
    work = partial(_purged, request, of_caller, stop, confirm, on_progress, start)
    try:
        done = in_a_thread(work, lambda: inbox.put(None))
        _serve(inbox)
    except BaseException as error:  # Ctrl-C, or what a signal handler of the caller's raised
        stop.stop(f"{type(error).__name__} was raised in the thread that called purge")
        _serve(inbox)
        raise
    return _answer(done, of_caller)


def _serve(inbox: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    """Call what the purge's thread wants to have called, until it has ended."""
    while True:
        with suppress(queue.Empty):
            call = inbox.get(timeout=LOOK_FOR_SIGNALS_S)
            if call is None:
                return
            call()


async def purge_async(
    request: PurgeRequest,
    *,
    confirm: Callable[[PurgePreview], bool | Awaitable[bool]] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    stop: StopHandle | None = None,
) -> Summary:
    """As `purge`, inside a running event loop, which stays free. Callbacks are called in it; ``confirm`` may be a coroutine.

    Cancelling the task stops the run in order: nothing more is sent, batches in flight are waited for at most 30 seconds, what they
    answer is recorded, and then `asyncio.CancelledError` is raised. A second cancellation does not wait any longer. To have the
    summary of a run that was stopped, use ``stop``.
    """
    _refuse_odd(request, stop, confirm, on_progress)
    stop = stop or StopHandle()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    of_caller = CallbacksOfCaller(stop, partial(in_loop, loop))
    answers: set[asyncio.Task[None]] = set()

    def start(said: Awaitable[bool], answer: Future[bool]) -> None:
        task = asyncio.ensure_future(_worked_out(said, answer, of_caller))
        answers.add(task)  # the loop alone would not keep it
        task.add_done_callback(answers.discard)

    work = partial(_purged, request, of_caller, stop, confirm, on_progress, start)
    done = in_a_thread(work, partial(in_loop, loop, ended.set))
    try:
        await ended.wait()
    except asyncio.CancelledError:
        stop.stop("the task was cancelled")
        for task in list(answers):
            task.cancel()
        await ended.wait()
        raise
    return _answer(done, of_caller)


def plan(request: PurgeRequest) -> PurgePreview:
    """What a run of this request would do: on its ledger where that exists, else on the input. Nothing is sent or written.

    No token is needed. Raises what `purge` raises before it signs in. Why a run would be refused after that is in
    `PurgePreview.refused`.
    """
    _refuse_odd(request)
    return plan_of(request)


def _refuse_odd(request: object, stop: object = None, confirm: object = None, on_progress: object = None) -> None:
    if not isinstance(request, PurgeRequest):
        raise UsageProblem(f"The request must be a PurgeRequest, not {shown(request)}. Nothing was sent.")
    if stop is not None and not isinstance(stop, StopHandle):
        raise UsageProblem(f"stop must be a StopHandle, not {shown(stop)}. Nothing was sent.")
    refuse_uncallable(confirm=confirm, on_progress=on_progress)


def _purged(
    request: PurgeRequest,
    of_caller: CallbacksOfCaller,
    stop: StopHandle,
    confirm: Callable[[PurgePreview], Any] | None,
    on_progress: Callable[[Progress], object] | None,
    start: Callable[[Any, Future[bool]], None],
) -> Summary:
    """The whole purge, in its own thread."""
    from purgeengine.jobs.purge import log_doubt, log_end
    from purgeengine.jobs.purge_steps import purge as carried_out

    display = None
    if on_progress is not None:
        display = partial(ProgressDisplay, of_caller.progress(on_progress))
    summary = carried_out(
        request,
        Callbacks(
            confirm=None if confirm is None else of_caller.confirmation(confirm, start), display=display, stop=stop
        ),
    )
    log_doubt(summary)
    log_end(summary)
    return summary


def _answer(done: Future[Summary], of_caller: CallbacksOfCaller) -> Summary:
    """What the thread answers or raises; what a callback raised comes first."""
    if of_caller.error is not None:
        raise of_caller.error
    return done.result()


def _refuse_awaitable(of_caller: CallbacksOfCaller, said: Any, answer: Future[bool]) -> None:
    getattr(said, "close", lambda: None)()
    raise UsageProblem("confirm is a coroutine, and purge has no event loop to run it in. Use purge_async.")


async def _worked_out(said: Awaitable[bool], answer: Future[bool], of_caller: CallbacksOfCaller) -> None:
    try:
        found = is_yes(await said)
    except BaseException as error:
        of_caller.failed(error, "confirm")
        settle(answer, error)
    else:
        settle(answer, found)
