"""The generated table of docs/tasks/speed.md: how long some purges take, by the estimate that `purgeengine plan` shows.

`python -m tests.pages` writes it anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from purgeengine.core.forecast.estimate import estimate
from purgeengine.run_limits import Limits
from purgeengine.words import duration
from tests.pages.markdown import replaced, table

PAGE = Path(__file__).parents[2] / "docs" / "tasks" / "speed.md"
LISTS: Mapping[str, Sequence[int]] = {
    "1,000 contacts of one mailbox": [1_000],
    "10,000 contacts of 500 mailboxes": [20] * 500,
    "100,000 contacts of 5,000 mailboxes": [20] * 5_000,
    "50,000 contacts of one mailbox": [50_000],
}
"""Lists that a reader may compare a list with: the rows of each mailbox."""


def times() -> str:
    """Return a line for each list: the likely time with the default of connections, and the least."""
    rows = []
    for name, sizes in LISTS.items():
        found = estimate(sizes, Limits())
        rows.append((name, duration(found.expected_s), duration(found.least_s)))
    return table(("a purge of", "takes about", "at least"), rows)


def renewed(page: str) -> str:
    """Return the page with its table made anew."""
    return replaced(page, "times", times())
