"""What every client here gets and gives back, so that only the library differs."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.tenant import Row, read_rows

ITEMS = 20
ATTEMPTS = 10
"""How often a careful script sends a row that is refused temporarily, if its library leaves that to the script."""
FOR_NOW = frozenset({408, 429, 500, 502, 503, 504, 509})
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


def read_task() -> Task:
    """Read the task from the command line. The token and the certificate to trust are in the environment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--connections", type=int, required=True)
    arguments = parser.parse_args()
    rows = read_rows(arguments.input)
    return Task(rows, arguments.url, arguments.connections, os.environ["BENCHMARK_TOKEN"], [None] * len(rows))
