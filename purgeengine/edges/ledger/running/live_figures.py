"""What a run that is going on says about itself, for `status` in another process: a small file in the ledger's folder.

It is written anew every few seconds, and removed when the run ends. It holds no row and decides nothing, so it is not synced, and a
disk without room for it stops nothing. Whether a run is going on at all, the lock of the ledger tells. Figures that are older than
`LIVE_S` seconds are not believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from purgeengine.core.forecast.time_left import TimeLeft
from purgeengine.edges.ledger.store.storage import LIVE
from purgeengine.words import utc_text

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
    """Rows settled per second, over the last ten seconds."""
    time_left: TimeLeft
    """The time that the run will probably still take, or what is waited for."""
    held_until_ms: int | None = None
    """When the run may send again, if it now waits for its hours; in milliseconds since 1970. None if it may send."""

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {
            "at_ms": self.at_ms,
            "items_per_s": round(self.items_per_s, 1),
            "held_until_ms": self.held_until_ms,
            **self.time_left.as_json(),
            "largest_left": self.time_left.largest_left,
        }


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
        left, held = TimeLeft.of_json(found), found.get("held_until_ms")
        held_until_ms = None if held is None or int(held) <= now_utc_ms else int(held)
        utc_text((now_utc_ms if held_until_ms is None else held_until_ms) / 1000)  # raises if there is no such time
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    age_s = (now_utc_ms - at_ms) / 1000
    return LiveFigures(at_ms, per_s, left.later(max(0.0, age_s)), held_until_ms) if abs(age_s) <= LIVE_S else None


def as_json(live: LiveFigures | None, *, running: bool, complete: bool) -> Mapping[str, Any]:
    """Return the keys of `status --json` for it: whether a run goes on, the time left, and until when it waits for its hours."""
    left = TimeLeft(0.0) if complete else TimeLeft(None) if live is None else live.time_left
    held_until_ms = None if live is None or complete else live.held_until_ms
    held_until_utc = None if held_until_ms is None else utc_text(held_until_ms / 1000)
    return {"running": running, **left.as_json(), "held_until_utc": held_until_utc}
