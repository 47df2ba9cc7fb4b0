"""What both kinds of calls, SQLite's and Python's own, have in common: a watcher is asked before each is made."""

from __future__ import annotations

from typing import NamedTuple


class Call(NamedTuple):
    """A call to the operating system that is about to be made."""

    kind: str
    """open, create, read, write, truncate, sync, sync folder, rename, unlink, mkdir, rmdir, list or allocate or map."""
    path: str
    data: bytes = b""
    """What is written."""
    offset: int = 0
    """Where it is written; for ``truncate`` and ``allocate`` the size."""
    target: str = ""
    """The new name."""


class Watcher:
    """Asked before every call."""

    SHORT = -1
    """In answer to a write: half of it is written, and the disk is full."""

    def asked(self, call: Call) -> int:
        """0 to let it be made, else the number of the error with which it fails."""
        raise NotImplementedError
