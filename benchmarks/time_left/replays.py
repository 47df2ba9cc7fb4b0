"""What a run may still take, as chance falls: its rest is played again and again, each time with other faults and latencies.

The state of the run and of the service at that moment stays as it is, calls in flight included, and so does everything that the
scheduler knows. So the median of these plays errs least of all figures that anybody could have shown at that moment, and it errs
less than any program can, because nobody outside knows how the calls in flight will end. Needs a POSIX system: each play is a
process that forks off.
"""

from __future__ import annotations

import os
import struct
import traceback
from collections.abc import Callable

_SECONDS = struct.Struct("d")


class Replay:
    """One play of the rest, seen from the process that runs it."""

    def __init__(self, number: int, pipe: int) -> None:
        self.number = number
        self._pipe = pipe

    def ends(self, seconds: float) -> None:
        """Tell the first process when the run ended, and leave this one."""
        os.write(self._pipe, _SECONDS.pack(seconds))
        os._exit(0)

    def fails(self) -> None:
        """Print the exception that is being handled, and leave this process."""
        traceback.print_exc()
        os._exit(1)


def replays(plays: int, goes_on: Callable[[Replay], None]) -> tuple[float, ...] | None:
    """Fork off so many processes, one after the other. Return what each told to `Replay.ends`.

    Returns None in such a process, after ``goes_on`` was called there. That process must call `Replay.ends` or `Replay.fails` in
    the end. Raises RuntimeError if one of them ended without a result.
    """
    found = []
    for number in range(plays):
        receives, sends = os.pipe()
        process = os.fork()
        if not process:
            os.close(receives)
            goes_on(Replay(number, sends))
            return None
        os.close(sends)
        with os.fdopen(receives, "rb") as pipe:
            told = pipe.read()
        os.waitpid(process, 0)
        if len(told) != _SECONDS.size:
            raise RuntimeError("A play of the rest of a run ended without a result; its traceback stands above.")
        found.append(_SECONDS.unpack(told)[0])
    return tuple(found)
