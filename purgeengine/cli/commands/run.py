"""``purgeengine run``: purges the contacts of an input, or resumes a purge."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.inputs import opening
from purgeengine.cli.options.connection_options import connection_options
from purgeengine.cli.options.purge_options import input_arguments, limit_options, purge_options
from purgeengine.cli.options.request_options import OutputOptions, request_from
from purgeengine.errors import UsageProblem

WORKERS_MAX = 64
"""Most worker processes. Each takes about 85 MiB, and a share of the connections."""
LOST_AFTER_MIN_MAX = 7 * 24 * 60
"""Most minutes that a disk is waited for: a week."""
EPILOG = """\b
Examples:
  purgeengine run contacts.csv --ledger ./cleanup
  purgeengine run exports/ --ledger ./cleanup --yes --max-failures 2% --json
  purgeengine run contacts.csv --ledger ./cleanup          (a second time: resumes)
  purgeengine run --ledger ./cleanup                       (resumes without the input)
  python list.py | purgeengine run - --ledger ./cleanup --exclude-users keep.txt

\b
Credentials come from the environment: AZURE_TENANT_ID, AZURE_CLIENT_ID and one of AZURE_CLIENT_SECRET,
AZURE_CLIENT_CERTIFICATE_PATH and AZURE_FEDERATED_TOKEN_FILE; or a ready token in PURGEENGINE_ACCESS_TOKEN.
Or use --auth managed-identity or device-code. HTTPS_PROXY and NO_PROXY apply. See docs/credentials.md."""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@partial(input_arguments, required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@partial(purge_options, ledger_required=False)
@click.option(
    "--workers",
    type=click.IntRange(1, WORKERS_MAX),
    metavar="N",
    help="Send from N worker processes on this machine, which share the limits. Needs the extra dask. It is not faster; see "
    "docs/several-machines.md.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Send from the workers of a Dask scheduler, tls://HOST:PORT, on other machines. --workers is then the number of shards. "
    "See docs/several-machines.md.",
)
@click.option(
    "--lost-after",
    type=click.FloatRange(0, LOST_AFTER_MIN_MAX),
    metavar="MINUTES",
    help="With --scheduler: how long to wait for a worker's disk before its open rows are run again elsewhere (20 if left out). "
    "With --workers: 0 if the folder of a shard is gone for good.",
)
@connection_options
@limit_options
def run(**options: Any) -> int:
    """Permanently delete the contacts listed in INPUT (CSV, JSON or Parquet files, or a folder of them).

    To resume, give the same command again. Rows that have their outcome are not sent again, and INPUT may be left out. Ctrl-C
    stops the run in order, a second Ctrl-C at once. Both can be resumed. INPUT may be - for standard input.
    """
    if options["ledger_folder"] is None:
        if not options["dry_run"]:
            raise UsageProblem("Name a folder for the ledger with --ledger; only a dry run (--dry-run) needs none.")
        if not options["inputs"]:
            raise UsageProblem("Name an INPUT, or give --ledger DIR to resume a ledger.")
    request, output = request_from(options, time.time()), OutputOptions.of(options)
    with opening(request) as open_input:
        if options["dry_run"]:
            from purgeengine.cli.dry_run import show_dry_run

            return show_dry_run(request, output, open_input)
        from purgeengine.cli.starting import start_purge, start_shared_purge

        if options["workers"] is not None or options["scheduler"] is not None:
            after = options["lost_after"]
            lost_after_s = None if after is None else 60.0 * after
            return start_shared_purge(
                request, output, open_input, options["workers"], options["scheduler"], lost_after_s
            )
        if options["lost_after"] is not None:
            raise UsageProblem("--lost-after is for --workers and --scheduler. Nothing was sent.")
        return start_purge(request, output, open_input)
