"""``purgeengine run``: purge the contacts of an input, or resume doing so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purgeengine.cli.inputs import opening
from purgeengine.cli.options.connection_options import connection_options
from purgeengine.cli.options.purge_options import deletion_from, input_arguments, limit_options, purge_options
from purgeengine.errors import UsageProblem

if TYPE_CHECKING:
    from purgeengine.edges.source import Source

EPILOG = """\b
Examples:
  purgeengine run contacts.csv --ledger ./cleanup
  purgeengine run exports/ --ledger ./cleanup --yes --max-failures 2% --json
  purgeengine run contacts.csv --ledger ./cleanup          (again: resumes)
  purgeengine run --ledger ./cleanup                       (the same, without the input)
  python list.py | purgeengine run - --ledger ./cleanup --exclude-users keep.txt

\b
Credentials come from the environment: AZURE_TENANT_ID, AZURE_CLIENT_ID and one of AZURE_CLIENT_SECRET,
AZURE_CLIENT_CERTIFICATE_PATH and AZURE_FEDERATED_TOKEN_FILE; or a ready token in PURGEENGINE_ACCESS_TOKEN;
or --auth managed-identity or device-code. HTTPS_PROXY and NO_PROXY are honoured. See docs/credentials.md."""


@click.command(epilog=EPILOG)
@partial(input_arguments, required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@partial(purge_options, ledger_required=False)
@connection_options
@limit_options
def run(**options: Any) -> int:
    """Permanently delete the contacts listed in INPUT (CSV, JSON or Parquet files, or a folder of them).

    The same command again resumes: nothing that has its outcome is sent again; INPUT may then be left out. Ctrl-C stops in an
    orderly way, a second Ctrl-C at once; both are resumable. INPUT may be - for standard input.
    """
    if options["ledger_folder"] is None:
        if not options["dry_run"]:
            raise UsageProblem("Name a folder for the ledger with --ledger; only a dry run (--dry-run) needs none.")
        if not options["inputs"]:
            raise UsageProblem("Name an INPUT, or give --ledger DIR to resume a ledger.")
    if not options["inputs"]:
        _refuse_nothing_to_resume(Path(options["ledger_folder"]))
        return _begin(options, lambda: None)
    with opening(options) as open_input:
        return _begin(options, lambda: open_input().needing_rows())


def _begin(options: dict[str, Any], open_input: Callable[[], Source | None]) -> int:
    deletion_from(options)  # what the cloud cannot do is refused first, of a dry run too
    if options["dry_run"]:
        from purgeengine.cli.dry_run import show_dry_run

        return show_dry_run(options, open_input)
    from purgeengine.cli.starting import start_purge

    return start_purge(options, open_input)


def _refuse_nothing_to_resume(folder: Path) -> None:
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of

    if state_of(folder) is not FolderState.STAGED:
        raise UsageProblem(f"Name an INPUT to purge: there is no ledger in {folder} that could be resumed without one.")
