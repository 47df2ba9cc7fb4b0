"""``purgeengine simulate``: serves a simulated tenant (login and Graph) on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.errors import UsageProblem
from purgeengine.json_output.simulate_output import SimulateOutput

if TYPE_CHECKING:
    from purgeengine.sim.graph.tenant import Tenant
    from purgeengine.sim.login.credential_files import CredentialFiles
    from purgeengine.sim.server.http_server import SimulatedTenant

CONTACTS_MAX = 5_000_000
"""Most contacts that the tenant holds in memory. Each takes about 300 bytes."""
PEOPLE_CONTACTS = 200
"""Contacts in each mailbox of ``--people``."""
GROUP_ID = "5157a1ed-0000-4000-8000-000000000002"
"""The group in which all mailboxes of ``--people`` are."""

EPILOG = """\b
Examples:
  purgeengine simulate
  purgeengine simulate contacts.csv --port 8443 --ca-file ca.pem
  purgeengine simulate --people 50                    (mailboxes to take stock of)
  purgeengine simulate contacts.csv --faults 0.01 --seed 7 --duration-s 600 --json
  purgeengine simulate --credentials ./simulated --identity-port 0    (every way to sign in)

\b
When it is ready it prints the environment variables and options with which to use it. It listens on 127.0.0.1
only. Ctrl-C ends it."""


@click.command(epilog=EPILOG)
@click.argument("inputs", nargs=-1, metavar="[INPUT]...", type=click.Path())
@click.option(
    "--people",
    type=click.IntRange(1, CONTACTS_MAX // PEOPLE_CONTACTS),
    metavar="N",
    help=f"Make N mailboxes with {PEOPLE_CONTACTS} invented contacts each, in several folders. All are in the group {GROUP_ID}.",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="Port for the login and Graph. 0 takes a free one."
)
@click.option("--login-port", type=click.IntRange(0, 65_535), help="A second port, for the login.")
@click.option("--identity-port", type=click.IntRange(0, 65_535), help="A port for a managed identity's endpoints.")
@click.option(
    "--credentials", type=click.Path(), metavar="DIR", help="Write a certificate and a federated token to DIR."
)
@click.option(
    "--dispatch",
    type=click.Choice(["four", "all"]),
    default="four",
    show_default=True,
    help="How many sub-requests of a batch run at once.",
)
@click.option(
    "--latency-ms", type=float, default=80.0, show_default=True, help="Median time of a sub-request, in milliseconds."
)
@click.option(
    "--overhead-ms", type=float, default=60.0, show_default=True, help="Time that a call adds to them, in milliseconds."
)
@click.option(
    "--faults", type=click.FloatRange(0, 1), default=0.0, metavar="P", help="Probability of each kind of fault."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Make faults and latencies repeatable.")
@click.option(
    "--mailbox-requests",
    type=int,
    default=10_000,
    show_default=True,
    help="Most requests to a mailbox in --mailbox-window-s.",
)
@click.option(
    "--mailbox-window-s", type=float, default=600.0, show_default=True, help="Length of that window in seconds."
)
@click.option(
    "--token-lifetime-s", type=float, default=3_600.0, show_default=True, help="Lifetime of a token, in seconds."
)
@click.option(
    "--id-type",
    type=click.Choice(["default", "immutable"]),
    default="default",
    show_default=True,
    help="The kind of ids of its contacts.",
)
@click.option("--without-permission", is_flag=True, help="The app lacks Contacts.ReadWrite: every request is refused.")
@click.option(
    "--tls/--no-tls", default=True, show_default=True, help="Serve https or http. MSAL refuses a login over http."
)
@click.option("--ca-file", type=click.Path(), metavar="OUT", help="Write the certificate to trust to this file.")
@click.option("--duration-s", type=float, metavar="S", help="Stop after S seconds. If left out, at Ctrl-C.")
@json_option("Print the environment and options for it as one JSON object on stdout; see docs/json.md.")
def simulate(**options: Any) -> int:
    """Serve a simulated tenant on this machine, to try everything without harm.

    With INPUT (CSV, JSON or Parquet), the contacts listed there exist. With --people, the mailboxes user001@contoso.example and so
    on hold private contacts, leftovers of a sync tool, and duplicates. Without either, every contact of every user exists until it
    is purged.

    The server answers the login, $batch, and these requests in a batch or alone: permanentDelete and DELETE of a contact; GET of
    contacts, contact folders, users, the users of a group and the organization, in pages. It answers anything else with 501 and a
    sentence.
    """
    if options["duration_s"] is not None and options["duration_s"] <= 0:
        raise UsageProblem(f"--duration-s must be greater than zero, not {options['duration_s']:g}.")
    server = _server(options)
    files = _write_credentials(server, options["credentials"]) if options["credentials"] else None
    asyncio.run(_serve(server, options["duration_s"], files, as_json=options["as_json"]))
    return 0


def _server(options: dict[str, Any]) -> SimulatedTenant:
    """Make the server that the options describe. Raises `UsageProblem` for a value or an input that cannot be used."""
    from purgeengine.sim.graph.faults import Faults
    from purgeengine.sim.graph.tenant import Tenant
    from purgeengine.sim.login.login_endpoint import LoginEndpoint
    from purgeengine.sim.server.http_server import SimulatedTenant
    from purgeengine.sim.tenant_settings import TenantSettings

    settings = TenantSettings(
        mailbox_requests=options["mailbox_requests"],
        mailbox_window_s=options["mailbox_window_s"],
        dispatch=options["dispatch"],
        latency_median_s=options["latency_ms"] / 1000,
        overhead_s=options["overhead_ms"] / 1000,
        anything_exists=not options["inputs"] and not options["people"],
        immutable_ids=options["id_type"] == "immutable",
        log=False,
    )
    tenant = Tenant(
        settings, contacts=_rows(options["inputs"]), faults=Faults.everything(options["faults"]), seed=options["seed"]
    )
    if options["people"]:
        _fill(tenant, options["people"], options["seed"])
    tenant.set_app_denied(options["without_permission"])
    return SimulatedTenant(
        tenant,
        LoginEndpoint(lifetime_s=options["token_lifetime_s"]),
        port=options["port"],
        login_port=options["login_port"],
        identity_port=options["identity_port"],
        tls=options["tls"],
        ca_file=Path(options["ca_file"]) if options["ca_file"] else None,
    )


def _fill(tenant: Tenant, mailboxes: int, seed: int) -> None:
    """Add mailboxes with invented people, and a group of all of them."""
    from purgeengine.sim.graph.made_up_people import MadeUpPeople

    people = MadeUpPeople(seed)
    users = [f"user{number:03}@contoso.example" for number in range(1, mailboxes + 1)]
    for user in users:
        people.fill(tenant.truth, user, PEOPLE_CONTACTS)
    tenant.truth.add_group(GROUP_ID, users)


def _rows(inputs: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Return the valid rows of the inputs. Raises `UsageProblem` if they are more than `CONTACTS_MAX`."""
    if not inputs:
        return
    from purgeengine.edges.source import open_source

    count = 0
    for batch in open_source(inputs).batches():
        columns = [batch.column(name).to_pylist() for name in ("user", "folder", "contact", "reason")]
        for user, folder, contact, reason in zip(*columns, strict=True):
            if reason is None:
                count += 1
                yield user, folder or "", contact
        if count > CONTACTS_MAX:
            raise UsageProblem(
                f"The input holds more than {CONTACTS_MAX:,} contacts, too many to simulate in memory. Start simulate without "
                "INPUT: then every contact exists."
            )


def _write_credentials(server: SimulatedTenant, folder: str) -> CredentialFiles:
    from purgeengine.sim.login.credential_files import write_credentials

    return write_credentials(Path(folder).resolve(), server.login, time.time())


async def _serve(
    server: SimulatedTenant, duration_s: float | None, files: CredentialFiles | None, *, as_json: bool
) -> None:
    """Listen until a signal or the end of the duration, then print what was counted."""
    from purgeengine.cli.signals import stop_on_signal

    stopped = asyncio.Event()
    async with server:
        with stop_on_signal(lambda _: stopped.set(), lambda: None, "Stopping the simulated tenant."):
            if as_json:
                print_output(_output(server, files))
            else:
                click.echo(_as_shell(server, files))
                click.echo(f"Listening on {server.graph_url} until Ctrl-C.", err=True)
            try:
                async with asyncio.timeout(duration_s):
                    await stopped.wait()
            except TimeoutError:
                click.echo(f"Stopped after {duration_s:g} s.", err=True)
    counted = server.tenant.summary() | {"tokens_issued": server.login.issued}
    click.echo(", ".join(f"{name} {count:,}" for name, count in counted.items() if count or name in _ALWAYS), err=True)
    for violation in server.tenant.violations[:10]:
        click.echo(f"Violation in {violation}", err=True)


_ALWAYS = ("calls", "requests", "purged")


def _environment(server: SimulatedTenant) -> dict[str, str]:
    app = server.login.app
    return {
        "AZURE_TENANT_ID": app.tenant_id,
        "AZURE_CLIENT_ID": app.client_id,
        "AZURE_CLIENT_SECRET": app.client_secret,
    }


def _other_ways(server: SimulatedTenant, files: CredentialFiles | None) -> dict[str, dict[str, str]]:
    """Return the environment variables for each way to sign in except the secret, by its name for ``--auth``."""
    ways: dict[str, dict[str, str]] = {"device-code": {}}
    if files is not None:
        from purgeengine.sim.login.credential_files import PFX_PASSWORD

        ways["certificate"] = {
            "AZURE_CLIENT_CERTIFICATE_PATH": str(files.pfx),
            "AZURE_CLIENT_CERTIFICATE_PASSWORD": PFX_PASSWORD,
        }
        ways["federated"] = {"AZURE_FEDERATED_TOKEN_FILE": str(files.federated_token)}
    if server.identity_url:
        from purgeengine.sim.login.identity_endpoints import SERVICE_PATH

        ways["managed-identity"] = {
            "IDENTITY_ENDPOINT": server.identity_url + SERVICE_PATH,
            "IDENTITY_HEADER": server.identity.header,
        }
    return ways


def _output(server: SimulatedTenant, files: CredentialFiles | None) -> SimulateOutput:
    app = server.login.app
    return SimulateOutput(
        command=running_command(),
        graph_url=server.graph_url,
        authority_url=server.authority_url,
        ca_file=str(server.ca_file) if server.ca_file else None,
        tenant_id=app.tenant_id,
        client_id=app.client_id,
        client_secret=app.client_secret,
        other_ways=_other_ways(server, files),
    )


def _as_shell(server: SimulatedTenant, files: CredentialFiles | None) -> str:
    """Return lines to paste into bash and PowerShell. Each quotes a path with single quotes, in its own way."""
    options = f"--graph-url {server.graph_url} --authority {server.authority_url}"
    bash_path = powershell_path = ""
    if server.ca_file:
        bash_path = " --ca-file '" + str(server.ca_file).replace("'", "'\\''") + "'"
        powershell_path = " --ca-file '" + str(server.ca_file).replace("'", "''") + "'"
    command = "purgeengine run contacts.csv --ledger ./simulated-ledger"
    environment = _environment(server).items()
    return "\n".join(
        (
            "# bash",
            *(f"export {name}='{value}'" for name, value in environment),
            f"{command} {options}{bash_path}",
            "",
            "# PowerShell",
            *(f"$env:{name} = '{value}'" for name, value in environment),
            f"{command} {options}{powershell_path}",
            "",
            "# Other ways to sign in, with what they need besides tenant and client id",
            *(
                f"#   --auth {endpoint}  {' '.join(f'{name}={value}' for name, value in needed.items())}".rstrip()
                for endpoint, needed in _other_ways(server, files).items()
            ),
        )
    )
