"""``purgeengine status``: shows what became of the rows of a ledger, also while a run is going on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.output.json_printing import print_output
from purgeengine.core.graph.text import printable
from purgeengine.core.policy.advice import advice_for, advice_lines
from purgeengine.words import counted, duration, limits_the_app, number, rate

if TYPE_CHECKING:
    from purgeengine.edges.ledger.running.live_figures import LiveFigures

NOT_BEGUN = "nothing sent yet, time left not known: the run is being prepared, or waits for somebody to confirm it"

EPILOG = """\b
Examples:
  purgeengine status ./cleanup
  purgeengine status ./cleanup --json
  purgeengine status ./cleanup ./cleanup-2      (a ledger and its retry, together)
  purgeengine status ./cleanup ./shards         (a ledger that was cut, and its shards)"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path())
@json_option()
@click.option(
    "--worst",
    type=click.IntRange(0, 1000),
    default=5,
    show_default=True,
    help="Most mailboxes to list, those with the most failed rows first.",
)
def status(folders: tuple[str, ...], as_json: bool, worst: int) -> int:
    """Show the counts by outcome, the rows in doubt, the worst mailboxes and the pace of the ledger in DIR.

    A ledger and its retries, given in any order, are summed up together: what finally became of every row of the first one. So
    are a ledger that was cut and its shards; DIR may also be the folder with all of them.
    """
    from purgeengine.edges.ledger.sharding.overview import ShardedPurge
    from purgeengine.jobs.sharding.shards import shards_below

    named = [Path(folder) for folder in folders[:1]] + shards_below([Path(folder) for folder in folders[1:]])
    sharded = ShardedPurge.open(named)
    if sharded is not None:
        from purgeengine.cli.output.shards_text import show_shards

        with sharded:
            return show_shards(sharded, as_json=as_json, worst=worst)
    if len(folders) > 1:
        from purgeengine.cli.output.chain_text import show_chain

        return show_chain([Path(folder) for folder in folders], as_json=as_json, worst=worst)
    from purgeengine.cli.output.summary_text import LINE_LENGTH_MAX, absence_lines, outcome_lines, standing
    from purgeengine.edges.ledger import LedgerReader

    (folder,) = folders
    with LedgerReader.open(Path(folder)) as reader:
        running = reader.running  # first, so that the counts of a run that ends meanwhile are complete
        review = reader.review(worst)
        counts, calls = review.counts, reader.batches()
        complete = counts.waiting + counts.in_doubt == 0
        advice = advice_for([review.situation(folder, running=running)], windows=os.name == "nt")
        mailboxes, failures = reader.worst_mailboxes(worst), reader.failures(worst)
        limit, live, begun = reader.app_limit(), reader.live() if running else None, reader.begun
        if as_json:
            from purgeengine.cli.output.status_json import status_of_ledger
            from purgeengine.edges.ledger.running.live_figures import as_json as live_as_json

            left = live_as_json(live, running=bool(running), complete=complete)
            print_output(status_of_ledger(reader, folder, review, worst, advice, left))
            return 0
        pace, (decided, worked_s) = reader.pace(), (0, 0.0) if running else reader.average_work()
    click.echo(f"{counted(counts.rows, 'row')}, {standing(complete=complete, running=running)}")
    for line in outcome_lines(counts.outcomes, counts.waiting, counts.in_doubt, reader.deletion.action):
        click.echo(line)
    at_pace = f", {rate(decided / worked_s)} in {duration(worked_s)} of work" if worked_s > 0 else ""
    click.echo(f"{counted(calls.calls, 'call')}, {number(calls.lost)} lost{at_pace}")
    if limit is not None:
        click.echo(f"{limits_the_app(limit.per_s)} (found {duration(limit.age_s(round(time.time() * 1000)))} ago)")
    if running and not complete:
        waits = live is None and not begun
        click.echo(NOT_BEGUN if waits else _pace_line(live, pace.per_s))
    for failure in failures:
        said = f"{number(failure.count)} × {failure.status or 'no answer'} {failure.code} {failure.message}"
        click.echo(f"  {printable(said, LINE_LENGTH_MAX)}")
    for mailbox in mailboxes:
        click.echo(
            f"  {printable(mailbox.user)}: {counted(mailbox.failed, 'failed row')}, {number(mailbox.skipped)} skipped"
        )
    for line in (*absence_lines(review.absence), *advice_lines(advice)):
        click.echo(line)
    return 0


def _pace_line(live: LiveFigures | None, per_s: float) -> str:
    """Return the pace and the time left of the run that is going on. ``per_s`` is the ledger's own pace, over the last minute."""
    if live is None:
        return f"{rate(per_s)} over the last minute, time left not known: the run has not told it in the last seconds"
    from purgeengine.cli.output.progress_display import held_words
    from purgeengine.core.forecast.time_left import in_words

    if live.held_until_ms is None:
        return f"now {rate(live.items_per_s)}, {in_words(live.time_left)}"
    held_until_s = live.held_until_ms / 1000
    return f"{held_words(held_until_s, held_until_s - time.time())}; {in_words(live.time_left)}"
