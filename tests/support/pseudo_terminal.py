"""A process at a real pseudo-terminal, and what a person sees there, as the terminal emulator pyte draws it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

TIMEOUT_S = 60.0
ROWS = 200
"""Rows of a terminal. So many that nothing scrolls away."""


class PseudoTerminal:
    """A process whose standard streams, or only standard error and input, are a terminal of some width."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        rows: int = ROWS,
        environment: Mapping[str, str],
        encoding: str = "utf-8",
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.seen = ""
        """All that was written, with its escape sequences."""
        self._stream = pyte.Stream(self.screen)
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": environment.get("TERM", "xterm-256color")},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that it can ask at /dev/tty
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    @property
    def lines(self) -> list[str]:
        """The rows on the screen that hold something."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    @property
    def text(self) -> str:
        """The screen as one text, with wrapped words joined by one space."""
        return " ".join(" ".join(self.lines).split())

    def resize(self, columns: int, rows: int = ROWS) -> None:
        """Change the size, as a window manager does."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def type(self, text: str) -> None:
        """Type at the keyboard."""
        os.write(self._master, text.encode())

    def until(self, seen: Callable[[], bool]) -> None:
        """Draw what the process writes until the condition holds. Fails if the process ends before, or after `TIMEOUT_S`."""
        ends_at = time.monotonic() + TIMEOUT_S
        while not seen():
            assert time.monotonic() < ends_at, self.lines
            assert self._draw(0.05) or seen(), self.lines

    def ended(self) -> int:
        """Draw everything until the process has ended, and return its exit code."""
        ends_at = time.monotonic() + TIMEOUT_S
        while self._draw(0.05):
            assert time.monotonic() < ends_at, self.lines
        return self.process.wait(timeout=TIMEOUT_S)

    def _draw(self, wait_s: float) -> bool:
        """Draw what there is. Return False if the process has closed the terminal."""
        if not select.select([self._master], [], [], wait_s)[0]:
            return self.process.poll() is None or bool(select.select([self._master], [], [], 0.2)[0])
        try:
            read = os.read(self._master, 65_536)
        except OSError:  # what Linux says when the last process has closed it
            return False
        text = self._decoder.decode(read)
        self.seen += text
        self._stream.feed(text)
        return bool(read)
