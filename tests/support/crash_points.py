"""Stops code at any line, as if the process had died there, again and again until it has been stopped at every line."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable
from types import FrameType, ModuleType
from typing import Any

from hypothesis import settings

from tests.support.properties import USUAL_EXAMPLES

STRIDE = 7
"""An ordinary test run stops at each seventh line, which takes some seconds."""


class Died(BaseException):
    """The process died here. No code handles this."""


def lines_of(call: Callable[[], object], modules: Iterable[ModuleType]) -> list[tuple[str, int]]:
    """Return the lines of these modules that the call runs, in the order in which each is first run."""
    found: dict[tuple[str, int], None] = {}
    _traced(call, modules, lambda place: found.setdefault(place))
    return list(found)


def some_of(lines: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return a part of the lines, spread evenly. ``--hypothesis-profile=long`` tries all of them."""
    return lines[:: 1 if settings().max_examples > USUAL_EXAMPLES else STRIDE]


def die_at(call: Callable[[], object], modules: Iterable[ModuleType], place: tuple[str, int], time: int = 1) -> bool:
    """Make the call, and stop it when it is about to run this line for the ``time``-th time. Return True if it came there."""
    left = [time]

    def reached(line: tuple[str, int]) -> None:
        if line == place:
            left[0] -= 1
            if not left[0]:
                raise Died

    try:
        _traced(call, modules, reached)
    except Died:
        gc.collect()  # a dead process holds no lock
        return True
    return False


def _traced(
    call: Callable[[], object], modules: Iterable[ModuleType], tell: Callable[[tuple[str, int]], object]
) -> None:
    files = {str(module.__file__) for module in modules}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            tell((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
