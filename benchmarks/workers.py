"""``run --workers`` beside one process: the same list, the same totals, the same simulated tenant, over real HTTP and TLS.

    python -m benchmarks.workers                     # 10,000 rows in 250 mailboxes, 4 workers, three times each

The tenant's own record tells start-up from sending: ``first_s`` is the time from the command to the first request, ``sending_s``
from there to the last answer. The first is the same for any list, the second is what the schedule is worth. Needs the extra dask.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from purgeengine.sim.graph.tenant import Tenant
from tests.support.cli_fixtures import a_bench, rows_of

ROWS, MAILBOXES, WORKERS, TIMES = 10_000, 250, 4, 3
SKEW = 0.5
"""The mailbox of rank n has 1 / n^0.5 of the rows of the first one."""


def sizes(rows: int, mailboxes: int) -> list[int]:
    """Return the rows of each mailbox."""
    weights = [rank**-SKEW for rank in range(1, mailboxes + 1)]
    found = [max(1, int(rows * weight / sum(weights))) for weight in weights]
    found[0] += rows - sum(found)
    return found


def measured(rows: int, mailboxes: int, more: list[str], seed: int) -> dict[str, float]:
    """Run the command once. Return its times in seconds."""
    listed = rows_of(sizes(rows, mailboxes))
    tenant = Tenant(contacts=listed, seed=seed)
    for user in {row[0] for row in listed}:
        tenant.truth.add_mailbox(user)
    with tempfile.TemporaryDirectory() as folder, a_bench(Path(folder), tenant, listed) as bench:
        began, utc = time.monotonic(), time.time()
        ended = bench.run(*more, timeout_s=600.0)
        total_s = time.monotonic() - began
    assert ended.json["outcomes"]["purged"] == rows, ended.err
    first = min(entry.started_at for entry in tenant.log)
    last = max(entry.ended_at for entry in tenant.log)
    first_s = tenant.utc_at_zero_s + first - utc
    return {
        "total_s": total_s,
        "first_s": first_s,
        "sending_s": last - first,
        "end_s": total_s - first_s - (last - first),
        "refused": float(tenant.counters.refused_rate + tenant.counters.refused_concurrency),
    }


def main() -> None:
    """Print one JSON object for each way, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--mailboxes", type=int, default=MAILBOXES)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--times", type=int, default=TIMES)
    given = parser.parse_args()
    ways = {"one process": [], f"{given.workers} workers": ["--workers", str(given.workers)]}
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(given.times):
        for way, more in ways.items():  # one after the other, so that both meet the same state of the machine
            found[way].append(measured(given.rows, given.mailboxes, more, number))
    medians = {
        way: {key: round(statistics.median(one[key] for one in runs), 2) for key in runs[0]}
        for way, runs in found.items()
    }
    for way, median in medians.items():
        print(json.dumps({"way": way, **median}))
    alone, shared = medians.values()
    print(json.dumps({f"ratio_{key}": round(shared[key] / alone[key], 2) for key in ("total_s", "sending_s")}))


if __name__ == "__main__":
    main()
