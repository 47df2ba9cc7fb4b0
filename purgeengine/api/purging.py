"""`purge`, `purge_async` and `plan`: what a Python program calls."""

from __future__ import annotations

import asyncio
import os
import queue
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from purgeengine.api.caller import CallbacksOfCaller, in_a_thread, is_yes, refuse_uncallable, settle
from purgeengine.api.protected import with_protected_users
from purgeengine.errors import UsageProblem
from purgeengine.jobs.callbacks import Callbacks, StopHandle, in_loop
from purgeengine.jobs.progress import Progress, ProgressDisplay
from purgeengine.jobs.purge_preview import PurgePreview
from purgeengine.jobs.purge_preview import plan as plan_of
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.summary import Summary
from purgeengine.words import shown

LOOK_FOR_SIGNALS_S = 0.5
"""Seconds that the caller's thread waits at a time. On Windows a wait without a time-out would hold back Ctrl-C."""


def purge(
    request: PurgeRequest,
    *,
    confirm: Callable[[PurgePreview], bool] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    stop: StopHandle | None = None,
) -> Summary:
    """Delete the contacts that the request names, and return what became of them when the run has ended or was stopped.

    Users cannot bring back what is permanently deleted. Look with `plan` first:

        request = purgeengine.PurgeRequest(inputs="contacts.csv", ledger="cleanup", max_items=50_000)
        summary = purgeengine.purge(request, confirm=lambda preview: preview.to_purge == 48_210)
        if not summary.complete:
            print(summary.stopped)  # says why, and what to do before the same call resumes the run

    To resume a run that was stopped or whose process died, call `purge` with the same request again. Rows that have their outcome
    are not sent again.

    Arguments:
        request: What to purge, how, and what must be true before anything is sent.
        confirm: Called once with a `PurgePreview` before anything is sent, unless ``request.yes`` is True or no row is left to
            purge. Return True to go on. Any other answer raises `RunStopped`, and nothing is sent. If both ``request.yes`` and
            ``confirm`` are missing, `UsageProblem` is raised.
        on_progress: Called with a `Progress` at most every 2 seconds during the run, and once at its end.
        stop: Call its `StopHandle.stop` from another thread to stop the run in order: nothing more is sent, the run waits at most
            30 seconds for the batches in flight, and their answers are recorded.

    Returns:
        A `Summary`. Once sending has begun, `purge` does not raise for what Graph or the network does; instead `Summary.stopped`
        says why the run ended early. A row that failed is counted in `Summary.outcomes`; it raises nothing.

    Raises (before anything is sent; the text of each error says what to do):
        UsageProblem: The request, the input or a setting must be changed. Also raised if an event loop is running in this thread,
            because `purge` would block it: await `purge_async` there.
        InputError: An input file is missing, unreadable or lacks a column. A kind of `UsageProblem`.
        LedgerMismatch: The ledger belongs to another input, tenant or action. A kind of `UsageProblem`.
        TokenError: No token could be obtained, or Graph refused it.
        LedgerError: The ledger cannot be read or written, for example because the disk is full or another process uses it. It is
            also raised after sending if the ledger cannot be read for the summary.
        RunStopped: The purge was not confirmed, it was stopped before anything was sent, or Graph did not answer.

    Callbacks run in the thread that called `purge`. If one of them raises, or if an exception such as KeyboardInterrupt is raised
    in this thread, the run stops in order and the exception is raised afterwards. A second KeyboardInterrupt ends the wait at once.
    In every case the ledger is correct and can be resumed.

    `purge` installs no signal handler. Log events go to the logger ``purgeengine`` of Python's `logging`, or to structlog if the
    program has configured it.
    """
    with suppress(RuntimeError):
        asyncio.get_running_loop()
        raise UsageProblem(
            "purge would hold up the event loop that is running here (a notebook has one). Nothing was sent. Write "
            "`await purge_async(...)` instead."
        )
    _refuse_odd(request, stop, confirm, on_progress)
    request = with_protected_users(request)
    stop = stop or StopHandle()
    inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
    of_caller = CallbacksOfCaller(stop, inbox.put)
    start = partial(_refuse_awaitable, of_caller)
    work = partial(_purged, request, of_caller, stop, confirm, on_progress, start)
    try:
        done = in_a_thread(work, lambda: inbox.put(None))
        _serve(inbox)
    except BaseException as error:  # Ctrl-C, or an exception from one of the caller's signal handlers
        stop.stop(f"{type(error).__name__} was raised in the thread that called purge")
        _serve(inbox)
        raise
    return _answer(done, of_caller)


def _serve(inbox: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    """Call the functions that the purge's thread puts into the inbox, until that thread has ended."""
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
    """Do what `purge` does, inside a running event loop and without blocking it. Use it in a notebook.

        summary = await purgeengine.purge_async(request, on_progress=lambda now: print(now.left, "left"))

    Arguments, result and errors are those of `purge`, with these differences. Callbacks are called in the running loop, and
    ``confirm`` may be a coroutine function.

    If the task is cancelled, the run stops in order: nothing more is sent, the run waits at most 30 seconds for the batches in
    flight, their answers are recorded, and then `asyncio.CancelledError` is raised. A second cancellation ends the wait at once.
    To get the `Summary` of a run that you stop, use ``stop`` instead of a cancellation.
    """
    _refuse_odd(request, stop, confirm, on_progress)
    request = with_protected_users(request)
    stop = stop or StopHandle()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    of_caller = CallbacksOfCaller(stop, partial(in_loop, loop))
    answers: set[asyncio.Task[None]] = set()

    def start(said: Awaitable[bool], answer: Future[bool]) -> None:
        task = asyncio.ensure_future(_worked_out(said, answer, of_caller))
        answers.add(task)  # the loop holds only a weak reference
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
    """Return what a purge of this request would do. It sends nothing, writes no ledger and needs no token.

        preview = purgeengine.plan(request)
        print(preview.to_purge, "rows in", preview.mailboxes_to_purge, "mailboxes", preview.warnings, preview.refused)

    If the request's ledger exists, the preview shows the rows that the ledger has left. Otherwise it reads the whole input.

    If the request's own limits and filters would refuse the purge (``max_items``, for example), nothing is raised:
    `PurgePreview.refused` says why.

    Raises:
        UsageProblem: The request or a setting must be changed.
        InputError: An input file is missing, unreadable or lacks a column.
        LedgerMismatch: The ledger belongs to another input.
        LedgerError: The ledger cannot be read, or the disk has no room for the temporary files that a large input needs.
    """
    _refuse_odd(request)
    if _has_no_second_time(request.inputs):
        raise UsageProblem(
            "inputs is an iterator. plan would use it up, and purge would then find no row. Give a list or a pyarrow Table. Or "
            "leave out the plan: purge shows the preview to confirm."
        )
    return plan_of(with_protected_users(request))


def _has_no_second_time(inputs: object) -> bool:
    """Whether reading the rows uses them up: each iterator over them is the one that was given before."""
    return isinstance(inputs, Iterable) and iter(inputs) is iter(inputs)


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
    """Do the whole purge. This runs in its own thread."""
    from purgeengine.jobs.purge import log_doubt, log_end
    from purgeengine.jobs.purge_steps import purge as carried_out
    from purgeengine.jobs.run_telemetry import watched

    display = None
    if on_progress is not None:
        display = partial(ProgressDisplay, of_caller.progress(on_progress))
    asked = None if confirm is None else of_caller.confirmation(confirm, start)
    with watched(os.environ, request.spelling) as telemetry:
        callbacks = Callbacks(confirm=asked, display=display, stop=stop, telemetry=telemetry)
        summary = carried_out(request, callbacks)
    log_doubt(summary)
    log_end(summary)
    return summary


def _answer(done: Future[Summary], of_caller: CallbacksOfCaller) -> Summary:
    """Return what the thread returned, or raise what it raised. An error of a callback comes first."""
    if of_caller.error is not None:
        raise of_caller.error
    return done.result()


def _refuse_awaitable(of_caller: CallbacksOfCaller, said: Any, answer: Future[bool]) -> None:
    getattr(said, "close", lambda: None)()
    raise UsageProblem(
        "confirm is a coroutine, and purge cannot await it. Nothing was sent. Give a plain function, or await purge_async."
    )


async def _worked_out(said: Awaitable[bool], answer: Future[bool], of_caller: CallbacksOfCaller) -> None:
    try:
        found = is_yes(await said)
    except BaseException as error:
        of_caller.failed(error, "confirm")
        settle(answer, error)
    else:
        settle(answer, found)
