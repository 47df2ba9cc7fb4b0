"""``purgeengine demo``: purges a sample list from a simulated tenant, and compares the ledger with the tenant."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.options.request_options import OutputOptions
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.signals import keep_outcome, stop_on_signal
from purgeengine.cli.starting import display_and_whether_it_counts
from purgeengine.core.model import Outcome
from purgeengine.errors import PurgeEngineError, UsageProblem
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.run_limits import Limits
from purgeengine.words import counted

if TYPE_CHECKING:
    from purgeengine.sim.graph.tenant import Tenant

GONE_EVERY = 40
"""One contact in forty is gone before the run, as in a list that is a day old."""
LIMITS = Limits(quarantine_s=5.0)
"""The limits of the demo. The simulated service never runs a batch for longer than 5 seconds."""

EPILOG = """\b
Examples:
  purgeengine demo
  purgeengine demo --ledger ./demo-ledger      (keep the ledger, then: purgeengine status ./demo-ledger)"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.option("--ledger", "ledger_folder", type=click.Path(), metavar="DIR", help="Keep the ledger in this folder.")
@click.option("--seed", type=int, default=7, show_default=True, help="Seed of the faults. Another seed gives others.")
@json_option("Print the summary as one JSON object on stdout; see docs/json.md.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def demo(ledger_folder: str | None, seed: int, as_json: bool, quiet: bool) -> int:
    """Purge a sample list from a simulated tenant on this machine, with throttling, faults, gone contacts and closed mailboxes.

    The demo runs the code of a real run, over real HTTP and TLS. At the end it compares every row of the ledger with the tenant.
    """
    with tempfile.TemporaryDirectory(prefix="purgeengine-demo-", ignore_cleanup_errors=True) as scratch:
        folder = Path(ledger_folder) if ledger_folder else Path(scratch) / "ledger"
        kept = ledger_folder is not None
        return _demonstrate(folder, Path(scratch), seed, kept=kept, as_json=as_json, quiet=quiet)


def _demonstrate(folder: Path, scratch: Path, seed: int, *, kept: bool, as_json: bool, quiet: bool) -> int:
    from purgeengine import logs
    from purgeengine.cli.output.notices import Notices
    from purgeengine.cli.output.summary_text import show_summary
    from purgeengine.edges.source import open_source
    from purgeengine.jobs.purge_steps import purge
    from purgeengine.json_output.run_output import DemoOutput
    from purgeengine.sim.server.background_server import in_background
    from purgeengine.sim.server.http_server import SimulatedTenant

    logs.configure_logs(quiet=True, sentences=Notices().sentence)
    source = sample_input()
    rows = [row for batch in open_source([source]).batches() for row in _rows(batch)]
    tenant = _tenant(rows, seed)
    with in_background(SimulatedTenant(tenant, ca_file=scratch / "ca.pem")) as server:
        click.echo(f"Simulated tenant at {server.graph_url}: {counted(len(rows), 'contact')} in the list.", err=True)
        request = PurgeRequest(
            inputs=source,
            ledger=folder,
            graph_url=server.graph_url,
            authority_url=server.authority_url,
            ca_file=server.ca_file,
            limits=LIMITS,
            seed=seed,
            auto_stop=False,
            yes=True,
            spelling=as_flags,
        )
        show, is_shown = display_and_whether_it_counts(OutputOptions(quiet=quiet))
        callbacks = Callbacks(
            on_reading=reading_progress(quiet=quiet),
            display=show,
            stopping=partial(stop_on_signal, is_shown=is_shown),
            on_outcome=keep_outcome,
        )
        app = server.login.app
        environment = {
            "AZURE_TENANT_ID": app.tenant_id,
            "AZURE_CLIENT_ID": app.client_id,
            "AZURE_CLIENT_SECRET": app.client_secret,
        }
        summary = purge(request, callbacks, environment=environment)
    if as_json:
        compared = _compared(folder, tenant, scratch) if summary.complete else None
        exit_code = 0 if summary.complete else summary.exit_code
        fields = {**summary.output_fields(running_command()), "exit_code": exit_code}
        print_output(DemoOutput(**fields, compared_rows=compared))
        return exit_code
    show_summary(summary, as_json=False, kept=kept)
    if not summary.complete:
        return summary.exit_code
    compared = _compared(folder, tenant, scratch)
    click.echo(f"Compared with the tenant's own record: all {counted(compared, 'row')} of the ledger are true.")
    return 0


def _tenant(rows: list[tuple[str, str, str]], seed: int) -> Tenant:
    """Make the tenant: some contacts are gone, one mailbox denies the app, one has no licence, and most kinds of faults happen."""
    from purgeengine.sim.graph.faults import Faults
    from purgeengine.sim.graph.tenant import Tenant
    from purgeengine.sim.tenant_settings import TenantSettings
    from purgeengine.sim.wire.answers import Trouble

    faults = Faults(
        item_throttled_before=0.02,
        item_error_after=0.01,
        item_missing=0.005,
        call_throttled=0.02,
        call_error_before=0.02,
        reset_after=0.02,
        truncated=0.02,
        expired_token=0.01,
        bare_item=0.5,
        retry_after_s_max=2,
    )
    settings = TenantSettings(latency_median_s=0.02, overhead_s=0.02, latency_s_max=1.0, log=False)
    there = [row for number, row in enumerate(rows) if number % GONE_EVERY]
    tenant = Tenant(settings, contacts=there, faults=faults, seed=seed)
    for user, _, _ in rows:
        tenant.truth.add_mailbox(user)
    middling = [user for user, _ in Counter(user for user, _, _ in rows).most_common()][5:7]
    for user, trouble in zip(middling, (Trouble.ACCESS_POLICY, Trouble.MISSING), strict=True):
        tenant.truth.mailbox(user).trouble = trouble
    return tenant


def _compared(folder: Path, tenant: Tenant, scratch: Path) -> int:
    """Compare every row of the export with the tenant, and return the number of rows.

    Raises `PurgeEngineError` if the ledger says that a contact is gone and it still exists.
    """
    import pyarrow.parquet as pq

    from purgeengine.edges.ledger import LedgerReader, export

    out = scratch / "demo.parquet"
    with LedgerReader.open(folder) as reader:
        export(reader, out)
    table = pq.read_table(out, columns=["user", "contact", "outcome"])
    columns = [table.column(name).to_pylist() for name in ("user", "contact", "outcome")]
    wrong = [
        user
        for user, contact, outcome in zip(*columns, strict=True)
        if Outcome(outcome).is_gone and tenant.truth.exists(user, contact)
    ]
    if wrong:
        are = "is" if len(wrong) == 1 else "are"
        raise PurgeEngineError(
            f"{counted(len(wrong), 'row')} of the ledger {are} wrong. Please report this, with the seed."
        )
    return int(table.num_rows)


def _rows(batch: Any) -> Iterator[tuple[str, str, str]]:
    columns = [batch.column(name).to_pylist() for name in ("user", "folder", "contact", "reason")]
    return (
        (user, folder or "", contact) for user, folder, contact, reason in zip(*columns, strict=True) if reason is None
    )


def sample_input() -> Path:
    """Return the path of the sample list: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "sample_inputs", package.parent / "sample_inputs"):
        if (folder / "contacts.csv").is_file():
            return folder / "contacts.csv"
    raise UsageProblem("The sample input was not installed with the program; run the demo from a checkout.")
