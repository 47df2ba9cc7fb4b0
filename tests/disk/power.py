"""What a disk holds after a power loss: everything that was synced, and of the rest whatever chance left.

A file is kept as its certain content and the changes since. Names are kept as those that a sync of their folder made
durable, and the changes since. A sync that fails makes its writes doubtful for good: the system takes them for
written and never writes them again (the fsync study, https://www.usenix.org/conference/atc20/presentation/rebello).
"""

from __future__ import annotations

import builtins
import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from random import Random
from typing import Any

from tests.disk.watching import Call, Watcher

SECTOR = 512
"""Bytes that are written completely or not at all."""


class _Sync(Enum):
    PENDING = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(slots=True)
class _Change:
    """A write, or a new length."""

    offset: int
    data: bytes | None
    sync: _Sync = _Sync.PENDING


@dataclass(slots=True)
class _File:
    sure: bytearray = field(default_factory=bytearray)
    since: list[_Change] = field(default_factory=list)

    def sync(self, how: _Sync) -> None:
        """Mark all pending changes as on the disk, or as doubtful for ever."""
        for change in self.since:
            if change.sync is _Sync.PENDING:
                change.sync = how
        while self.since and self.since[0].sync is _Sync.DONE:
            _apply(self.sure, self.since.pop(0))


@dataclass(slots=True)
class _Rename:
    """A change of names in a folder: a new one, one that goes, or both at once."""

    old: str
    new: str
    file: _File | None


class PowerDisk(Watcher):
    """Follows every call below ``root``, and goes off at call number ``goes_off_at``. From then on every call fails."""

    def __init__(self, root: Path, rng: Random) -> None:
        self._rng = rng
        self.goes_off_at: int | None = None
        self.sync_failures = 0.0
        """Probability that a sync fails."""
        self.calls = 0
        self.off = False
        self.plug_in(root)

    def plug_in(self, root: Path) -> None:
        """Continue with what is below ``root``, all of it durable."""
        self._root = str(root)
        self._live: dict[str, _File | None] = {}
        for path in root.rglob("*"):
            self._live[str(path)] = _File(bytearray(path.read_bytes())) if path.is_file() else None
        self._durable = dict(self._live)
        self._renames: dict[str, list[_Rename]] = {}
        self.calls = 0
        self.off = False
        self.goes_off_at = None

    def asked(self, call: Call) -> int:
        if not call.path.startswith(self._root):
            return 0
        self.calls += 1
        if self.off:
            return errno.EIO
        self.off = self.calls == self.goes_off_at
        if call.kind in ("sync", "sync folder") and not self.off:
            return self._sync(call)
        self._follow(call)  # the call under way when the power goes may have been carried out, or in part
        return errno.EIO if self.off else 0

    def _follow(self, call: Call) -> None:
        path = call.path
        if call.kind == "write":
            self._file(path).since.append(_Change(call.offset, call.data))
        elif call.kind == "truncate":
            self._file(path).since.append(_Change(call.offset, None))
        elif call.kind == "create":
            self._rename(_Rename("", path, _File()))
        elif call.kind == "mkdir":
            if path not in self._live:
                self._rename(_Rename("", path, None))
        elif call.kind in ("unlink", "rmdir"):
            self._rename(_Rename(path, "", None))
        elif call.kind == "rename":
            self._rename(_Rename(path, call.target, self._file(path)))

    def _file(self, path: str) -> _File:
        """Return a file. One that came unwatched (a reader may make an empty log) has a name that is not durable yet."""
        file = self._live.get(path)
        if file is None:
            with builtins.open(path, "rb") as found:  # noqa: PTH123 - pathlib's is watched
                file = _File(bytearray(found.read()))
            self._rename(_Rename("", path, file))
        return file

    def _rename(self, change: _Rename) -> None:
        _carry_out(self._live, change)
        self._renames.setdefault(os.path.dirname(change.new or change.old), []).append(change)  # noqa: PTH120

    def _sync(self, call: Call) -> int:
        fails = self._rng.random() < self.sync_failures
        if call.kind == "sync":
            self._file(call.path).sync(_Sync.FAILED if fails else _Sync.DONE)
        elif not fails:
            for change in self._renames.pop(call.path, ()):
                _carry_out(self._durable, change)
        return errno.EIO if fails else 0

    def leave(self, root: Path) -> None:
        """Write below ``root`` what is found when the power is back."""
        rng = self._rng
        names = dict(self._durable)
        for changes in self._renames.values():
            for change in _some(changes, rng):
                _carry_out(names, change)
        for path in sorted(names):
            place = root / Path(path).relative_to(self._root)
            file = names[path]
            if not place.parent.exists():
                continue  # the name of its folder is lost
            if file is None:
                place.mkdir()
            else:
                place.write_bytes(_found(file, rng))


def _carry_out(names: dict[str, _File | None], change: _Rename) -> None:
    if change.old:
        names.pop(change.old, None)
    if change.new:
        names[change.new] = change.file


def _found(file: _File, rng: Random) -> bytes:
    found = bytearray(file.sure)
    pieces = list(_pieces(file.since))
    unsure = [piece for piece in pieces if piece.sync is not _Sync.DONE]
    kept = {id(piece) for piece in _some(unsure, rng)}
    for piece in pieces:
        if piece.sync is _Sync.DONE or id(piece) in kept:
            _apply(found, piece)
    return bytes(found)


def _pieces(changes: Iterable[_Change]) -> Iterator[_Change]:
    for change in changes:
        if change.data is None:
            yield change
            continue
        start, end = change.offset, change.offset + len(change.data)
        while start < end:
            stop = min(end, (start // SECTOR + 1) * SECTOR)
            yield _Change(start, change.data[start - change.offset : stop - change.offset], change.sync)
            start = stop


def _some(found: list[Any], rng: Random) -> list[Any]:
    """Return none, all, the first few, or any of them."""
    how = rng.choice(["none", "all", "first", "any", "any"])
    share = {"none": 0.0, "all": 1.0}.get(how, rng.random())
    if how == "any":
        return [one for one in found if rng.random() < share]
    return found[: round(len(found) * share)]


def _apply(content: bytearray, change: _Change) -> None:
    if change.data is None:
        content[:] = content[: change.offset].ljust(change.offset, b"\0")
        return
    end = change.offset + len(change.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[change.offset : end] = change.data
