"""Tests of asking at the terminal: only what is typed after the question answers it."""

from __future__ import annotations

import io
import os
import select
import sys
from types import SimpleNamespace

import pytest

from purgeengine.cli.terminal import drop_typed_ahead


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals of this kind")
def test_keys_typed_ahead_at_a_terminal_are_dropped() -> None:
    """A line that was typed before is gone, and one that is typed afterwards is read."""
    import pty

    master, slave = pty.openpty()
    try:
        with open(slave, encoding="utf-8") as keyboard:  # noqa: PTH123 - a descriptor
            os.write(master, b"200\n")
            assert select.select([keyboard], [], [], 5.0)[0]
            drop_typed_ahead(keyboard)
            os.write(master, b"no\n")
            assert keyboard.readline() == "no\n"
    finally:
        os.close(master)


def test_what_is_no_terminal_keeps_its_data() -> None:
    """A pipe and a file hold what somebody meant to be read."""
    reading, writing = os.pipe()
    os.write(writing, b"200\n")
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:  # noqa: PTH123 - a descriptor
        drop_typed_ahead(pipe)
        assert pipe.readline() == "200\n"
    text = io.StringIO("200\n")
    drop_typed_ahead(text)
    assert text.read() == "200\n"


def test_on_windows_the_keys_of_the_console_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are taken from the console until there are none."""
    keys = list("200\r")
    console = SimpleNamespace(kbhit=lambda: bool(keys), getwch=lambda: keys.pop(0))
    monkeypatch.setitem(sys.modules, "msvcrt", console)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", "win32")
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    drop_typed_ahead(terminal)
    assert keys == []
