"""What a large input costs, stage by stage. 10,000,000 rows are in 50,000 mailboxes, one of which has a fifth of all rows.

    python -m benchmarks.scale                     (100,000 and 1,000,000 rows; about five minutes)
    python -m benchmarks.scale --full              (also 10,000,000; needs 10 GB of disk, and about half an hour)
    python -m benchmarks.scale --folder DIR        (scratch space elsewhere than in the folder for temporary files)
    python -m benchmarks.scale --json out.json

Each stage is a process of its own, which prints its peak memory, its CPU (including its start), and the time of the
stage. `plan` only learns what an input holds. The index pass makes a ledger: of a sorted CSV file, of eight shuffled
ones, of Parquet, of a shuffled CSV file. With the last input all stages follow: a run to the half, resuming, the
rest, resuming, status, export.

The runs use the engine's own scheduler over the ledger, in simulated time. With 10,000,000 rows they would take
hours. So there the first run ends after 200,000 rows, and the other outcomes are written through the ledger's own
interface. At the smallest size, a whole run is played on the sorted and on the shuffled file: the schedule must not
become worse when the rows of one mailbox stand far apart.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.scale.usage import Cost, run_stage

SIZES, FULL_SIZE = (100_000, 1_000_000), 10_000_000
RUN_ROWS_MAX, BEGINNING_ROWS = 1_000_000, 200_000
SEVERAL = 8
INPUTS: dict[str, dict[str, Any]] = {
    "sorted CSV": {"order": "sorted", "format": "csv"},
    "8 shuffled CSV": {"order": "shuffled", "format": "csv", "files": SEVERAL},
    "sorted Parquet": {"order": "sorted", "format": "parquet"},
    "shuffled Parquet": {"order": "shuffled", "format": "parquet"},
    "shuffled CSV": {"order": "shuffled", "format": "csv"},
}
"""The last input goes through all stages."""
PEAK_MIB_MAX = 250


@dataclass(frozen=True, slots=True)
class Line:
    """A stage at a size, its cost and its figures."""

    rows: int
    stage: str
    cost: Cost
    figures: dict[str, Any]


def whole_way(folder: Path, rows: int) -> Iterator[Line]:
    """Run all stages at one size."""
    for name, job in INPUTS.items():
        run_stage("write", folder, rows=rows, **job)
        yield Line(rows, f"plan, {name}", *run_stage("plan", folder))
        yield Line(rows, f"index, {name}", *run_stage("index", folder))
    run = "run" if rows <= RUN_ROWS_MAX else "fill"
    if run == "fill":
        yield Line(rows, f"run of {BEGINNING_ROWS:,}", *run_stage("run", folder, share=BEGINNING_ROWS / rows))
    yield Line(rows, f"{run} to the half", *run_stage(run, folder, share=0.5))
    yield Line(rows, "resume, half", *run_stage("resume", folder))
    yield Line(rows, f"{run} to the end", *run_stage(run, folder, share=1.0))
    yield Line(rows, "resume, finished", *run_stage("resume", folder))
    yield Line(rows, "status", *run_stage("status", folder))
    yield Line(rows, "export to CSV", *run_stage("export", folder, ending="csv"))
    yield Line(rows, "export to Parquet", *run_stage("export", folder, ending="parquet"))


def schedules(folder: Path, rows: int) -> Iterator[Line]:
    """Purge the same rows sorted and shuffled, from beginning to end."""
    for order in ("sorted", "shuffled"):
        run_stage("write", folder, rows=rows, order=order, format="csv")
        run_stage("index", folder)
        yield Line(rows, f"whole run, {order}", *run_stage("run", folder, share=1.0))


def show(line: Line) -> None:
    """Print a line of the table."""
    said = ""
    if "makespan_s" in line.figures:
        said = f"{line.figures['calls']:,} calls, {line.figures['makespan_s']:,.0f} s of simulated time"
    cost = line.cost
    print(
        f"{line.rows:>10,}  {line.stage:24} {cost.wall_s:8.1f} {cost.cpu_s:8.1f} {cost.peak_mib:9.0f}  {said}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help=f"also {FULL_SIZE:,} rows")
    parser.add_argument("--rows", type=int, action="append", help="only this size; may be given again")
    parser.add_argument("--folder", type=Path, help="where the scratch space is made")
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    sizes = arguments.rows or [*SIZES, *([FULL_SIZE] if arguments.full else [])]
    found: list[Line] = []
    print(f"{'rows':>10}  {'stage':24} {'time s':>8} {'CPU s':>8} {'peak MiB':>9}")
    folder = Path(tempfile.mkdtemp(prefix="purgeengine-scale-", dir=arguments.folder))
    try:
        for rows in sizes:
            for line in whole_way(folder, rows):
                found.append(line)
                show(line)
        for line in schedules(folder, min(sizes)):
            found.append(line)
            show(line)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(line) for line in found], indent=2), encoding="utf-8")
    peak = max(line.cost.peak_mib for line in found)
    print(f"peak memory over all: {peak:.0f} MiB (aim: under {PEAK_MIB_MAX})")
    if peak > PEAK_MIB_MAX:
        sys.exit(1)


if __name__ == "__main__":
    main()
