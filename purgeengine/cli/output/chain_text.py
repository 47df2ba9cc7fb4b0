"""Prints what finally became of the rows of a ledger and its retries together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from purgeengine.cli.output.json_printing import print_output
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.output.status_json import status_of_chain
from purgeengine.cli.output.summary_text import LINE_LENGTH_MAX, absence_lines, outcome_lines, standing
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.core.graph.operations import Action
from purgeengine.core.graph.text import printable
from purgeengine.core.model import Outcome
from purgeengine.core.policy.advice import advice_for, advice_lines
from purgeengine.edges.ledger import Chain, Failures, Final, absence_over, failures_of, situations_of
from purgeengine.words import counted, number


def show_chain(folders: Sequence[Path], *, as_json: bool, worst: int) -> int:
    """Print the sum of the ledgers. Raises `LedgerMismatch` if they do not belong to one chain."""
    with Chain.open(folders) as chain:
        running = chain.running  # first, so that the counts of a run that ends meanwhile are complete
        final = chain.final(reading_progress(quiet=as_json, what="the ledgers"))
        clear_transient()
        endings = failures_of(chain, final)
        for folder in chain.unnamed:
            click.echo(
                f"{folder} runs rows of a ledger that was not named: what became of them there is not counted.",
                err=True,
            )
        absence = absence_over(chain, final, worst)
        advice = advice_for(situations_of(chain, final, endings), windows=os.name == "nt")
        if as_json:
            print_output(status_of_chain(chain, final, endings, worst, absence, advice, running=bool(running)))
        else:
            _print(final, endings, worst, chain.ledgers[0].deletion.action, running)
            for line in (*absence_lines(absence), *advice_lines(advice)):
                click.echo(line)
    return 0


def _print(final: Final, endings: Failures, worst: int, action: Action, running: bool | None) -> None:
    counts = final.counts()
    open_rows = counts.waiting + counts.in_doubt
    click.echo(
        f"{counted(counts.rows, 'row')} over {counted(len(final.shares), 'ledger')}, "
        f"{standing(complete=not open_rows, running=running)}"
    )
    for line in outcome_lines(counts.outcomes, counts.waiting, counts.in_doubt, action):
        click.echo(line)
    for share in final.shares:
        held = ", ".join(
            f"{number(share.holds[outcome])} {outcome.value}" for outcome in Outcome if share.holds[outcome]
        )
        click.echo(
            f"  {printable(str(share.folder), LINE_LENGTH_MAX)}: {counted(share.rows, 'row')}, of which it decides "
            f"{number(share.holds.total())}" + (f" ({held})" if held else "")
        )
    if doubts := final.left_in_doubt():
        click.echo(f"{counted(doubts, 'row')} without success may have been purged all the same")
    for group in endings.groups(worst):
        said = f"{number(group.rows)} × {group.told.status or 'no answer'} {group.told.code} {group.told.message}"
        click.echo(f"  {printable(said, LINE_LENGTH_MAX)}")
    for mailbox in endings.worst(worst):
        failed = sum(rows for outcome, rows in mailbox.outcomes.items() if outcome.failed)
        skipped = number(mailbox.outcomes[Outcome.SKIPPED])
        click.echo(f"  {printable(mailbox.user)}: {counted(failed, 'failed row')}, {skipped} skipped")
