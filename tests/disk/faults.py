"""Faults of a disk: one call that fails, or all calls from one on."""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass

from purgeengine.edges.ledger.store.storage import RESERVE
from tests.disk.watching import Call, Watcher

CHANGE = frozenset({"create", "write", "truncate", "rename", "unlink", "mkdir", "rmdir", "allocate"})
SYNC = frozenset({"sync", "sync folder"})
EVERY = CHANGE | SYNC | {"open", "read", "list", "map"}
TAKE_ROOM = frozenset({"create", "write", "mkdir", "allocate", "map"})


@dataclass(frozen=True)
class Kind:
    """A fault: which calls fail, how, and whether all later ones fail too."""

    number: int
    calls: frozenset[str]
    lasts: bool = False

    def meets(self, call: Call) -> bool:
        """True if such a call can fail so. A full disk does not prevent a write that needs no more space."""
        if call.kind not in self.calls:
            return False
        return self.number != errno.ENOSPC or call.kind != "write" or _grows(call)


KINDS = {
    "an error": Kind(errno.EIO, EVERY),
    "no space for a moment": Kind(errno.ENOSPC, TAKE_ROOM),
    "a short write": Kind(Watcher.SHORT, frozenset({"write"})),
    "a failing sync": Kind(errno.EIO, SYNC),
    "a dead disk": Kind(errno.EIO, EVERY, lasts=True),
    "a full disk": Kind(errno.ENOSPC, TAKE_ROOM, lasts=True),
    "a read-only disk": Kind(errno.EROFS, CHANGE, lasts=True),
}


class Fault(Watcher):
    """The ``number``-th of the calls that can fail so fails."""

    def __init__(self, kind: Kind, number: int) -> None:
        self._kind = kind
        self._number = number
        self._room_kept = self._room_again = False
        self.happened = 0
        self.had_room_for_answers = False
        """True if the call failed for lack of space, after space had been reserved."""

    def asked(self, call: Call) -> int:
        error = self._met(call)
        if os.path.basename(call.path) == RESERVE and not error:  # noqa: PTH119
            self._room_again |= call.kind == "unlink" and self.had_room_for_answers
            self._room_kept |= call.kind == "allocate"
        return error

    def _met(self, call: Call) -> int:
        if self._room_again or not self._kind.meets(call):
            return 0
        self._number -= 1
        if self._number > 0 or (self._number < 0 and not self._kind.lasts):
            return 0
        if not self.happened:
            self.had_room_for_answers = self._room_kept and self._kind.number in (errno.ENOSPC, Watcher.SHORT)
        self.happened += 1
        return self._kind.number


class Log(Watcher):
    """Lets every call pass, and counts."""

    def __init__(self) -> None:
        self.meeting: Counter[str] = Counter()
        """How many calls could have failed, by the name of the fault."""

    def asked(self, call: Call) -> int:
        self.meeting.update(name for name, kind in KINDS.items() if kind.meets(call))
        return 0


def _grows(call: Call) -> bool:
    try:
        return call.offset + len(call.data) > os.stat(call.path).st_size  # noqa: PTH116
    except OSError:
        return True
