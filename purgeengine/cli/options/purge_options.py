"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from purgeengine.cli.options.filter_options import filter_options
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.hour_options import hour_options
from purgeengine.core.graph.operations import PERMANENT, Action, IdType
from purgeengine.core.model import Outcome
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import Fanout, Limits, refuse_unusable

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DEFAULTS = Limits()
FANOUTS = click.Choice(["auto", "4", "20"])


def input_arguments(command: Decorated, *, required: bool = True) -> Decorated:
    """``INPUT…`` and how it is to be understood."""
    command = understanding_options(command)
    metavar = "INPUT..." if required else "[INPUT]..."
    return click.argument("inputs", nargs=-1, required=required, metavar=metavar, type=click.Path())(command)


def understanding_options(command: Decorated) -> Decorated:
    """How an input is to be understood: ``--columns``, ``--user``, ``--clean``."""
    for option in reversed(
        (
            click.option(
                "--columns",
                metavar="MAP",
                help="Which columns to read, e.g. user=Owner,contact=ItemId. Needed only where the names are unusual; "
                "folder= leaves the folder out.",
            ),
            click.option(
                "--user", metavar="UPN", help="The user of every row, for a list of one mailbox without such a column."
            ),
            click.option(
                "--clean",
                is_flag=True,
                help="Mend names and ids where their meaning is certain: invisible characters, SMTP: or mailto: before an address, "
                "braces around a GUID.",
            ),
        )
    ):
        command = option(command)
    return command


def deletion_options(command: Decorated) -> Decorated:
    """What is done to the contacts, and by which ids they go."""
    for option in reversed(
        (
            click.option(
                "--action",
                type=click.Choice([action.value for action in Action]),
                default=PERMANENT.action.value,
                show_default=True,
                help="delete moves contacts to Deleted Items, where their users can put them back.",
            ),
            click.option(
                "--id-type",
                type=click.Choice([id_type.value for id_type in IdType]),
                default=PERMANENT.id_type.value,
                show_default=True,
                help="Which ids the input holds; immutable ones were listed with Prefer: IdType.",
            ),
        )
    ):
        command = option(command)
    return command


def purge_options(command: Decorated, *, ledger_required: bool = True) -> Decorated:
    """What is done, where the record goes, what must be true before anything is sent, when it may be, and how it is told."""
    command = deletion_options(command)
    for option in reversed(
        (
            click.option(
                "--ledger",
                "ledger_folder",
                required=ledger_required,
                type=click.Path(),
                help="Folder of the ledger; made when new." + ("" if ledger_required else " A dry run needs none."),
            ),
            click.option("--yes", is_flag=True, help="Do not ask before purging."),
            click.option(
                "--allow-unread", is_flag=True, help="With --yes: take a folder also where not all in it can be read."
            ),
            click.option(
                "--max-items", type=click.IntRange(min=0), metavar="N", help="Refuse an input with more rows to purge."
            ),
            click.option(
                "--max-items-per-mailbox",
                type=click.IntRange(min=0),
                metavar="N",
                help="Refuse an input with more rows to purge than this in any mailbox.",
            ),
            filter_options,
            click.option(
                "--resolve-users",
                is_flag=True,
                help="Look up whose names these are, so that a mailbox under two of them is one. Needs User.ReadBasic.All.",
            ),
            click.option(
                "--probe", type=click.IntRange(1, 100), metavar="N", help="Look at so many mailboxes first; reads only."
            ),
            click.option("--max-failures", metavar="N|P%", help="Stop when more rows than this have failed."),
            click.option(
                "--auto-stop/--no-auto-stop",
                default=True,
                show_default=True,
                help="Stop a run that looks wrong: denials in a row, most rows failing.",
            ),
            hour_options,
            click.option("--seed", type=int, help="Repeat the same random choices."),
            click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object on stdout."),
            click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True),
            click.option("--verbose", is_flag=True, help="Log every batch and row."),
            click.option("--quiet", is_flag=True, help="No progress, and only warnings in the log."),
        )
    ):
        command = option(command)
    return command


def limit_options(command: Decorated) -> Decorated:
    """What the scheduler must stay within."""
    limits = (
        ("--connections", int, DEFAULTS.connections, "Batches in flight at once, at most. Begins with 16."),
        ("--fanout", FANOUTS, DEFAULTS.fanout, "Rows of one mailbox in one batch. auto tries what the service allows."),
        ("--mailbox-requests", int, DEFAULTS.mailbox_requests, "Requests to one mailbox in a window."),
        ("--mailbox-window-s", float, DEFAULTS.mailbox_window_s, "Length of that window in seconds."),
        ("--rate", int, DEFAULTS.requests_per_s, "Requests a second over all mailboxes; less to stay gentle."),
        ("--quarantine-s", float, DEFAULTS.quarantine_s, "How long the service may run a call whose answer was lost."),
    )
    command = click.option(
        "--lanes/--no-lanes",
        default=DEFAULTS.serial_lanes,
        show_default=True,
        help="Serial batches (dependsOn), several at once, for mailboxes that would end last.",
    )(command)
    for name, kind, default, text in reversed(limits):
        command = click.option(name, type=kind, default=default, show_default=True, help=text)(command)
    return command


def limits_from(options: Mapping[str, Any], **others: Any) -> Limits:
    """The validated limits. Raises `UsageProblem` for a value that makes no sense."""
    fanout: Fanout = "auto" if options["fanout"] == "auto" else 4 if options["fanout"] == "4" else 20
    limits: dict[str, Any] = {
        "connections": options["connections"],
        "fanout": fanout,
        "serial_lanes": options["lanes"],
        "mailbox_requests": options["mailbox_requests"],
        "mailbox_window_s": options["mailbox_window_s"],
        "requests_per_s": options["rate"],
        "quarantine_s": options["quarantine_s"],
        "quarantine_s_min": min(DEFAULTS.quarantine_s_min, options["quarantine_s"]),
        **others,
    }
    refuse_unusable(limits, as_flags)  # before they are made, which would name them as fields
    return Limits(**limits)


def column_map(text: str | None) -> dict[str, str] | None:
    """Read ``user=Owner,contact=ItemId``. Raises `UsageProblem` when it is not of that form."""
    if not text:
        return None
    columns: dict[str, str] = {}
    for pair in text.split(","):
        role, separator, name = pair.partition("=")
        if not separator or role.strip() not in ("user", "folder", "contact"):
            raise UsageProblem(f"--columns takes pairs such as user=Owner,contact=ItemId; '{pair}' is not one of them.")
        if not name.strip() and role.strip() != "folder":
            raise UsageProblem(f"--columns has '{pair}' without a column. Only folder= may be empty.")
        columns[role.strip()] = name.strip()
    return columns


def outcomes_named(text: str) -> frozenset[Outcome]:
    """Read ``refused,exhausted``. Raises `UsageProblem` for a word that is no outcome."""
    found = set()
    for word in text.split(","):
        try:
            found.add(Outcome(word.strip().lower()))
        except ValueError:
            known = ", ".join(outcome.value for outcome in Outcome)
            raise UsageProblem(f"--only knows no outcome '{word.strip()}'; there are {known}.") from None
    return frozenset(found)
