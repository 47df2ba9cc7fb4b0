"""What a run would do with an input, or with what a ledger still has to do: read, counted and shown. Nothing is sent or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purgeengine.commands.costing import cost_as_json, show_cost
from purgeengine.commands.words import counted, number
from purgeengine.config import Limits
from purgeengine.core.estimate import estimate
from purgeengine.core.filters import UserFilter
from purgeengine.core.foreign import printable
from purgeengine.core.input_words import lines_of, plain
from purgeengine.core.model import Outcome

if TYPE_CHECKING:
    from purgeengine.edges.ledger import InvalidExample, Preview
    from purgeengine.edges.ledger.survey import Input
    from purgeengine.edges.source import Source
    from purgeengine.errors import InputError

LARGEST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Prospect:
    """All rows of the input: those to purge, those left out now, and those with an outcome add up to them."""

    source: str
    """What was looked at, in a few words."""
    rows: int
    mailboxes: int
    outcomes: Mapping[Outcome, int]
    """Rows that have their outcome: wrong and repeated ones from the start, and what earlier runs of the ledger left."""
    preview: Preview
    in_doubt: int = 0
    """Rows to purge that were sent before, answer unknown."""
    invalid_by_reason: Mapping[str, int] = field(default_factory=dict)
    invalid_examples: Sequence[InvalidExample] = ()
    reading: Mapping[str, Any] | None = None
    """What was taken from the input and left alone there; None where a ledger of an earlier version does not tell."""
    unusable: InputError | None = None
    """Why a run would be refused, where not one row can be sent."""


def prospect_of_input(source: Input | Source, user_filter: UserFilter, *, quiet: bool = False) -> Prospect:
    """Read the whole input. Raises `InputError` when it cannot be used at all."""
    from purgeengine.commands.staging import reading_progress
    from purgeengine.core.identifiers import mailbox_key
    from purgeengine.edges.ledger import Preview, survey_input
    from purgeengine.edges.ledger.survey import no_usable_row
    from purgeengine.edges.source import Source

    survey = survey_input(source, reading_progress(quiet=quiet))
    preview = Preview()
    for user, rows in zip(survey.users, survey.rows_by_mailbox, strict=True):
        preview.add(user, [mailbox_key(user)], rows, user_filter)
    preview.finish()
    return Prospect(
        counted(len(source.files), "file"),
        survey.rows,
        survey.mailboxes,
        {Outcome.INVALID: survey.invalid_rows, Outcome.DUPLICATE: survey.duplicates},
        preview,
        invalid_by_reason=survey.invalid_by_reason,
        invalid_examples=survey.invalid_examples,
        reading=source.reading() if isinstance(source, Source) else None,
        unusable=no_usable_row(survey) if survey.rows and not survey.valid_rows and source.earlier is None else None,
    )


def prospect_of_ledger(folder: Path, source: Input | None, user_filter: UserFilter) -> Prospect:
    """Look into the ledger. Raises `LedgerMismatch` when it belongs to another input than this."""
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.ledger.folder import refuse_other_input

    with LedgerReader.open(folder) as reader:
        if source is not None:
            refuse_other_input(folder, reader.about, source, source.digest())
        counts, preview = reader.counts(), reader.preview(user_filter)
        mailboxes, reading = reader.mailbox_count(), reader.about.get("reading")
    return Prospect(
        f"Ledger {folder}", counts.rows, mailboxes, counts.outcomes, preview, counts.in_doubt, reading=reading
    )


def as_json(prospect: Prospect, limits: Limits) -> dict[str, Any]:
    """Plain values; the contract of ``plan --json`` and ``run --dry-run --json``."""
    preview = prospect.preview
    cost = estimate(preview.rows_by_mailbox, limits)
    return {
        "rows": prospect.rows,
        "to_send": preview.rows,
        "in_doubt": prospect.in_doubt,
        "mailboxes": prospect.mailboxes,
        "mailboxes_to_purge": preview.mailboxes,
        "outcomes": {outcome.value: prospect.outcomes.get(outcome, 0) for outcome in Outcome},
        "invalid": dict(prospect.invalid_by_reason),
        "invalid_examples": [{**e._asdict(), "file": printable(Path(e.file).name)} for e in prospect.invalid_examples],
        "duplicates": prospect.outcomes.get(Outcome.DUPLICATE, 0),
        "left_out": [
            {"code": said.code, "message": said.message, "rows": rows, "mailboxes": preview.mailboxes_left_out[said]}
            for said, rows in preview.left_out.items()
        ],
        "largest_mailboxes": [{"user": user, "rows": rows} for user, rows in preview.largest_mailboxes],
        **plain(prospect.reading),
        **cost_as_json(cost, preview.largest_mailboxes),
    }


def show(prospect: Prospect, limits: Limits) -> None:
    """Print it for people."""
    say, preview, outcomes = click.echo, prospect.preview, prospect.outcomes
    say(f"{prospect.source}, {counted(prospect.rows, 'row')}, {counted(prospect.mailboxes, 'mailbox')}")
    for line in lines_of(prospect.reading):
        say(line)
    say(f"  to purge    {number(preview.rows)}")
    if prospect.in_doubt:
        was = "was" if prospect.in_doubt == 1 else "were"
        say(f"    {number(prospect.in_doubt)} of them {was} sent before, answer unknown")
    for outcome in Outcome:
        if outcomes.get(outcome) or outcome is Outcome.INVALID or outcome is Outcome.DUPLICATE:
            name = "duplicates" if outcome is Outcome.DUPLICATE else outcome.value
            say(f"  {name:<10}  {number(outcomes.get(outcome, 0))}")
        if outcome is Outcome.INVALID:
            _show_invalid(prospect)
    for said, rows in preview.left_out.items():
        say(f"  left out    {number(rows)} in {counted(preview.mailboxes_left_out[said], 'mailbox')}: {said.message}")
    if preview.largest_mailboxes:
        say("Largest mailboxes:")
        for user, rows in preview.largest_mailboxes[:LARGEST_SHOWN]:
            say(f"  {number(rows):>9}  {user}")
    if prospect.unusable is None:  # otherwise the error that follows says that nothing can be sent
        show_cost(estimate(preview.rows_by_mailbox, limits), preview.largest_mailboxes)


def _show_invalid(prospect: Prospect) -> None:
    for reason, count in sorted(prospect.invalid_by_reason.items(), key=lambda pair: (-pair[1], pair[0])):
        lines = [
            f"line {e.line} of {printable(Path(e.file).name)}" + (f" ('{e.value}')" if e.value else "")
            for e in prospect.invalid_examples
            if e.reason == reason
        ]
        click.echo(f"    {number(count)} × {reason}" + (f": {', '.join(lines)}" if lines else ""))
