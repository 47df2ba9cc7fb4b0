"""Handles Ctrl-C, SIGTERM and similar signals. The first drains the run, the second ends the process at once.

A signal does not change the exit code of a run that is over. A signal that is ignored when the process starts (``nohup``, a shell's
background job) stays ignored. Windows has SIGINT (Ctrl-C) and SIGBREAK (Ctrl-Break). If its console window is closed, there is no
time to drain, so that is like a kill.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from purgeengine.cli.output import json_printing

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""The signals of terminals, service managers and closed sessions. SIGBREAK is Ctrl-Break on Windows."""
LEFT_AT_ONCE = 4
NAMED = {"SIGINT": "Ctrl-C was pressed", "SIGBREAK": "Ctrl-Break was pressed"}
"""What people call these signals, which a terminal sends when they press keys."""
ENDING_S_MAX = 5.0
"""Seconds that a process has after a signal, once its run is over, to close files and print its summary. A dead disk never ends."""
TELLING_S_MAX = 1.0
"""Seconds to restore the terminal and print a sentence. A pipe that nobody reads would block for ever."""
STOPPING = "Stopping: waiting for the batches in flight, {most_s:g} s at most. Press Ctrl-C again to end at once."
STOPPING_NOW = "Stopping now: no batch is in flight."
ENDED = "Ended at once. To resume, give the same command again."

Handler = Callable[[int, FrameType | None], object]


def tell(sentence: str) -> None:
    """Print a sentence on standard error. If a signal interrupted a write to it, this may fail, and is ignored.

    It does not use `click.echo`, which writes to the underlying stream and so into the middle of a display.
    """
    with suppress(OSError, ValueError, RuntimeError):
        print(f"purgeengine: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - talk


def heeded_signals() -> list[signal.Signals]:
    """Return the signals that this platform has and that the process does not ignore."""
    known = [signal.Signals[name] for name in NAMES if name in signal.Signals.__members__]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Call ``handler`` in the main thread for each signal while inside, also if the main thread waits for a write."""
    before = {number: signal.signal(number, handler) for number in heeded_signals()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            if earlier is not None:  # else it was not Python's
                signal.signal(number, earlier)


def interrupt_on_signal() -> None:
    """From now on the first signal raises KeyboardInterrupt in the main thread, and the second ends the process at once.

    Python swallows an exception in some places (a finaliser, a callback of the garbage collector). The interrupt is raised again
    after that.
    """
    received: list[int] = []
    swallowed: list[int] = []
    tell_of_it = sys.unraisablehook

    def on_signal(number: int, _: FrameType | None) -> None:
        if not swallowed:
            received.append(number)
        swallowed.clear()
        if len(received) > 1:
            _leave_at_once(ENDED)
        raise KeyboardInterrupt

    def again(swallowing: UnraisableHookArgs) -> None:
        if received and issubclass(swallowing.exc_type, KeyboardInterrupt):
            swallowed.append(received[0])
            _thread.interrupt_main(signal.Signals(received[0]))
        else:
            tell_of_it(swallowing)

    sys.unraisablehook = again
    for number in heeded_signals():
        signal.signal(number, on_signal)


def keep_outcome(code: int, leave: Callable[[], None] = lambda: None, *, asked_before: bool = False) -> None:
    """From now on the process ends with this exit code, also if signals arrive.

    After a first signal it has `ENDING_S_MAX` seconds to end in order. A second signal, or the first if ``asked_before`` is true,
    calls ``leave`` and ends it at once.
    """
    received = [0] if asked_before else []

    def on_signal(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            _leave_at_once("Left at once.", leave, code)
        with suppress(RuntimeError):  # no thread can be had; then a second signal is what ends it
            _thread.start_new_thread(_end_after, (ENDING_S_MAX, code))

    for number in heeded_signals():
        signal.signal(number, on_signal)


@contextmanager
def stop_on_signal(
    stop: Callable[[str], int | None],
    leave: Callable[[], None],
    sentence: str | None = None,
    *,
    is_shown: Callable[[], bool] = lambda: False,
    resume: str | None = None,
) -> Iterator[None]:
    """While inside, the first signal calls ``stop(reason)`` in the running loop. The second calls ``leave`` and ends the process.

    ``stop`` returns the number of batches whose answers are awaited, or None if it does not know. ``is_shown`` returns True if a
    display shows them, so that the first signal need not print a sentence. ``resume`` is the command that the second one prints.

    The ledger is durable at every moment, so ending at once loses nothing. Even if something hangs (a name look-up, a disk, a pipe
    that nobody reads), the process ends at most `ENDING_S_MAX` seconds after the longest drain. Afterwards signals do not change
    the exit code (see `keep_outcome`). ``sentence`` is what the first signal prints, if it is not a run that stops.
    """
    import asyncio  # not needed to answer --help

    from purgeengine.engine.loop import DRAIN_S_MAX

    loop = asyncio.get_running_loop()
    received: list[int] = []

    def stop_in_order(name: str) -> None:
        awaited = stop(NAMED[name] if name in NAMED and _is_at_a_terminal() else f"{name} was received")
        if sentence is not None or not is_shown():
            tell(sentence or (STOPPING_NOW if awaited == 0 else STOPPING.format(most_s=DRAIN_S_MAX)))

    def on_signal(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            with suppress(RuntimeError):  # no thread can be had; then a second signal is what ends it
                _thread.start_new_thread(_end_after, (DRAIN_S_MAX + ENDING_S_MAX, LEFT_AT_ONCE))
            loop.call_soon_threadsafe(stop_in_order, signal.Signals(number).name)
            return
        _leave_at_once(ENDED, leave, resume=resume)

    for number in heeded_signals():
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        keep_outcome(LEFT_AT_ONCE, leave, asked_before=bool(received))


@contextmanager
def leave_on_signal() -> Iterator[None]:
    """While inside, a signal ends the process at once: nothing has been sent, and a thread may hang."""
    with handled(lambda *_: _leave_at_once("Stopped before anything was sent. The same command begins again.")):
        yield


def _is_at_a_terminal() -> bool:
    """True if a person sits at the terminal from which the signal may have come."""
    return any(stream is not None and not stream.closed and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _leave_at_once(
    sentence: str, leave: Callable[[], None] = lambda: None, code: int = LEFT_AT_ONCE, resume: str | None = None
) -> NoReturn:
    try:
        # Not a `threading.Thread`: the signal may have come while the main thread held the lock that starting one takes.
        _thread.start_new_thread(_end_after, (TELLING_S_MAX, code))
        leave()
        tell(sentence if resume is None else f"Ended at once. Next, to resume this run:\n  {resume}")
        if code == LEFT_AT_ONCE:  # otherwise the run is over, and its result is being printed
            json_printing.print_error_at_once(sentence, code)
    finally:
        os._exit(code)


def _end_after(seconds: float, code: int) -> NoReturn:
    time.sleep(seconds)
    os._exit(code)
