"""What the calls of SQLite and of Python share: a watcher is asked before each call."""

from __future__ import annotations

from typing import NamedTuple


class Call(NamedTuple):
    """A call to the operating system that is about to be made."""

    kind: str
    """One of open, create, read, write, truncate, sync, sync folder, rename, unlink, mkdir, rmdir, list, allocate, map."""
    path: str
    data: bytes = b""
    """The bytes to write."""
    offset: int = 0
    """The place to write to; for ``truncate`` and ``allocate`` the size."""
    target: str = ""
    """The new name."""


class Watcher:
    """Asked before every call."""

    SHORT = -1
    """Result for a write: half of it is written, and the disk is full."""

    def asked(self, call: Call) -> int:
        """Return 0 to allow the call, else the number of the error with which it fails."""
        raise NotImplementedError
