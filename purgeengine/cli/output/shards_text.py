"""Prints a ledger that was cut together with its shards, before all of them are collected."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from purgeengine.cli.output.json_printing import print_output
from purgeengine.cli.output.status_json import status_of_shards
from purgeengine.cli.output.summary_text import LINE_LENGTH_MAX, outcome_lines
from purgeengine.core.graph.text import printable
from purgeengine.core.sharding.shard_advice import shard_advice
from purgeengine.edges.ledger.sharding.overview import ShardedPurge, ShardStanding
from purgeengine.words import counted, number

STATES = {
    "collected": "collected",
    "finished": "finished",
    "running": "a run is going on",
    "unfinished": "not finished",
    "not_named": "not named, and not counted",
}


def show_shards(purge: ShardedPurge, *, as_json: bool, worst: int) -> int:
    """Print the sum of a ledger and its shards, and how each shard stands."""
    standings = purge.standings()
    advice = shard_advice(
        str(purge.head.folder),
        _folders(standings, "unfinished"),
        _folders(standings, "finished"),
        [standing.number for standing in standings if standing.state == "not_named"],
        windows=os.name == "nt",
    )
    if as_json:
        reviews = [ledger.review(worst) for ledger in (purge.head, *purge.shards.values())]
        print_output(status_of_shards(purge, standings, reviews, worst, advice))
        return 0
    counts = purge.counts(standings)
    open_rows = counts.waiting + counts.in_doubt
    click.echo(
        f"{counted(counts.rows, 'row')} over {counted(len(standings), 'shard')}, {'not complete' if open_rows else 'complete'}"
    )
    for line in outcome_lines(counts.outcomes, counts.waiting, counts.in_doubt, purge.head.deletion.action):
        click.echo(line)
    for standing in standings:
        click.echo(_line(standing))
    for one in advice:
        click.echo(one.sentence)
        for command in one.commands:
            click.echo(f"  {command}")
    return 0


def _folders(standings: Sequence[ShardStanding], state: str) -> list[str]:
    return [str(standing.folder) for standing in standings if standing.state == state]


def _line(standing: ShardStanding) -> str:
    where = "" if standing.folder is None else f" ({printable(str(standing.folder), LINE_LENGTH_MAX)})"
    left = ""
    if standing.counts is not None and (rows := standing.counts.waiting + standing.counts.in_doubt):
        left = f", {number(rows)} left"
    return f"  shard {standing.number}{where}: {counted(standing.rows, 'row')}{left}, {STATES[standing.state]}"
