"""What a run that is going on says about itself, for `status` in another process: a small file in the ledger's folder.

It is written anew every few seconds, and removed when the run ends. It holds no row and decides nothing, so it is not synced, and a
disk without room for it stops nothing. A file that a dead process left is too old to be believed after `LIVE_S` seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from purgeengine.core.forecast.time_left import TimeLeft
from purgeengine.edges.ledger.store.storage import LIVE

WRITE_EVERY_S = 3.0
"""Seconds between two writings."""
LIVE_S = 10.0
"""Age in seconds up to which the figures count as those of a run that is going on: three writings, and a busy machine."""
BYTES_MAX = 4_096
"""The most bytes that are read of the file. It has about 200."""


class LiveFigures(NamedTuple):
    """The figures of a run that is going on, as of ``at_ms`` (milliseconds since 1970)."""

    at_ms: int
    items_per_s: float
    """Rows settled per second, over the last half minute."""
    time_left: TimeLeft
    """The time that the run will probably still take, or what is waited for."""

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {"at_ms": self.at_ms, "items_per_s": round(self.items_per_s, 1), **self.time_left.as_json()}


def write_live(folder: Path, figures: LiveFigures) -> None:
    """Replace the file. An error is ignored, because the next writing may succeed and nothing depends on it."""
    new = folder / f"{LIVE}.new"
    with suppress(OSError):
        new.write_text(json.dumps(figures.as_json()), encoding="utf-8")
        new.replace(folder / LIVE)  # on Windows this fails while somebody reads the file


def remove_live(folder: Path) -> None:
    """Remove the file, because the run ends. An error is ignored: the file is soon too old."""
    for name in (LIVE, f"{LIVE}.new"):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def read_live(folder: Path, now_utc_ms: int) -> LiveFigures | None:
    """Return the figures of the run that is going on, as of now; None if none is, or if it wrote nothing that can be read."""
    try:
        with (folder / LIVE).open("rb") as file:
            found = json.loads(file.read(BYTES_MAX))
        at_ms, per_s = int(found["at_ms"]), float(found["items_per_s"])
        left = TimeLeft.of_json(found)
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    age_s = (now_utc_ms - at_ms) / 1000
    return LiveFigures(at_ms, per_s, left.later(max(0.0, age_s))) if abs(age_s) <= LIVE_S else None


def as_json(live: LiveFigures | None, *, complete: bool) -> Mapping[str, Any]:
    """Return the keys of `status --json` for it: whether a run is going on, and the time left."""
    nothing = TimeLeft(0.0) if complete else TimeLeft(None)
    return {"running": live is not None, **(nothing if live is None else live.time_left).as_json()}
