"""Ctrl-C and its relatives: the first one drains, the second leaves at once, and none changes an outcome that is decided.

What the process was started with is respected: a signal that is ignored from the beginning (``nohup``, a shell's background job)
stays ignored. Windows has SIGINT (Ctrl-C) and SIGBREAK (Ctrl-Break); closing its console window leaves no time for anything,
and is to a run what a kill is.
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

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""What administrators' tools send: terminals, service managers, a closed session; SIGBREAK is Ctrl-Break on Windows."""
LEFT_AT_ONCE = 4
ENDING_S_MAX = 5.0
"""What a signal leaves to a process whose outcome is decided, for closing and for its summary. A dead disk takes for ever."""
TELLING_S_MAX = 1.0
"""For a terminal to be put in order and a sentence to be told; a pipe that nobody empties takes for ever."""

Handler = Callable[[int, FrameType | None], object]


def tell(sentence: str) -> None:
    """On standard error, if it is in a state to be written to: a signal may have come while it was.

    Not by `click.echo`, which looks for the stream beneath and would write into the middle of a display.
    """
    with suppress(OSError, ValueError, RuntimeError):
        print(f"purgeengine: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - talk


def heeded_signals() -> list[signal.Signals]:
    """Those of the platform that the process was not told to ignore."""
    known = [signal.Signals[name] for name in NAMES if name in signal.Signals.__members__]
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """While inside, ``handler`` is called in the main thread, whatever that is doing; waiting for a write included."""
    before = {number: signal.signal(number, handler) for number in heeded_signals()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            if earlier is not None:  # else it was not Python's
                signal.signal(number, earlier)


def interrupt_on_signal() -> None:
    """From now on a first signal raises KeyboardInterrupt in the main thread, and a second one leaves at once.

    Where Python can raise nothing (a finaliser, a callback of the collector), the interrupt is raised again as soon as it can.
    """
    received: list[int] = []
    swallowed: list[int] = []
    tell_of_it = sys.unraisablehook

    def on_signal(number: int, _: FrameType | None) -> None:
        if not swallowed:
            received.append(number)
        swallowed.clear()
        if len(received) > 1:
            _leave_at_once("Left at once. The same command resumes.")
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
    """From now on the process ends with this exit code, whatever signals come.

    A first one leaves it `ENDING_S_MAX` to end in order; a second one, or any where it was ``asked_before``, calls ``leave`` and
    ends it at once.
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
def stop_on_signal(stop: Callable[[str], None], leave: Callable[[], None]) -> Iterator[None]:
    """While inside, a first signal calls ``stop(reason)`` in the running loop; a second calls ``leave`` and ends the process.

    The ledger is durable at every moment, so that leaving at once loses nothing. The process ends at most `ENDING_S_MAX` after the
    longest drain, whatever hangs: a name that is looked up, a disk, a pipe that nobody empties. After it, the outcome is decided
    (see `keep_outcome`), though nobody has worked out the exit code yet.
    """
    import asyncio  # not needed to answer --help

    from purgeengine.engine.loop import DRAIN_S_MAX

    loop = asyncio.get_running_loop()
    received: list[int] = []

    def stop_in_order(name: str) -> None:
        tell("Stopping: what is in flight is waited for. Once more to leave at once.")
        stop(f"{name} was received")

    def on_signal(number: int, _: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            with suppress(RuntimeError):  # no thread can be had; then a second signal is what ends it
                _thread.start_new_thread(_end_after, (DRAIN_S_MAX + ENDING_S_MAX, LEFT_AT_ONCE))
            loop.call_soon_threadsafe(stop_in_order, signal.Signals(number).name)
            return
        _leave_at_once("Left at once. The same command resumes.", leave)

    for number in heeded_signals():
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        keep_outcome(LEFT_AT_ONCE, leave, asked_before=bool(received))


@contextmanager
def leave_on_signal() -> Iterator[None]:
    """While inside, a signal ends the process at once: there is nothing to bring into order, and a thread may hang."""
    with handled(lambda *_: _leave_at_once("Stopped before anything was sent. The same command begins again.")):
        yield


def _leave_at_once(sentence: str, leave: Callable[[], None] = lambda: None, code: int = LEFT_AT_ONCE) -> NoReturn:
    try:
        # Not a `threading.Thread`: the signal may have come while the main thread held the lock that starting one takes.
        _thread.start_new_thread(_end_after, (TELLING_S_MAX, code))
        leave()
        tell(sentence)
    finally:
        os._exit(code)


def _end_after(seconds: float, code: int) -> NoReturn:
    time.sleep(seconds)
    os._exit(code)
