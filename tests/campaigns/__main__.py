"""``python -m tests.campaigns NAME --seeds N``: spread a campaign's seeds over the cores, and count what happened."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.playing import play_some

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if "\ndef case(" in path.read_text(encoding="utf-8"))
EPILOG = """\b
Examples:
  python -m tests.campaigns chaos --seeds 20000
  python -m tests.campaigns crashes --seeds 10000 --first 50001"""
SEEDS_PER_CHUNK = 10
FAILURES_SHOWN_MAX = 20
"""Failures told in full; all are counted."""


def chunks(first: int, seeds: int) -> Iterator[range]:
    """The seeds, a few at a time."""
    for start in range(first, first + seeds, SEEDS_PER_CHUNK):
        yield range(start, min(start + SEEDS_PER_CHUNK, first + seeds))


@click.command(epilog=EPILOG)
@click.argument("name", type=click.Choice(NAMES))
@click.option("--seeds", type=click.IntRange(min=1), default=1_000, show_default=True, help="How many.")
@click.option("--first", type=int, default=1, show_default=True, help="The first one.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object on stdout.")
def main(name: str, seeds: int, first: int, jobs: int, as_json: bool) -> None:
    """Run a campaign; Ctrl-C ends it early with the counts so far.

    Exit code 1 when a seed broke a promise; its message holds what was drawn from it.
    """
    started = time.monotonic()
    counts: Counter[str] = Counter()
    failures: list[tuple[int, str]] = []
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
    with Progress(*columns, console=Console(stderr=True)) as progress, pool:
        task = progress.add_task(name, total=seeds)
        left = chunks(first, seeds)
        running = {pool.submit(play_some, name, some) for _, some in zip(range(2 * jobs), left, strict=False)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    more, failed = future.result()
                    counts += more
                    failures += failed
                    for seed, reason in failed[: max(0, FAILURES_SHOWN_MAX - len(failures) + len(failed))]:
                        progress.console.print(f"seed {seed}: {reason}", markup=False, highlight=False)
                    progress.advance(task, more["seeds"])
                    running.update(pool.submit(play_some, name, some) for _, some in zip(range(1), left, strict=False))
        except KeyboardInterrupt:  # what has been played counts
            pool.shutdown(wait=False, cancel_futures=True)
    found = {**dict(sorted(counts.items())), "failed": len(failures), "took_s": round(time.monotonic() - started, 1)}
    if as_json:
        click.echo(json.dumps(found))
    else:
        for what, count in found.items():
            click.echo(f"{count:>12,}  {what}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
