"""What every client here gets and gives back, so that only the library differs."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path

from benchmarks.tenant import Row, read_rows

ITEMS = 20
ATTEMPTS = 10
"""How often a careful script sends a row that is refused temporarily, if its library leaves that to the script."""
FOR_NOW = frozenset({408, 429, 500, 502, 503, 504, 509})
BACKOFF_S = 1.0
"""Seconds to wait if no ``Retry-After`` is given. Doubled from attempt to attempt, up to 30 s."""
BACKOFF_S_MAX = 30.0
GONE = frozenset({204, 404})


@dataclass(slots=True)
class Task:
    """Rows to purge, and where. ``told`` is the status that the client got for each row, or None if it got none."""

    rows: list[Row]
    url: str
    connections: int
    token: str
    told: list[int | None] = field(default_factory=list)

    def chunks(self) -> list[range]:
        """Return the row numbers of each batch, in the order of the file."""
        return [range(first, min(first + ITEMS, len(self.rows))) for first in range(0, len(self.rows), ITEMS)]

    def report(self) -> None:
        """Print what is known. A user would not write this part."""
        print(json.dumps({"told": self.told}))


def backoff_s(attempt: int) -> float:
    """Return the seconds to wait after an attempt, counted from 0."""
    return min(BACKOFF_S_MAX, BACKOFF_S * 2.0**attempt)


def wait_in(retry_after: str) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for: a number or a date. None if it is neither."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def read_task() -> Task:
    """Read the task from the command line. The token and the certificate to trust are in the environment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--connections", type=int, required=True)
    arguments = parser.parse_args()
    rows = read_rows(arguments.input)
    return Task(rows, arguments.url, arguments.connections, os.environ["BENCHMARK_TOKEN"], [None] * len(rows))
