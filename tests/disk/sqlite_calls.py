"""SQLite's calls to the operating system, reported to a `Watcher` before they are made.

A virtual file system (https://www.sqlite.org/vfs.html) is registered with the library that Python's ``sqlite3`` uses.
It is a copy of the default one, and its files have a copy of the default methods, with ours where it matters.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast, pointer, string_at
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.disk.watching import Call, Watcher

IOERR, FULL, CANTOPEN, READONLY = 10, 13, 14, 8
IOERRS = {
    "read": IOERR | 1 << 8,
    "write": IOERR | 3 << 8,
    "sync": IOERR | 4 << 8,
    "sync folder": IOERR | 5 << 8,
    "truncate": IOERR | 6 << 8,
    "unlink": IOERR | 10 << 8,
    "map": IOERR | 21 << 8,
}
IOERR_SHMSIZE = IOERR | 19 << 8
CREATE, MAIN_JOURNAL, WAL = 0x4, 0x800, 0x80000

X_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
X_DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
X_FILE = CFUNCTYPE(c_int, c_void_p)
X_READ = X_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
X_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
X_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
X_MAP = CFUNCTYPE(c_int, c_void_p, c_int, c_int, c_int, c_void_p)


class Vfs(Structure):
    """``sqlite3_vfs``, version 3."""

    _fields_ = [
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("x_open", X_OPEN),
        ("x_delete", X_DELETE),
        ("others", c_void_p * 14),
    ]


class Methods(Structure):
    """``sqlite3_io_methods``, version 3."""

    _fields_ = [
        ("version", c_int),
        ("x_close", X_FILE),
        ("x_read", X_READ),
        ("x_write", X_WRITE),
        ("x_truncate", X_TRUNCATE),
        ("x_sync", X_SYNC),
        ("locking", c_void_p * 7),
        ("x_map", X_MAP),
        ("others", c_void_p * 5),
    ]


class File(Structure):
    """``sqlite3_file``: its methods come first."""

    _fields_ = [("methods", POINTER(Methods))]


class SqliteCalls:
    """SQLite's default file system, watched inside `watched`."""

    def __init__(self, library: Any) -> None:
        self._library = library
        library.sqlite3_vfs_find.restype = POINTER(Vfs)
        library.sqlite3_vfs_find.argtypes = [c_char_p]
        library.sqlite3_vfs_register.argtypes = [POINTER(Vfs), c_int]
        library.sqlite3_vfs_unregister.argtypes = [POINTER(Vfs)]
        self._original = library.sqlite3_vfs_find(None)
        self._vfs = Vfs.from_buffer_copy(self._original.contents)
        self._vfs.name = b"watched"
        self._vfs.x_open = X_OPEN(self._open)
        self._vfs.x_delete = X_DELETE(self._delete)
        self._methods: dict[int, tuple[Methods, Methods]] = {}
        self._files: dict[int, tuple[Methods, str, int]] = {}
        """For each open file: its original methods, its path, and the flags that it was opened with."""
        self._unsynced_names: set[int] = set()
        """Logs and journals, whose first sync also makes their name durable."""
        self.watcher: Watcher | None = None

    @contextmanager
    def watched(self, watcher: Watcher) -> Iterator[None]:
        """Report every call of connections opened inside the context."""
        self.watcher = watcher
        self._library.sqlite3_vfs_register(pointer(self._vfs), 1)
        try:
            yield
        finally:
            self._library.sqlite3_vfs_register(self._original, 1)
            self.watcher = None  # files that are still open continue unwatched

    def _asked(self, call: Call) -> int:
        return 0 if self.watcher is None else self.watcher.asked(call)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, flags_out: Any) -> int:
        path = string_at(name).decode() if name else ""
        creates = bool(path) and bool(flags & CREATE) and not os.path.exists(path)  # noqa: PTH110 - Path is watched, too
        if path and (code := self._asked(Call("create" if creates else "open", path))):
            return _code("open", code)
        result: int = self._original.contents.x_open(vfs, name, file, flags, flags_out)
        opened = cast(file, POINTER(File)).contents
        if result == 0 and path and opened.methods:
            original, ours = self._watched_methods(opened.methods)
            self._files[file] = (original, path, flags)
            if flags & CREATE and flags & (MAIN_JOURNAL | WAL):
                self._unsynced_names.add(file)
            opened.methods = pointer(ours)
        return result

    def _watched_methods(self, methods: Any) -> tuple[Methods, Methods]:
        address = ctypes.addressof(methods.contents)
        if address not in self._methods:
            ours = Methods.from_buffer_copy(methods.contents)
            ours.x_close, ours.x_read, ours.x_write = X_FILE(self._close), X_READ(self._read), X_WRITE(self._write)
            ours.x_truncate, ours.x_sync, ours.x_map = X_TRUNCATE(self._truncate), X_SYNC(self._sync), X_MAP(self._map)
            self._methods[address] = (methods.contents, ours)
        return self._methods[address]

    def _close(self, file: int) -> int:
        original, _, _ = self._files.pop(file)
        self._unsynced_names.discard(file)
        return int(original.x_close(file))

    def _read(self, file: int, buffer: int, size: int, offset: int) -> int:
        original, path, _ = self._files[file]
        if code := self._asked(Call("read", path)):
            return _code("read", code)
        return int(original.x_read(file, buffer, size, offset))

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        original, path, _ = self._files[file]
        code = self._asked(Call("write", path, string_at(data, size), offset))
        if code == Watcher.SHORT:
            original.x_write(file, data, size // 2, offset)
            return FULL
        if code:
            return _code("write", code)
        return int(original.x_write(file, data, size, offset))

    def _truncate(self, file: int, size: int) -> int:
        original, path, _ = self._files[file]
        if code := self._asked(Call("truncate", path, offset=size)):
            return _code("truncate", code)
        return int(original.x_truncate(file, size))

    def _sync(self, file: int, flags: int) -> int:
        original, path, _ = self._files[file]
        if code := self._asked(Call("sync", path)):
            return _code("sync", code)
        if file in self._unsynced_names and self._sync_folder(path) == 0:
            self._unsynced_names.discard(file)  # SQLite ignores a failure here
        return int(original.x_sync(file, flags))

    def _map(self, file: int, region: int, size: int, extend: int, found: int) -> int:
        original, path, _ = self._files[file]
        if code := self._asked(Call("map", f"{path}-shm")):
            return _code("map", code)
        return int(original.x_map(file, region, size, extend, found))

    def _delete(self, vfs: int, name: int, sync_folder: int) -> int:
        path = string_at(name).decode()
        if os.path.exists(path) and (code := self._asked(Call("unlink", path))):  # noqa: PTH110
            return _code("unlink", code)
        result: int = self._original.contents.x_delete(vfs, name, sync_folder)
        if result == 0 and sync_folder and (code := self._sync_folder(path)):
            return _code("sync folder", code)
        return result

    def _sync_folder(self, path: str) -> int:
        return self._asked(Call("sync folder", os.path.dirname(path)))  # noqa: PTH120


def _code(kind: str, number: int) -> int:
    """Return what SQLite's own file system returns for this error of the operating system."""
    if kind == "open":
        return CANTOPEN
    if kind == "write" and number == errno.ENOSPC:
        return FULL
    if kind == "map" and number == errno.ENOSPC:
        return IOERR_SHMSIZE
    if number == errno.EROFS and kind == "write":
        return READONLY
    return IOERRS[kind]


@cache
def sqlite_calls() -> SqliteCalls | None:
    """Return one for the process. None if the library that Python uses cannot be reached."""
    for name in _libraries():
        try:
            calls = SqliteCalls(ctypes.CDLL(name))
        except (OSError, AttributeError, ValueError):
            continue
        if _reaches(calls):
            return calls
    return None


def _libraries() -> Iterator[str | None]:
    import _sqlite3

    if sys.platform == "win32":
        yield "sqlite3"
    yield getattr(_sqlite3, "__file__", None)  # its symbols are those of the library it is linked with
    yield ctypes.util.find_library("sqlite3")
    yield None


def _reaches(calls: SqliteCalls) -> bool:
    """True if Python's connections really use it."""

    class Counter(Watcher):
        seen = 0

        def asked(self, call: Call) -> int:
            self.seen += 1
            return 0

    counter = Counter()
    with (
        TemporaryDirectory() as folder,
        calls.watched(counter),
        closing(sqlite3.connect(Path(folder) / "try.sqlite")) as connection,
    ):
        connection.execute("CREATE TABLE t (x)")
    return counter.seen > 0
