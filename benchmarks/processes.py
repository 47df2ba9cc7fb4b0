"""Run a Python program to its end and measure its cost. Needs a POSIX system: it asks for the usage of child processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. ``code`` is None if it was stopped because its time was up."""

    code: int | None
    out: str
    err: str
    wall_s: float
    """Seconds from its start to its end, including the start of the interpreter and all imports."""
    cpu_s: float


def run(arguments: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> Ended:
    """Run Python with these arguments. No other child of this process may end meanwhile, or its CPU time would count too."""
    before, started = _cpu_of_children_s(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        text=True,
        encoding="utf-8",
    )
    code: int | None
    try:
        out, err = process.communicate(timeout=timeout_s)
        code = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        code = None
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Ended(code, out, err, time.perf_counter() - started, _cpu_of_children_s() - before)


def _cpu_of_children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
