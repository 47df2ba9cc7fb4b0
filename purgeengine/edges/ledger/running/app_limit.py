"""The limit of the whole app that the runs of a ledger have found, for later runs and for people.

It stands among the options of the run that found it, in its row of ``start``. So it is sealed like them, and a ledger has the
same tables as ever: earlier versions of the program open it and ignore the limit. A retry keeps what the earlier ledger knew
in ``meta``, where it records its origin.
"""

from __future__ import annotations

import json
import sqlite3
from math import isfinite
from typing import Any, NamedTuple

from purgeengine.edges.ledger.store.database import read_meta
from purgeengine.edges.ledger.store.schema import crc_of

KEPT = ("app_limit_per_s", "app_limit_at_ms")


class AppLimit(NamedTuple):
    """Graph took at most about ``per_s`` requests a second from the whole app, as found at ``at_ms`` (since 1970)."""

    per_s: float
    at_ms: int

    def age_s(self, now_utc_ms: int) -> float:
        """Return how long ago it was found, in seconds. 0 if the clock has been turned back since."""
        return max(0.0, (now_utc_ms - self.at_ms) / 1000)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return dict(zip(KEPT, self, strict=True))


def keep_app_limit(connection: sqlite3.Connection, per_s: float, at_ms: int) -> None:
    """Keep the limit with the latest run, inside the caller's transaction. It replaces what that run found before.

    A ``per_s`` of 0 says that no limit is known any more. Without a run nothing is kept.
    """
    found = connection.execute("SELECT rowid, options FROM start ORDER BY rowid DESC LIMIT 1").fetchone()
    if found is None:
        return
    run, options = found
    said = json.dumps({**json.loads(options), **AppLimit(round(per_s, 2), at_ms).as_json()})
    connection.execute("UPDATE start SET options = ?, crc = ? WHERE rowid = ?", (said, crc_of(said), run))


def without_app_limit(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a run as they were given, without the limit that is kept among them."""
    return {name: value for name, value in options.items() if name not in KEPT}


def app_limit(connection: sqlite3.Connection) -> AppLimit | None:
    """Return the limit that was found last, or None if none is known.

    Raises ValueError if somebody changed the records.
    """
    for (options,) in connection.execute("SELECT options FROM start ORDER BY rowid DESC"):
        if (limit := _limit_of(json.loads(options))) is not None:
            return limit if limit.per_s else None
    return _limit_of(read_meta(connection))


def _limit_of(kept: Any) -> AppLimit | None:
    if KEPT[0] not in kept:
        return None
    per_s, at_ms = float(kept[KEPT[0]]), int(kept[KEPT[1]])
    if not isfinite(per_s):
        raise ValueError(f"a limit of {per_s} requests a second")
    return AppLimit(per_s, at_ms)
