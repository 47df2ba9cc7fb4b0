"""What a ledger takes over from the one whose rows it runs again: where the chain began, and what the service still counts.

Graph's limits live in the service: a wait that the earlier run was told, and what it sent in the last minutes, hold for the next
one. It knows the tables of both. It must not know rows.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purgeengine.core.policy.outcomes import ORIGIN_COLUMN
from purgeengine.edges.ledger.running.unfinished import quarantined_s, seen_lately
from purgeengine.edges.ledger.staging.names import other_names
from purgeengine.edges.ledger.store.database import read_meta, snapshot

Statement = tuple[str, Iterable[tuple[Any, ...]]]
"""SQL, and the values of each row that it is carried out for."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """Times are milliseconds since 1970, mailboxes go by their numbers, ``root`` and ``parent`` are from `identity`."""

    root: str | None
    """The first ledger of the chain, where that is known: a run on an export does not tell."""
    parent: str
    run_blocked: tuple[int, int]
    """Until when, and when that was said."""
    blocked: Mapping[int, tuple[int, int]]
    """The same for mailboxes."""
    seen: Mapping[int, Sequence[tuple[int, int]]]
    """When the service saw how many requests, or may see them yet, as far as it still counts them."""
    mailboxes: Mapping[str, int]
    """Their numbers, by the one spelling of every name of them that is known."""
    about: Mapping[str, Any]
    """What the earlier ledger wrote down about itself."""

    @property
    def origin(self) -> dict[str, str]:
        """What the new ledger writes down of it."""
        return {"parent": self.parent, **({"root": self.root} if self.root else {})}

    def statements(self, mailboxes: Iterable[Collection[str]]) -> list[Statement]:
        """What to put into a new ledger with these mailboxes, by number; of each, all names that are known.

        Users need not have been looked up for both, so that two mailboxes of the one may be one of the other.
        """
        waits: list[tuple[Any, ...]] = []
        seen: list[tuple[Any, ...]] = []
        for number, names in enumerate(mailboxes):
            theirs = sorted({self.mailboxes[name] for name in names if name in self.mailboxes})
            if blocked := [self.blocked[one] for one in theirs if one in self.blocked]:
                waits.append((*max(blocked), number))
            seen.extend((number, *entry) for one in theirs for entry in self.seen.get(one, ()))
        return [
            ("UPDATE run SET blocked_until_ms = ?, blocked_set_ms = ?", [self.run_blocked]),
            ("UPDATE mailbox SET blocked_until_ms = ?, blocked_set_ms = ? WHERE number = ?", waits),
            ("INSERT INTO seen VALUES (?, ?, ?)", seen),
        ]


def identity(connection: sqlite3.Connection) -> str:
    """Tells a ledger from every other, its copies excepted: by its input and the id of its first call, which is random."""
    (first,) = connection.execute("SELECT (SELECT client_request_id FROM batch ORDER BY number LIMIT 1)").fetchone()
    return hashlib.sha256(f"{read_meta(connection)['digest']} {first!r}".encode()).hexdigest()[:32]


def taken_over(connection: sqlite3.Connection, now_utc_ms: int, quarantine_s: float, window_s: float) -> Takeover:
    """Look at an earlier ledger; the arguments are those of `Ledger.mailboxes`."""
    with snapshot(connection):
        parent = identity(connection)
        keys = dict(connection.execute("SELECT number, key FROM mailbox"))
        query = "SELECT number, blocked_until_ms, blocked_set_ms FROM mailbox WHERE blocked_until_ms > ?"
        blocked = {number: (until, set_at) for number, until, set_at in connection.execute(query, (now_utc_ms,))}
        quarantined = quarantined_s(connection, now_utc_ms, round(quarantine_s * 1000))
        for number, for_s in quarantined.items():
            until = now_utc_ms + round(for_s * 1000)
            blocked[number] = max(blocked.get(number, (0, 0)), (until, now_utc_ms))
        lately = seen_lately(connection, now_utc_ms, round(quarantine_s * 1000), round(window_s * 1000))
        run_blocked = connection.execute("SELECT blocked_until_ms, blocked_set_ms FROM run").fetchone()
        about = read_meta(connection)
        others = other_names(connection)
    seen = {
        number: [(now_utc_ms - round(age_s * 1000), rows) for age_s, rows in entries]
        for number, entries in lately.items()
    }
    mailboxes = {name: number for number in {*blocked, *seen} for name in (keys[number], *others.get(keys[number], ()))}
    root = about.get("root", None if ORIGIN_COLUMN in about["extra_columns"] else parent)
    return Takeover(root, parent, run_blocked, blocked, seen, mailboxes, about)
