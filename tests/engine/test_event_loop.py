"""Running a coroutine to its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from purgeengine.engine.event_loop import run_loop


class InterruptedRunner:
    """What a signal makes of uvloop while it starts: the interrupt, and then an error because it cannot be closed."""

    def __init__(self, **options: Any) -> None:
        pass

    def __enter__(self) -> InterruptedRunner:
        return self

    def run(self, main: Any) -> None:
        raise KeyboardInterrupt

    def __exit__(self, *error: object) -> None:
        raise RuntimeError("Cannot close a running event loop")


def test_a_signal_while_the_loop_starts_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a loop that cannot be closed does not hide the signal, which once ended in a traceback."""
    monkeypatch.setattr(asyncio, "Runner", InterruptedRunner)
    with pytest.raises(KeyboardInterrupt):
        run_loop(asyncio.sleep(0))


def test_an_error_of_the_coroutine_passes() -> None:
    """Any other RuntimeError is not taken for a signal."""

    async def fails() -> None:
        raise RuntimeError("a mistake")

    with pytest.raises(RuntimeError, match="a mistake"):
        run_loop(fails())
