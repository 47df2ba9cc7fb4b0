"""``python -m tests.campaigns NAME --seeds N``: spread a campaign's seeds over the cores, and count what happened."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from importlib import import_module
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.simulation.playing import play_some, turn_deaf

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if "\ndef case(" in path.read_text(encoding="utf-8"))
EPILOG = """\b
Examples:
  python -m tests.campaigns chaos --seeds 20000
  python -m tests.campaigns crashes --seeds 10000 --first 50001
  python -m tests.campaigns kills --seeds 200"""
SEEDS_PER_CHUNK = 10
"""Seeds of a chunk in a campaign whose cases take a fraction of a second. Other campaigns set their own number."""
FAILURES_SHOWN_MAX = 20
"""Failures shown in full. All of them are counted."""

TELL_EVERY_S = 60.0
"""Seconds between lines if no terminal shows a progress bar."""


@click.command(epilog=EPILOG)
@click.argument("name", type=click.Choice(NAMES))
@click.option("--seeds", type=click.IntRange(min=1), default=1_000, show_default=True, help="How many.")
@click.option("--first", type=int, default=1, show_default=True, help="The first one.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes; as many as suit the campaign if left out.")
@click.option("--json", "as_json", is_flag=True, help="The counts as one JSON object on stdout.")
def main(name: str, seeds: int, first: int, jobs: int | None, as_json: bool) -> None:
    """Run a campaign. Ctrl-C or SIGTERM ends it early with the counts so far, once the seeds being played have ended.

    Exit code 1 if a seed broke a promise. Its message contains the drawn scenario.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job begins with the first one ignored
        signal.signal(number, signal.default_int_handler)
    campaign = import_module(f"tests.campaigns.{name}")
    jobs = jobs or (os.cpu_count() or 1) * getattr(campaign, "JOBS_PER_CORE", 1)
    left = chunks(first, seeds, getattr(campaign, "SEEDS_PER_CHUNK", SEEDS_PER_CHUNK))
    started = time.monotonic()
    counts: Counter[str] = Counter()
    failures = 0
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    told = started
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=seeds)
        for more, failed in played(name, left, jobs):
            counts += more
            for seed, reason in failed[: max(0, FAILURES_SHOWN_MAX - failures)]:
                console.print(f"seed {seed}: {reason}", markup=False, highlight=False)
            failures += len(failed)
            progress.advance(task, more["seeds"])
            if not console.is_terminal and time.monotonic() - told >= TELL_EVERY_S:
                told = time.monotonic()
                click.echo(
                    f"{name}: {counts['seeds']:,} of {seeds:,}, {failures} failed, {told - started:,.0f} s", err=True
                )
    found = {**dict(sorted(counts.items())), "failed": failures, "took_s": round(time.monotonic() - started, 1)}
    if as_json:
        click.echo(json.dumps(found))
    else:
        for what, count in found.items():
            click.echo(f"{count:>12,}  {what}")
    sys.exit(1 if failures else 0)


def chunks(first: int, seeds: int, size: int) -> Iterator[range]:
    """Yield the seeds, a few at a time."""
    for start in range(first, first + seeds, size):
        yield range(start, min(start + size, first + seeds))


def played(name: str, left: Iterator[range], jobs: int) -> Iterator[tuple[Counter[str], list[tuple[int, str]]]]:
    """Yield the result of each chunk when it ends. After Ctrl-C no other begins; after a second one none is waited for."""
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=turn_deaf)
    running = {pool.submit(play_some, name, some) for some in islice(left, jobs)}
    interrupted = False
    while running:
        try:
            done, running = wait(running, return_when=FIRST_COMPLETED)
        except KeyboardInterrupt:
            if interrupted:
                break
            interrupted = True
            click.echo("Waiting for the seeds being played; Ctrl-C again to leave them.", err=True)
            continue
        if not interrupted:
            running |= {pool.submit(play_some, name, some) for some in islice(left, len(done))}
        yield from (future.result() for future in done)
    pool.shutdown(wait=not running, cancel_futures=True)
    for process in multiprocessing.active_children() if running else ():
        process.kill()


if __name__ == "__main__":
    main()
