"""``purgeengine plan``: look at an input before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from purgeengine.commands.options import column_map, input_arguments, limit_options, limits_from
from purgeengine.commands.words import counted, duration, number
from purgeengine.config import Limits
from purgeengine.core.foreign import printable
from purgeengine.errors import UsageProblem

LARGEST_SHOWN = 10
WORTH_EXPLAINING_S = 60.0
"""Runs shorter than this need no reason for their length."""

EPILOG = """\b
Examples:
  purgeengine plan contacts.csv
  purgeengine plan exports/ --columns user=Owner,contact=ItemId
  purgeengine plan contacts.parquet --json"""


@click.command(epilog=EPILOG)
@input_arguments
@limit_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def plan(**options: Any) -> int:
    """Read INPUT and say what a run would do: rows, mailboxes, bad rows, duplicates, calls, time. Sends nothing."""
    columns = column_map(options["columns"])
    return show_plan(options["inputs"], columns, limits_from(options), as_json=options["as_json"])


def show_plan(
    inputs: Sequence[str],
    columns: Mapping[str, str] | None,
    limits: Limits,
    *,
    as_json: bool,
    max_items: int | None = None,
) -> int:
    """Survey the input and print what was found. Raises `InputError` when it cannot be used at all."""
    from purgeengine.commands.staging import lean_memory, reading_progress
    from purgeengine.core.estimate import estimate
    from purgeengine.edges.ledger import survey_input
    from purgeengine.edges.source import open_source

    lean_memory()
    source = open_source(inputs, columns)
    survey = survey_input(source, reading_progress(quiet=False))
    to_send = survey.valid_rows - survey.duplicates
    if max_items is not None and to_send > max_items:
        raise UsageProblem(
            f"The input holds {counted(to_send, 'row')} to purge, more than the {number(max_items)} that --max-items allows."
        )
    cost = estimate(survey.rows_by_mailbox, limits)
    if as_json:
        click.echo(msgspec.json.encode(_as_json(survey, cost)).decode())
        return 0
    _print(source, survey, cost, limits)
    return 0


def _as_json(survey: Any, cost: Any) -> dict[str, Any]:
    return {
        "rows": survey.rows,
        "to_send": survey.valid_rows - survey.duplicates,
        "mailboxes": survey.mailboxes,
        "invalid": dict(survey.invalid_by_reason),
        "duplicates": survey.duplicates,
        "largest_mailboxes": [{"user": user, "rows": rows} for user, rows in survey.largest_mailboxes],
        "calls_min": cost.calls,
        "least_s": round(cost.least_s, 1),
        "expected_s": round(cost.expected_s, 1),
    }


def _print(source: Any, survey: Any, cost: Any, limits: Limits) -> None:
    say = click.echo
    say(f"{counted(len(source.files), 'file')}, {counted(survey.rows, 'row')}, {counted(survey.mailboxes, 'mailbox')}")
    say(f"  to purge    {number(survey.valid_rows - survey.duplicates)}")
    say(f"  invalid     {number(sum(survey.invalid_by_reason.values()))}")
    for reason, count in sorted(survey.invalid_by_reason.items(), key=lambda pair: (-pair[1], pair[0])):
        lines = [
            f"line {e.line} of {printable(Path(e.file).name)}" for e in survey.invalid_examples if e.reason == reason
        ]
        say(f"    {number(count)} × {reason}" + (f": {', '.join(lines)}" if lines else ""))
    say(f"  duplicates  {number(survey.duplicates)}")
    if survey.largest_mailboxes:
        say("Largest mailboxes:")
        for user, rows in survey.largest_mailboxes[:LARGEST_SHOWN]:
            say(f"  {number(rows):>9}  {user}")
    say(
        f"At least {counted(cost.calls, 'call')}; Graph's limits allow no less than {duration(cost.least_s)}, "
        f"and about {duration(cost.expected_s)} is likely with {limits.connections} connections."
    )
    if cost.deciding_mailbox_rows and cost.expected_s >= WORTH_EXPLAINING_S:
        say(f"The largest mailbox decides the time: {counted(cost.deciding_mailbox_rows, 'row')}.")
