"""What a ledger takes over from the one whose rows it runs again: where the chain began, and what the service still counts.

Graph's limits live in the service. So a wait that the earlier run was told, and what it sent in the last minutes,
also hold for the next run. A call that it lost may be running for a while yet: such a call is a request that is seen
later than now. This module knows the tables of both ledgers; it does not know rows.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purgeengine.core.policy.outcomes import ORIGIN_COLUMN
from purgeengine.edges.ledger.running.app_limit import AppLimit, app_limit
from purgeengine.edges.ledger.running.unfinished import QUARANTINE_S, seen_lately
from purgeengine.edges.ledger.staging.names import Names, other_names
from purgeengine.edges.ledger.store.database import read_meta, snapshot

Statement = tuple[str, Iterable[tuple[Any, ...]]]
"""An SQL statement, and the rows of values to run it for."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """Facts about the earlier ledger. Times are milliseconds since 1970; mailboxes go by its mailbox numbers.

    ``root`` and ``parent`` are texts from `identity`.
    """

    root: str | None
    """The first ledger of the chain. None if it is not known, as in a run on an export."""
    parent: str
    run_blocked: tuple[int, int]
    """Until when the whole app must wait, and when that was set."""
    blocked: Mapping[int, tuple[int, int]]
    """For each mailbox, until when it must wait, and when that was set."""
    seen: Mapping[int, Sequence[tuple[int, int]]]
    """For each mailbox, when the service saw how many requests, as far as it still counts them.

    A time that lies ahead belongs to a lost call. The service may run it until then.
    """
    mailboxes: Mapping[str, int]
    """Mailbox numbers by every known name of a mailbox, each in its one spelling."""
    about: Mapping[str, Any]
    """What the earlier ledger recorded about itself."""
    app_limit: AppLimit | None = None
    """The limit of the whole app that was found, or None."""
    names: Names | None = None
    """The names that the earlier ledger looked up and the new one needs. None if nobody looked names up."""
    shard: Mapping[str, Any] | None = None
    """Which shard of the earlier ledger the new one is. None if it is no shard."""

    @property
    def origin(self) -> dict[str, Any]:
        """What the new ledger records about its origin."""
        limit = {} if self.app_limit is None else self.app_limit.as_json()
        shard = {} if self.shard is None else {"shard": dict(self.shard)}
        return {"parent": self.parent, **({"root": self.root} if self.root else {}), **limit, **shard}

    def statements(self, mailboxes: Iterable[Collection[str]]) -> list[Statement]:
        """Return the statements that store these facts in a new ledger.

        ``mailboxes`` gives, by mailbox number, all known names of each. The users may have been looked up for one
        ledger only. So two mailboxes of the earlier ledger may be one of the new one.
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
    """Return a text that tells this ledger from every other one, except from its copies.

    It is drawn when the ledger is staged. A ledger of an earlier version has none; its identity is made from the digest of
    the input and the id of the first call, which is random.
    """
    about = read_meta(connection)
    if "id" in about:
        return about["id"]
    (first,) = connection.execute("SELECT (SELECT client_request_id FROM batch ORDER BY number LIMIT 1)").fetchone()
    return hashlib.sha256(f"{about['digest']} {first!r}".encode()).hexdigest()[:32]


def taken_over(
    connection: sqlite3.Connection,
    now_utc_ms: int,
    cooldown_s: float,
    window_s: float,
    quarantine_s: float = QUARANTINE_S,
) -> Takeover:
    """Read an earlier ledger. The arguments are those of `Ledger.mailboxes`."""
    with snapshot(connection):
        parent = identity(connection)
        keys = dict(connection.execute("SELECT number, key FROM mailbox"))
        query = "SELECT number, blocked_until_ms, blocked_set_ms FROM mailbox WHERE blocked_until_ms > ?"
        blocked = {number: (until, set_at) for number, until, set_at in connection.execute(query, (now_utc_ms,))}
        lately = seen_lately(connection, now_utc_ms, cooldown_s, window_s, quarantine_s)
        run_blocked = connection.execute("SELECT blocked_until_ms, blocked_set_ms FROM run").fetchone()
        limit = app_limit(connection)
        about = read_meta(connection)
        others = other_names(connection)
    seen = {
        number: [(now_utc_ms - round(age_s * 1000), rows) for age_s, rows in entries]
        for number, entries in lately.items()
    }
    mailboxes = {name: number for number in {*blocked, *seen} for name in (keys[number], *others.get(keys[number], ()))}
    root = about.get("root", None if ORIGIN_COLUMN in about["extra_columns"] else parent)
    return Takeover(root, parent, run_blocked, blocked, seen, mailboxes, about, limit)
