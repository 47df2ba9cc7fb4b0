"""``purgeengine inventory``: finds contacts in the tenant and writes the list that ``run`` takes. It deletes nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.connection_options import connection_options
from purgeengine.cli.options.filter_options import (
    excluded_users,
    filter_options,
    only_users,
    protected_users,
    user_filter,
)
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.hour_options import hour_options, hours_from
from purgeengine.cli.options.inventory_options import contact_options, duplicates_from, filter_from
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.options.output_file import refuse_existing
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.core.graph.operations import IdType
from purgeengine.core.graph.text import printable, well_formed
from purgeengine.errors import InputError, UsageProblem
from purgeengine.json_output.inventory_output import InventoryOutput, MailboxCounts
from purgeengine.run_limits import Limits, refuse_unusable
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.edges.inventory import StockStore
    from purgeengine.jobs.graph_endpoint import GraphEndpoint
    from purgeengine.jobs.reads.stock_taking import StockRequest, StockSummary

CONNECTIONS = 16
"""Batches in flight at once. An answer of twenty pages has some megabytes, and each connection may hold one."""
DEFAULTS = Limits()

EPILOG = """\b
Examples:
  purgeengine inventory --users users.txt --company "Fabrikam (synced)" --ledger ./found -o contacts.csv
  purgeengine inventory --all-users --folder Fabrikam --ledger ./found -o contacts.parquet
  purgeengine inventory --users users.txt --duplicates name,email --keep oldest --ledger ./twice -o twice.csv
  purgeengine inventory --group GROUP-ID --counts --ledger ./figures -o figures.csv

\b
Then:
  purgeengine plan contacts.csv

\b
Exit codes: 0 every mailbox was read; 1 some could not be read, or changed all the time (LIST.unread.csv says which);
2 wrong usage; 3 no token, or Graph refused the app; 4 stopped, give the same command again; 5 the ledger or the list
cannot be written."""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.option(
    "--users",
    type=click.Path(),
    metavar="FILE",
    multiple=True,
    help="The mailboxes: a user a line, or a CSV with a user column.",
)
@click.option("--all-users", is_flag=True, help="All users of the tenant. Needs the permission User.ReadBasic.All.")
@click.option("--group", "groups", metavar="ID", multiple=True, help="The users in this group and in groups inside it.")
@click.option(
    "--ledger", "ledger_folder", required=True, type=click.Path(), metavar="DIR", help="A folder for what was read."
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    metavar="LIST",
    help="The list to write: .csv, .csv.gz or .parquet.",
)
@click.option("--force", is_flag=True, help="Replace LIST if it exists.")
@contact_options
@click.option("--counts", is_flag=True, help="Write figures per mailbox and folder, and no contacts.")
@click.option(
    "--id-type",
    type=click.Choice([id_type.value for id_type in IdType]),
    default=IdType.DEFAULT.value,
    show_default=True,
    help="The kind of ids to list. A list of immutable ids is purged with --id-type immutable.",
)
@filter_options
@click.option("--retry-unread", is_flag=True, help="Read the mailboxes once more that could not be read.")
@connection_options
@hour_options
@click.option("--connections", type=int, default=CONNECTIONS, show_default=True, help="Most batches in flight at once.")
@click.option(
    "--rate",
    type=int,
    default=DEFAULTS.requests_per_s,
    show_default=True,
    help="Most requests a second over all mailboxes.",
)
@click.option(
    "--mailbox-requests",
    type=int,
    default=DEFAULTS.mailbox_requests,
    show_default=True,
    help="Most requests to one mailbox in --mailbox-window-s.",
)
@click.option(
    "--mailbox-window-s",
    type=float,
    default=DEFAULTS.mailbox_window_s,
    show_default=True,
    help="Length of that window in seconds.",
)
@json_option()
@click.option("--quiet", is_flag=True, help="Show no progress.")
def inventory(**options: Any) -> int:
    """Find contacts in mailboxes, and write them as a list that plan and run take. Nothing is deleted.

    The default folder and all folders inside it are read, page by page, many mailboxes at once. Filters are matched here and not by
    Graph; each row says in the column matched why it is there. A mailbox that could not be read is reported, and is a row of
    LIST.unread.csv. The same command again resumes: what was read is not read again.
    """
    from purgeengine import logs
    from purgeengine.edges.inventory import StockStore
    from purgeengine.edges.ledger.outputs.exporting import format_of
    from purgeengine.edges.paths import refuse_missing_folder
    from purgeengine.jobs.graph_endpoint import endpoint_of

    request = _request_from(options)
    format_of(request.out)
    refuse_missing_folder(request.out)
    refuse_existing(options["output"], force=options["force"], nothing="nothing was read")
    endpoint = endpoint_of(
        cloud=options["cloud"],
        graph_url=options["graph_url"],
        authority_url=options["authority"],
        ca_file=options["ca_file"],
        auth=options["auth"],
        spelling=as_flags,
    )
    logs.configure_logs(quiet=True)
    with StockStore.open(request.folder, request.about) as store:
        summary = _summary(request, store, endpoint, quiet=options["quiet"])
    told = InventoryOutput(
        command=running_command(),
        exit_code=1 if summary.unread else 0,
        ledger=well_formed(options["ledger_folder"]),
        mailboxes_by_outcome=MailboxCounts.of(summary.mailboxes),
        contacts=summary.contacts,
        listed=summary.listed,
        users_left_out=summary.left_out,
        users_named_twice=summary.named_twice,
        file=well_formed(options["output"]),
        unread_file=None if summary.unread_file is None else well_formed(str(summary.unread_file)),
    )
    _tell(told, summary, counts=request.counts)
    if options["as_json"]:
        print_output(told)
    return 1 if summary.unread else 0


def _summary(request: StockRequest, store: StockStore, endpoint: GraphEndpoint, *, quiet: bool) -> StockSummary:
    """Read what is left to be read, if anything is, and write the list."""
    from purgeengine.cli.login_guard import connect
    from purgeengine.cli.output.transient_line import clear_transient
    from purgeengine.engine.event_loop import run_loop
    from purgeengine.jobs.reads.stock_taking import take_stock, write_list

    left = not store.has_users or next(store.unfinished(), None) is not None
    some_unread = any(outcome not in ("listed", "duplicate") for outcome in store.outcomes())
    if not left and not (request.again_unread and some_unread):
        return write_list(request, store)
    tokens, _ = connect(endpoint)
    try:
        return run_loop(take_stock(request, store, tokens, endpoint, _progress(quiet=quiet)))
    finally:
        clear_transient()


def _request_from(options: Mapping[str, Any]) -> StockRequest:
    """Return what the options ask for. Raises `UsageProblem` and `InputError` for what cannot be used."""
    from purgeengine.core.graph.identifiers import is_object_id
    from purgeengine.edges.source import read_users
    from purgeengine.jobs.reads.stock_taking import StockRequest

    ways = [bool(options["users"]), options["all_users"], bool(options["groups"])]
    if sum(ways) != 1:
        raise UsageProblem("Say whose contacts to look for, in one way: --users FILE, --all-users, or --group ID.")
    for group in options["groups"]:
        if not is_object_id(group):
            raise UsageProblem(f"--group takes the object id of a group (a GUID), not {printable(group, 80)!r}.")
    users = [user for path in options["users"] for user in read_users(path)]
    patterns = [user for user in users if "*" in user]
    if patterns:
        raise InputError(
            f"{printable(patterns[0], 80)!r} in --users stands for many users, and an inventory needs the name of each. List them, "
            "or use --all-users with --only-users."
        )
    limits = {
        "connections": options["connections"],
        "requests_per_s": options["rate"],
        "mailbox_requests": options["mailbox_requests"],
        "mailbox_window_s": options["mailbox_window_s"],
    }
    refuse_unusable(limits, as_flags)
    wanted, duplicates = filter_from(options), duplicates_from(options)
    return StockRequest(
        about=_about(options, users),
        folder=Path(options["ledger_folder"]),
        out=Path(options["output"]),
        users=users,
        groups=tuple(options["groups"]),
        wanted=wanted,
        duplicates=duplicates,
        counts=options["counts"],
        who=user_filter(options),
        id_type=IdType(options["id_type"]),
        limits=Limits(**limits),
        hours=hours_from(options, time.time()),
        again_unread=options["retry_unread"],
    )


_DECIDES = (
    "folder", "folder_id", "company", "domain", "email", "category", "name", "file_as", "note", "created_before", "created_after",
    "modified_before", "modified_after", "any_kind", "unwanted", "duplicates", "keep", "counts", "id_type", "all_users", "groups",
)  # fmt: skip
"""Options that decide what is in the list."""


def _about(options: Mapping[str, Any], users: list[str]) -> dict[str, Any]:
    """Return what decides what is listed, as plain values. Files count by their content."""
    import hashlib

    from purgeengine.edges.inventory.address_file import read_addresses

    def digest(texts: list[str]) -> str:
        return hashlib.sha256("\n".join(texts).encode()).hexdigest() if texts else ""

    about = {
        name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if name in _DECIDES
    }
    about["users"] = digest(users)
    about["emails"] = digest([address for path in options["emails"] for address in read_addresses(path)])
    only = only_users(options)
    about["only_users"] = digest(only or [])
    about["exclude_users"] = digest(excluded_users(options))
    about["protected_users"] = digest(protected_users(options))
    return about


def _progress(*, quiet: bool) -> Callable[[int, int, int], None]:
    """Return a function that shows how far the reading has come: in place on a terminal, otherwise a line every few seconds."""
    from purgeengine.cli.output.transient_line import show_transient

    live = sys.stderr.isatty()
    every_s = 0.25 if live else 5.0
    told_at = time.monotonic()

    def tell(mailboxes: int, contacts: int, listed: int) -> None:
        nonlocal told_at
        if quiet or time.monotonic() - told_at < every_s:
            return
        told_at = time.monotonic()
        line = f"Read {counted(mailboxes, 'mailbox')}: {counted(contacts, 'contact')}, {number(listed)} of them for the list"
        if live:
            show_transient(line, sys.stderr)
        else:
            click.echo(line, err=True)

    return tell


def _tell(told: InventoryOutput, summary: StockSummary, *, counts: bool) -> None:
    mailboxes = told.mailboxes_by_outcome
    read = mailboxes.listed + mailboxes.changed
    what = "has the figures of" if counts else "is the list of"
    lines = [
        f"Read {counted(read, 'mailbox')} with {counted(told.contacts, 'contact')}. Nothing was deleted.",
        f"{told.file} {what} {counted(told.listed, 'contact')}.",
    ]
    for count, text in (
        (mailboxes.changed, "changed with every pass: their rows are marked in matched, and some may be missing"),
        (mailboxes.refused, "refused the app"),
        (mailboxes.exhausted, "could not be read in all attempts"),
        (mailboxes.no_mailbox, "do not exist in Exchange Online"),
        (mailboxes.duplicate, "had two names, and are listed once"),
        (told.users_left_out, "were left out by a list of users"),
        (told.users_named_twice, "were named twice"),
    ):
        if count:
            lines.append(f"{number(count):>9}  mailboxes {text}.")
    if told.unread_file is not None:
        lines.append(
            f"{told.unread_file} names the mailboxes that could not be read, or not with certainty, and says why."
        )
        if summary.unread:
            lines.append(
                "To read them once more, give the same command with --retry-unread --force, which replaces the list."
            )
    if not counts and told.listed:
        lines.append(f"Next: purgeengine plan {told.file}")
    click.echo("\n".join(lines), err=True)
