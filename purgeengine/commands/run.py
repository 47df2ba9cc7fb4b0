"""``purgeengine run``: purge the contacts of an input, or resume doing so."""

from __future__ import annotations

from typing import Any

import click

from purgeengine.commands.connecting import connection_options
from purgeengine.commands.options import column_map, input_arguments, limit_options, limits_from, purge_options

EPILOG = """\b
Examples:
  purgeengine run contacts.csv --ledger ./cleanup
  purgeengine run exports/ --ledger ./cleanup --yes --max-failures 2% --json
  purgeengine run contacts.csv --ledger ./cleanup          (again: resumes)

\b
Credentials come from the environment: AZURE_TENANT_ID, AZURE_CLIENT_ID and one of AZURE_CLIENT_SECRET,
AZURE_CLIENT_CERTIFICATE_PATH and AZURE_FEDERATED_TOKEN_FILE; or a ready token in PURGEENGINE_ACCESS_TOKEN;
or --auth managed-identity or device-code. HTTPS_PROXY and NO_PROXY are honoured. See docs/credentials.md."""


@click.command(epilog=EPILOG)
@input_arguments
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@purge_options
@connection_options
@limit_options
def run(**options: Any) -> int:
    """Permanently delete the contacts listed in INPUT (CSV or Parquet files, or a folder of them).

    The same command again resumes: nothing that has its outcome is sent again. Ctrl-C stops in an orderly way, a second
    Ctrl-C at once; both are resumable.
    """
    columns = column_map(options["columns"])
    if options["dry_run"]:
        from purgeengine.commands.plan import show_plan

        limits = limits_from(options)
        return show_plan(options["inputs"], columns, limits, as_json=options["as_json"], max_items=options["max_items"])

    from purgeengine.commands.starting import start_purge
    from purgeengine.edges.source import open_source

    return start_purge(options, lambda: open_source(options["inputs"], columns))
