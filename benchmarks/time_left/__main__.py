"""How true the time left is that a run shows, on jobs in which much goes wrong.

    python -m benchmarks.time_left                       (simulated time, three seeds of each job; about two minutes)
    python -m benchmarks.time_left --seeds 20            (more seeds; --first-seed 100 takes others)
    python -m benchmarks.time_left --kept-back           (jobs that the estimate was not developed with)
    python -m benchmarks.time_left --wall-clock          (real runs of a minute, over HTTP and TLS, with faults)
    python -m benchmarks.time_left --job "100 x 40" --json out.json
    python -m benchmarks.time_left --job "90 x 200" --plays 9      (and what nobody could have known; ten times as long)

In simulated time the real scheduler, engine and ledger run against the simulated tenant (`tests.simulation.world`). The time left
is looked at every quarter of a second, as a terminal does. The table compares what was shown with the truth when 25, 50, 75 and
90 % of the rows had their outcome: the median of the error as a share of the truth, the median of shown divided by true, the
samples below half of the truth, and the samples that gave no figure and said what the run waits for.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import structlog

from benchmarks.time_left import wall_clock
from benchmarks.time_left.figures import AIM_ERROR, HEAD, Figures, Sample, samples_of
from benchmarks.time_left.shapes import KEPT_BACK, LONG, SHAPES
from benchmarks.time_left.watched import PARTS, watch
from purgeengine.core.forecast.latency import DISPATCHES, Dispatch

SEEDS = 3


def play(case: tuple[str, Dispatch, int, int]) -> list[Sample]:
    """Play one job once."""
    job, dispatch, seed, plays = case
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    shape = {**SHAPES, **KEPT_BACK, **LONG}[job]
    looks, ended_s = watch(shape, dispatch, seed, plays)
    return samples_of(job, dispatch, seed, looks, ended_s, sum(shape.rows_by_mailbox))


def simulated(jobs: list[str], seeds: range, plays: int) -> Iterator[list[Sample]]:
    """Play all jobs. Yield the samples of one job and dispatch after the other."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for job in jobs:
            for dispatch in DISPATCHES:
                found = list(pool.map(play, [(job, dispatch, seed, plays) for seed in seeds]))
                yield [sample for samples in found for sample in samples]


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each job and service")
    parser.add_argument("--first-seed", type=int, default=1, help="the first seed")
    parser.add_argument("--kept-back", action="store_true", help="the jobs that the estimate was not developed with")
    parser.add_argument("--wall-clock", action="store_true", help="real runs instead of simulated ones")
    names = [*SHAPES, *KEPT_BACK, *LONG, *wall_clock.JOBS]
    parser.add_argument("--job", action="append", choices=names, help="only this job; may be given again")
    parser.add_argument("--plays", type=int, default=0, help="plays of the rest at each part of the rows")
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    jobs = arguments.job or list(KEPT_BACK if arguments.kept_back else SHAPES)
    everything: list[Sample] = []
    print(HEAD)
    for samples in (
        wall_clock.runs(seeds, arguments.job or list(wall_clock.JOBS))
        if arguments.wall_clock
        else simulated(jobs, seeds, arguments.plays)
    ):
        everything += samples
        median_s = sorted(sample.run_s for sample in samples)[len(samples) // 2]
        print(Figures.of(samples).line(f"{samples[0].job} ({samples[0].dispatch}), {median_s:.0f} s"))
        sys.stdout.flush()
    total = Figures.of(everything)
    print(total.line("all"))
    if arguments.plays:
        print(Figures.of(filter(None, (sample.foreseen for sample in everything))).line("median of the plays"))
        print(Figures.of(filter(None, (sample.without_chance for sample in everything))).line("against that median"))
    reached = all(error is not None and error <= AIM_ERROR for error in total.errors)
    told = ", ".join(f"{part:.0%}" for part in PARTS)
    print(f"Median error at {told} of the rows: {'within' if reached else 'NOT within'} {AIM_ERROR:.0%}.")
    if arguments.json:
        figures = {"all": total.as_json(), "samples": [asdict(sample) for sample in everything]}
        arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
