"""``purgeengine shard``: cuts a purge into ledgers for several machines, and collects what they recorded."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.inputs import opening
from purgeengine.cli.options.connection_options import connection_options
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.options.purge_options import DEFAULTS, deletion_options, input_arguments, staging_options
from purgeengine.cli.options.request_options import OutputOptions, request_from
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.cli.terminal import tell_aside
from purgeengine.core.graph.text import printable, well_formed
from purgeengine.errors import UsageProblem
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.jobs.purge_request import PurgeRequest
    from purgeengine.jobs.request_input import Opener
    from purgeengine.jobs.sharding.shards import CollectResult, CutResult

CUT_EPILOG = """\b
Examples:
  purgeengine shard cut contacts.csv --shards 8 --ledger ./cleanup -o ./shards
  purgeengine shard cut ./cleanup --shards 4 -o ./shards         (what a stopped run has left)
  purgeengine run --ledger ./shards/shard-03 --yes               (on any machine, with the folder copied there)
  purgeengine shard collect ./cleanup ./shards"""
COLLECT_EPILOG = """\b
Examples:
  purgeengine shard collect ./cleanup ./shards
  purgeengine shard collect ./cleanup ./back/shard-00 ./back/shard-01
  purgeengine status ./cleanup ./shards                          (the whole, before all are collected)
  purgeengine shard collect ./cleanup ./shards --unfinished      (takes back what is not finished)

\b
Exit codes: 0 all shards are collected; 1 some are not; otherwise as for every command."""


@click.group()
def shard() -> None:
    """Purge from several machines: cut a list into shards, run each anywhere, and collect them.

    A shard is a ledger of its own with the rows of some mailboxes. It does not make one app faster, because Graph's limits are the
    app's, wherever its calls come from. See docs/several-machines.md.
    """


@shard.command(cls=GroupedCommand, epilog=CUT_EPILOG)
@partial(input_arguments, required=False)
@click.option("--shards", type=int, required=True, metavar="N", help="How many shards to make.")
@click.option(
    "--ledger",
    "ledger_folder",
    type=click.Path(),
    help="Folder of the ledger of the whole list. It is created, or taken as it is if it exists.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    metavar="DIR",
    help="Folder for the shards: shard-00, shard-01, ...",
)
@click.option("--dry-run", is_flag=True, help="Show what would be sent. Make no ledger and no shard.")
@deletion_options
@staging_options
@json_option("Print the shards as one JSON object on stdout; see docs/json.md.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
@connection_options
@click.option(
    "--connections",
    "all_connections",
    type=int,
    default=DEFAULTS.connections,
    show_default=True,
    help="Most batches in flight at once over all shards. Each shard gets an equal share.",
)
@click.option(
    "--rate",
    "rate_of_all",
    type=int,
    default=DEFAULTS.requests_per_s,
    show_default=True,
    help="Most rows a second over all shards. Each shard gets an equal share.",
)
def cut(**options: Any) -> int:
    """Cut the contacts of INPUT, or what a ledger has left, into N shards. Sends nothing.

    INPUT is read as by run: filters, names, duplicates, limits and the confirmation hold for the whole list, once. INPUT may also
    be the folder of a ledger whose run was stopped. While shards are out, a run over that ledger is refused. To go on after an
    interruption, give the same command again.
    """
    options = _with_ledger(options)
    request = replace(
        request_from(options, time.time()),
        limits=replace(DEFAULTS, connections=options["all_connections"], requests_per_s=options["rate_of_all"]),
    )
    output = OutputOptions(as_json=options["as_json"], quiet=options["quiet"])
    with opening(request) as open_input:
        if options["dry_run"]:
            from purgeengine.cli.dry_run import show_dry_run

            return show_dry_run(request, output, open_input)
        return _cut(request, output, open_input, options["shards"], Path(options["output"]))


def _with_ledger(options: dict[str, Any]) -> dict[str, Any]:
    """Take the folder of a ledger that stands in the place of an input as the ledger."""
    from purgeengine.edges.ledger.store.storage import DATABASE

    inputs, folder = options["inputs"], options["ledger_folder"]
    if len(inputs) == 1 and (Path(inputs[0]) / DATABASE).is_file():
        given = click.get_current_context().get_parameter_source("ledger_folder") is ParameterSource.COMMANDLINE
        if given and Path(folder).absolute() != Path(inputs[0]).absolute():
            raise UsageProblem(
                f"{inputs[0]} is a ledger, and --ledger names another one. Leave --ledger out to cut what {inputs[0]} has left. "
                "No shard was made."
            )
        return {**options, "inputs": (), "ledger_folder": inputs[0]}
    if folder is None:
        raise UsageProblem("Name a folder for the ledger of the whole list with --ledger.")
    return options


def _cut(request: PurgeRequest, output: OutputOptions, open_input: Opener, shards: int, folder: Path) -> int:
    from purgeengine.cli.confirmation import confirm
    from purgeengine.cli.login_guard import forbid_core_dumps
    from purgeengine.cli.output.reading_progress import reading_progress
    from purgeengine.cli.signals import leave_on_signal
    from purgeengine.cli.starting import set_up_logs
    from purgeengine.cli.terminal import can_ask, tell_aside
    from purgeengine.jobs.callbacks import Callbacks
    from purgeengine.jobs.sharding.shards import cut_into_shards

    set_up_logs(request, output)
    forbid_core_dumps()
    callbacks = Callbacks(
        confirm=confirm,
        wants_tenant_name=can_ask,
        tell=None if output.quiet else tell_aside,
        tell_sign_in=tell_aside,
        tell_reading=tell_aside,
        on_reading=reading_progress(quiet=output.quiet),
        signing_in=leave_on_signal,
    )
    found = cut_into_shards(request, shards, folder, callbacks, open_input)
    if output.as_json:
        print_output(_cut_output(found))
    else:
        _show_cut(found)
    return 0


def _cut_output(found: CutResult) -> Any:
    from purgeengine.json_output.shard_output import CutShard, ShardCutOutput

    return ShardCutOutput(
        command=running_command(),
        exit_code=0,
        ledger=well_formed(str(found.head)),
        made_before=found.before,
        rows=sum(planned.rows for planned in found.cut.planned),
        made_shards=[
            CutShard(
                number=one.number,
                ledger=well_formed(str(one.folder)),
                rows=one.planned.rows,
                in_doubt=one.planned.in_doubt,
                mailboxes=one.planned.mailboxes,
                connections=one.connections,
                requests_per_s=one.requests_per_s,
            )
            for one in found.shards
        ],
    )


def _show_cut(found: CutResult) -> None:
    from purgeengine.core.sharding.shard_advice import shard_advice

    rows = sum(planned.rows for planned in found.cut.planned)
    before = " (made before)" if found.before else ""
    click.echo(f"{counted(found.cut.shards, 'shard')} with {counted(rows, 'row')}{before}")
    for one in found.shards:
        click.echo(
            f"  {printable(str(one.folder))}: {counted(one.planned.rows, 'row')} in {counted(one.planned.mailboxes, 'mailbox')}, "
            f"{counted(one.connections, 'connection')}, {number(one.requests_per_s)} rows/s at most"
        )
    folders = [str(one.folder) for one in found.shards]
    advice = [*shard_advice(str(found.head), folders, (), (), windows=os.name == "nt")]
    advice += shard_advice(str(found.head), (), [str(found.folder)], (), windows=os.name == "nt")
    for step in advice:
        click.echo(step.sentence)
        for command in step.commands:
            click.echo(f"  {command}")


@shard.command(cls=GroupedCommand, epilog=COLLECT_EPILOG)
@click.argument("head", metavar="LEDGER", type=click.Path())
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--unfinished",
    is_flag=True,
    help="Collect shards that are not finished, too. They can be run no more, and LEDGER has their open rows back.",
)
@json_option("Print what was collected as one JSON object on stdout; see docs/json.md.")
def collect(head: str, folders: tuple[str, ...], unfinished: bool, as_json: bool) -> int:
    """Collect the shards in DIR... into the LEDGER that they were cut from. DIR may also be the folder with all of them.

    Each shard is collected once, however often the command is given. Not all of them need to be there. When the last one is
    collected, LEDGER is what one run over the whole list would have left: status, export, report and retry work as always.
    """
    from purgeengine.jobs.sharding.shards import collect_shards

    found = collect_shards(Path(head), [Path(folder) for folder in folders], unfinished=unfinished)
    missing = found.cut.out
    if as_json:
        print_output(_collect_output(found))
    else:
        _show_collected(found)
    for problem in found.problems[1:]:
        tell_aside(f"purgeengine: {problem}")
    if found.problems:
        raise found.problems[0]
    return 1 if missing else 0


def _collect_output(found: CollectResult) -> Any:
    from purgeengine.json_output.envelope import Error
    from purgeengine.json_output.shard_output import ShardCollectOutput, ShardFolder
    from purgeengine.json_output.shared import Outcomes

    errors = [Error.of(problem.kind, str(problem)) for problem in found.problems]
    counts = found.counts
    return ShardCollectOutput(
        command=running_command(),
        exit_code=found.problems[0].exit_code if found.problems else 1 if found.cut.out else 0,
        error=errors[0] if errors else None,
        ledger=well_formed(str(found.head)),
        shards_in_all=found.cut.shards,
        collected=[
            ShardFolder(
                number=one.number,
                ledger=well_formed(str(one.folder)),
                rows=one.rows,
                left=one.left,
                collected_before=one.before,
            )
            for one in found.shards
        ],
        missing=found.cut.out,
        problems=errors,
        rows=counts.rows,
        outcomes=Outcomes.of(counts.outcomes),
        waiting=counts.waiting,
        in_doubt=counts.in_doubt,
        complete=counts.waiting + counts.in_doubt == 0,
    )


def _show_collected(found: CollectResult) -> None:
    from purgeengine.cli.output.summary_text import outcome_lines
    from purgeengine.jobs.guard_rails import numbers_in_words

    for one in found.shards:
        left = f", {number(one.left)} of them without an outcome" if one.left else ""
        when = "was collected before" if one.before else "collected"
        click.echo(f"  shard {one.number} ({printable(str(one.folder))}): {counted(one.rows, 'row')}{left}, {when}")
    counts = found.counts
    open_rows = counts.waiting + counts.in_doubt
    click.echo(
        f"{counted(counts.rows, 'row')} in {printable(str(found.head))}, {'not complete' if open_rows else 'complete'}"
    )
    for line in outcome_lines(counts.outcomes, counts.waiting, counts.in_doubt, found.action):
        click.echo(line)
    if found.cut.out:
        click.echo(f"Of {counted(found.cut.shards, 'shard')}, {numbers_in_words(found.cut.out)} not collected yet.")
