"""Prints what a run would do, as text or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from purgeengine.cli.output.cost_text import cost_fields, show_cost
from purgeengine.cli.output.json_printing import running_command
from purgeengine.core.forecast.estimate import estimate
from purgeengine.core.graph.text import printable
from purgeengine.core.model import Outcome
from purgeengine.core.policy.input_words import lines_of, plain
from purgeengine.errors import PurgeEngineError
from purgeengine.jobs.purge_preview import PurgePreview
from purgeengine.json_output.envelope import Error
from purgeengine.json_output.plan_output import InvalidRow, LeftOut, PlanOutput
from purgeengine.json_output.shared import Outcomes, ShownMailbox
from purgeengine.run_limits import Limits
from purgeengine.words import counted, number

LARGEST_SHOWN = 10


def output_of(
    purge_preview: PurgePreview, limits: Limits, *, dry_run: bool, error: PurgeEngineError | None
) -> PlanOutput:
    """Return the object that ``plan --json`` and ``run --dry-run --json`` print. ``error`` says why the run would be refused."""
    preview = purge_preview.preview
    fields: dict[str, Any] = {
        **plain(purge_preview.reading),
        **cost_fields(estimate(preview.rows_by_mailbox, limits), preview.largest_mailboxes),
    }
    return PlanOutput(
        command=running_command(),
        exit_code=0 if error is None else error.exit_code,
        error=None if error is None else Error.of(error.kind, str(error)),
        dry_run=dry_run,
        rows=purge_preview.rows,
        to_purge=preview.rows,
        in_doubt=purge_preview.in_doubt,
        mailboxes=purge_preview.mailboxes,
        mailboxes_to_purge=preview.mailboxes,
        outcomes=Outcomes.of(purge_preview.outcomes),
        invalid_by_reason=dict(purge_preview.invalid_by_reason),
        invalid_examples=[
            InvalidRow(row=e.row, line=e.line, file=printable(Path(e.file).name), reason=e.reason, value=e.value)
            for e in purge_preview.invalid_examples
        ],
        left_out=[
            LeftOut(code=said.code, message=said.message, rows=rows, mailboxes=preview.mailboxes_left_out[said])
            for said, rows in preview.left_out.items()
        ],
        largest_mailboxes=[ShownMailbox(user=user, rows=rows) for user, rows in preview.largest_mailboxes],
        warnings=list(purge_preview.warnings),
        **fields,
    )


def show(purge_preview: PurgePreview, limits: Limits) -> None:
    """Print the preview as text."""
    say, preview, outcomes = click.echo, purge_preview.preview, purge_preview.outcomes
    say(f"{purge_preview.source}, {counted(purge_preview.rows, 'row')}, {counted(purge_preview.mailboxes, 'mailbox')}")
    for line in lines_of(purge_preview.reading):
        say(line)
    say(f"  to purge    {number(preview.rows)}")
    if purge_preview.in_doubt:
        was = "was" if purge_preview.in_doubt == 1 else "were"
        say(f"    {number(purge_preview.in_doubt)} of them {was} sent before, answer unknown")
    for outcome in Outcome:
        if outcomes.get(outcome) or outcome is Outcome.INVALID or outcome is Outcome.DUPLICATE:
            name = "duplicates" if outcome is Outcome.DUPLICATE else outcome.value
            say(f"  {name:<10}  {number(outcomes.get(outcome, 0))}")
        if outcome is Outcome.INVALID:
            _show_invalid(purge_preview)
    for said, rows in preview.left_out.items():
        say(f"  left out    {number(rows)} in {counted(preview.mailboxes_left_out[said], 'mailbox')}: {said.message}")
    if preview.largest_mailboxes:
        say("Largest mailboxes:")
        for user, rows in preview.largest_mailboxes[:LARGEST_SHOWN]:
            say(f"  {number(rows):>9}  {user}")
    if purge_preview.unusable is None:  # otherwise the error that follows says that nothing can be sent
        show_cost(estimate(preview.rows_by_mailbox, limits), preview.largest_mailboxes)


def _show_invalid(purge_preview: PurgePreview) -> None:
    for reason, count in sorted(purge_preview.invalid_by_reason.items(), key=lambda pair: (-pair[1], pair[0])):
        lines = [
            f"line {e.line} of {printable(Path(e.file).name)}" + (f" ('{e.value}')" if e.value else "")
            for e in purge_preview.invalid_examples
            if e.reason == reason
        ]
        click.echo(f"    {number(count)} × {reason}" + (f": {', '.join(lines)}" if lines else ""))
