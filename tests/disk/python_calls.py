"""Python's own calls to the operating system below a folder, reported to a `Watcher` before they are made.

Functions of ``os`` and ``io`` are replaced while watching, so that everything the product uses (pathlib, shutil,
pyarrow writing into a Python file) passes here. Files that C libraries open themselves do not; the ledger writes
nothing that way.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.disk.watching import Call, Watcher


class PythonCalls:
    """Watches a folder and everything below it."""

    def __init__(self, root: Path, watcher: Watcher) -> None:
        self._root = str(root)
        self._watcher = watcher
        self._paths: dict[int, str] = {}
        """Paths of open descriptors."""
        self._real = {name: getattr(os, name) for name in ("open", "close", "fsync", "replace", "rmdir", "mkdir")}
        self._real_open = io.open

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch inside the context."""
        replaced: dict[str, Callable[..., Any]] = {
            "open": self._os_open,
            "close": self._os_close,
            "fsync": self._fsync,
            "mkdir": self._simple("mkdir"),
            "rmdir": self._simple("rmdir"),
            "unlink": self._simple("unlink"),
            "remove": self._simple("unlink"),
            "listdir": self._simple("listdir", "list"),
            "scandir": self._simple("scandir", "list"),
            "replace": self._moved("replace"),
            "rename": self._moved("rename"),
            "posix_fallocate": self._allocate,
        }
        names = [name for name in replaced if hasattr(os, name)]
        patches = [patch.object(os, name, replaced[name]) for name in names] + [patch.object(io, "open", self._open)]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()

    def path_of(self, path: Any, dir_fd: int | None = None) -> str:
        """Return the whole path. Empty if it is not below the folder."""
        if isinstance(path, int):
            return self._paths.get(path, "")
        text = os.fspath(path)
        text = text.decode() if isinstance(text, bytes) else text
        if dir_fd is not None:
            text = os.path.join(self._paths.get(dir_fd, "/elsewhere"), text)  # noqa: PTH118
        return text if text.startswith(self._root) else ""

    def ask(self, call: Call) -> None:
        """Ask the watcher. Raises `OSError` if the call fails."""
        if call.path and (number := self._watcher.asked(call)):
            raise OSError(number, os.strerror(number), call.path)

    def _simple(self, name: str, kind: str = "") -> Callable[..., Any]:
        real = getattr(os, name)

        def replacement(path: Any = ".", *more: Any, dir_fd: int | None = None, **named: Any) -> Any:
            whole = self.path_of(path, dir_fd)
            if whole and (name not in ("unlink", "remove", "rmdir") or os.path.lexists(whole)):
                self.ask(Call(kind or name, whole))
            return real(path, *more, **named, **({} if dir_fd is None else {"dir_fd": dir_fd}))

        return replacement

    def _moved(self, name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def replacement(source: Any, target: Any, **named: Any) -> Any:
            self.ask(Call("rename", self.path_of(source), target=os.fspath(target)))
            return real(source, target, **named)

        return replacement

    def _os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        whole = self.path_of(path, dir_fd)
        if whole:
            creates = bool(flags & os.O_CREAT) and not os.path.exists(whole)  # noqa: PTH110
            self.ask(Call("create" if creates else "open", whole))
        descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if whole:
            self._paths[descriptor] = whole
        return descriptor

    def _os_close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        self._real["close"](descriptor)

    def _fsync(self, descriptor: int) -> None:
        path = self.path_of(descriptor)
        self.ask(Call("sync folder" if os.path.isdir(path) else "sync", path))  # noqa: PTH112

    def _allocate(self, descriptor: int, offset: int, size: int) -> None:
        self.ask(Call("allocate", self.path_of(descriptor), offset=offset + size))

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        whole = "" if isinstance(file, int) else self.path_of(file)
        if not whole:
            return self._real_open(file, mode, buffering, *more, **named)
        if set(mode) <= set("rbt"):
            self.ask(Call("open", whole))
            return self._real_open(file, mode, buffering, *more, **named)
        assert set(mode) <= set("wab"), f"{mode}: the ledger writes whole files, in binary"
        assert "b" in mode, mode
        exists = os.path.exists(whole)  # noqa: PTH110
        self.ask(Call("open" if exists else "create", whole))
        if exists and "w" in mode:
            self.ask(Call("truncate", whole))
        raw = _Raw(self, whole, mode)
        return raw if buffering == 0 else io.BufferedWriter(raw)


class _Raw(io.FileIO):
    """A raw file for writing that asks first."""

    def __init__(self, calls: PythonCalls, path: str, mode: str) -> None:
        super().__init__(path, mode.replace("b", ""))
        self._calls = calls
        self._path = path
        self._full = False
        calls._paths[self.fileno()] = path

    def write(self, data: Any) -> int:
        if self._full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        try:
            self._calls.ask(Call("write", self._path, bytes(data), self.tell()))
        except OSError as error:
            if error.errno != Watcher.SHORT:
                raise
            self._full = True  # whoever tries to write the rest is told
            return super().write(bytes(data)[: len(data) // 2])
        return super().write(data)

    def close(self) -> None:
        if not self.closed:
            self._calls._paths.pop(self.fileno(), None)
        super().close()
