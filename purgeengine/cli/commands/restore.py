"""``purgeengine restore``: writes the script that brings back what a purge deleted. It sends nothing itself."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.filter_options import filter_options, user_filter
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.options.output_file import refuse_existing
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.core.graph.text import well_formed
from purgeengine.errors import UsageProblem
from purgeengine.json_output.restore_output import RestoreOutput, RestoreSource
from purgeengine.words import counted, number

ENDING = ".ps1"

EPILOG = """\b
Examples:
  purgeengine restore ./cleanup --from purges -o restore.ps1
  purgeengine restore ./cleanup ./cleanup-2 --from purges -o restore.ps1 --only-users ada.txt

\b
Then, in PowerShell, as an administrator with the role "Mailbox Import Export":
  Connect-ExchangeOnline
  .\\restore.ps1            (looks, and changes nothing)
  .\\restore.ps1 -Restore   (brings them back)"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--from", "source", type=click.Choice(get_args(RestoreSource)), required=True, help="Where the contacts are now."
)
@click.option("-o", "--output", metavar="FILE.ps1", required=True, type=click.Path(), help="The script to write.")
@click.option(
    "--name-column",
    "name_columns",
    metavar="COLUMN",
    multiple=True,
    help="A column of the list that holds the contacts' names. If left out: display_name, file_as and subject, in any spelling.",
)
@click.option("--force", is_flag=True, help="Replace FILE.ps1 if it exists.")
@filter_options
@json_option()
@click.option("--quiet", is_flag=True, help="Show no progress.")
def restore(
    folders: tuple[str, ...],
    source: RestoreSource,
    output: str,
    name_columns: tuple[str, ...],
    force: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Write a PowerShell script that brings back what the ledger in DIR deleted, from Purges of the mailboxes.

    Exchange keeps deleted contacts there for 14 days, or as long as the tenant's policies say. Graph cannot reach them, but
    an administrator of Exchange can. The script looks for exactly the ledger's mailboxes, times and names. It leaves alone
    what it cannot tell from contacts that others deleted, and lists it. This command itself sends nothing.
    """
    out = Path(output)
    if out.suffix.lower() != ENDING:
        raise UsageProblem(f"The name {output} must end in {ENDING}, so that PowerShell runs it. Nothing was written.")
    refuse_existing(output, force=force)

    from purgeengine.core.graph.operations import Action
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.restore_script import purged_rows, script_of, write_script

    with ExitStack() as stack:
        readers = [stack.enter_context(LedgerReader.open(Path(folder))) for folder in folders]
        moved = [str(reader.folder) for reader in readers if reader.about["action"] != Action.PERMANENT_DELETE]
        if moved:
            raise UsageProblem(
                f"The contacts of {moved[0]} are not in Purges: they were deleted with --action delete, and are in Deleted Items, "
                "from where their users can put them back. Nothing was written."
            )
        going_on = [str(reader.folder) for reader in readers if reader.running]
        if going_on:
            raise UsageProblem(
                f"A run is going on over {going_on[0]}, and deletes more while the script is written. Stop it with Ctrl-C first."
            )
        found = purged_rows(
            readers, user_filter(options), name_columns, reading_progress(quiet=quiet, what="the ledger")
        )
    if not found:
        whom = " of these users" if options["only_users"] or options["exclude_users"] else ""
        raise UsageProblem(
            f"No contact{whom} was deleted by {', '.join(folders)}. There is nothing to bring back, and nothing was written."
        )
    groups = found.groups()
    write_script(script_of(groups, [Path(folder) for folder in folders]), out)
    told = RestoreOutput(
        command=running_command(),
        exit_code=0,
        taken_from=source,
        ledgers=[well_formed(folder) for folder in folders],
        file=well_formed(output),
        mailboxes=len({group.user for group in groups}),
        contacts=len(found),
        in_doubt=sum(group.in_doubt for group in groups),
        without_name=sum(group.rows for group in groups if not group.names),
    )
    click.echo(_summary(told), err=True)
    if as_json:
        print_output(told)
    return 0


def _summary(told: RestoreOutput) -> str:
    lines = [
        f"{told.file} looks for {counted(told.contacts, 'contact')} of {counted(told.mailboxes, 'mailbox')}. Nothing has been "
        "restored yet."
    ]
    if told.in_doubt:
        lines.append(f"{number(told.in_doubt)} of them may not have been deleted: Graph did not answer.")
    if told.without_name:
        lines.append(
            f"{number(told.without_name)} of them have no name in the list. They come back only if nobody else deleted contacts of "
            "their mailboxes in the same minutes. Name the column with --name-column if there is one."
        )
    lines.append('Next, in PowerShell, with the role "Mailbox Import Export":')
    lines += ["  Connect-ExchangeOnline", f"  .\\{Path(told.file).name}            looks, and changes nothing"]
    lines.append(f"  .\\{Path(told.file).name} -Restore   brings them back")
    return "\n".join(lines)
