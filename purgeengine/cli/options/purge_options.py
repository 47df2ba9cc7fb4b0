"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from purgeengine.cli.options.filter_options import filter_options
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.hour_options import hour_options
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.options.telemetry_options import telemetry_options
from purgeengine.core.graph.operations import PERMANENT, Action, IdType
from purgeengine.core.model import Outcome
from purgeengine.errors import UsageProblem
from purgeengine.run_limits import Fanout, Limits, refuse_unusable

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DEFAULTS = Limits()
FANOUTS = click.Choice(["auto", "4", "20"])


def input_arguments(command: Decorated, *, required: bool = True) -> Decorated:
    """Add ``INPUT…`` and the options that say how to read it."""
    command = understanding_options(command)
    metavar = "INPUT..." if required else "[INPUT]..."
    return click.argument("inputs", nargs=-1, required=required, metavar=metavar, type=click.Path())(command)


def understanding_options(command: Decorated) -> Decorated:
    """Add the options that say how to read an input: ``--columns``, ``--user``, ``--clean``."""
    for option in reversed(
        (
            click.option(
                "--columns",
                metavar="MAP",
                help="Which columns to read, e.g. user=Owner,contact=ItemId. Needed only if the names are unusual. "
                "folder= ignores the folder column.",
            ),
            click.option(
                "--user",
                metavar="UPN",
                help="The user of every row, for a list of one mailbox that has no user column.",
            ),
            click.option(
                "--clean",
                is_flag=True,
                help="Correct names and ids whose meaning is certain: invisible characters, SMTP: or mailto: before an address, "
                "braces around a GUID.",
            ),
        )
    ):
        command = option(command)
    return command


def deletion_options(command: Decorated) -> Decorated:
    """Add the options that say how contacts are deleted, and which kind of ids the input holds."""
    for option in reversed(
        (
            click.option(
                "--action",
                type=click.Choice([action.value for action in Action]),
                default=PERMANENT.action.value,
                show_default=True,
                help="How to delete. delete moves contacts to Deleted Items, where their users can restore them.",
            ),
            click.option(
                "--id-type",
                type=click.Choice([id_type.value for id_type in IdType]),
                default=PERMANENT.id_type.value,
                show_default=True,
                help='The kind of ids in the input. immutable: they were listed with Prefer: IdType="ImmutableId".',
            ),
        )
    ):
        command = option(command)
    return command


def staging_options(command: Decorated) -> Decorated:
    """Add the options for what is checked, left out and asked before a purge."""
    for option in reversed(
        (
            click.option("--yes", is_flag=True, help="Do not ask before purging."),
            click.option(
                "--allow-unread",
                is_flag=True,
                help="With --yes: accept an input folder in which some files cannot be read.",
            ),
            click.option(
                "--max-items",
                type=click.IntRange(min=0),
                metavar="N",
                help="Refuse the purge if more than N rows are to be purged.",
            ),
            click.option(
                "--max-items-per-mailbox",
                type=click.IntRange(min=0),
                metavar="N",
                help="Refuse the purge if more than N rows of one mailbox are to be purged.",
            ),
            filter_options,
            click.option(
                "--resolve-users",
                is_flag=True,
                help="Look up every user first, so that a mailbox with two names in the input counts as one. Needs the permission "
                "User.ReadBasic.All.",
            ),
            click.option(
                "--probe",
                type=click.IntRange(1, 100),
                metavar="N",
                help="Look at N mailboxes before anything is deleted.",
            ),
        )
    ):
        command = option(command)
    return command


def purge_options(command: Decorated, *, ledger_required: bool = True) -> Decorated:
    """Add the options of a purge: how to delete, the ledger, checks before sending, hours, and what is printed and logged."""
    command = deletion_options(command)
    for option in reversed(
        (
            click.option(
                "--ledger",
                "ledger_folder",
                required=ledger_required,
                type=click.Path(),
                help="Folder of the ledger. It is created, or resumed if it exists."
                + ("" if ledger_required else " A dry run needs none."),
            ),
            staging_options,
            click.option(
                "--max-failures",
                metavar="N|P%",
                help="Stop when more than N rows, or P% of the settled rows, have failed.",
            ),
            click.option(
                "--auto-stop/--no-auto-stop",
                default=True,
                show_default=True,
                help="Stop a run that looks wrong: many mailboxes in a row deny access, or most rows fail.",
            ),
            hour_options,
            click.option("--seed", type=int, help="Make the random choices repeatable."),
            json_option("Print the summary as one JSON object on stdout; see docs/json.md."),
            click.option(
                "--log-format",
                type=click.Choice(["console", "json"]),
                default="console",
                show_default=True,
                help="Form of the log on stderr.",
            ),
            click.option(
                "--log-file",
                type=click.Path(),
                metavar="FILE",
                help="Write every event to FILE as well, as lines of JSON. At 10 MiB it becomes FILE.1, up to FILE.5.",
            ),
            telemetry_options,
            click.option("--verbose", is_flag=True, help="Log every event, batch and row."),
            click.option("--quiet", is_flag=True, help="Show no progress, and log only warnings."),
        )
    ):
        command = option(command)
    return command


def limit_options(command: Decorated) -> Decorated:
    """Add the options that limit how fast a run sends."""
    limits = (
        ("--connections", int, DEFAULTS.connections, "Most batches in flight at once. A run begins with 16."),
        (
            "--fanout",
            FANOUTS,
            DEFAULTS.fanout,
            "Rows of one mailbox in one batch. auto finds out what the service allows.",
        ),
        ("--mailbox-requests", int, DEFAULTS.mailbox_requests, "Most requests to one mailbox in --mailbox-window-s."),
        ("--mailbox-window-s", float, DEFAULTS.mailbox_window_s, "Length of that window in seconds."),
        (
            "--rate",
            int,
            DEFAULTS.requests_per_s,
            "Most rows a second over all mailboxes. A lower rate is gentler.",
        ),
        (
            "--quarantine-s",
            float,
            DEFAULTS.quarantine_s,
            "How long after its sending a lost call may still be running and hold slots of its mailboxes: at most so many seconds.",
        ),
    )
    command = click.option(
        "--lanes/--no-lanes",
        default=DEFAULTS.lanes,
        show_default=True,
        help="Allow several serial batches (dependsOn) at once for mailboxes that would otherwise end last.",
    )(command)
    for name, kind, default, text in reversed(limits):
        command = click.option(name, type=kind, default=default, show_default=True, help=text)(command)
    return command


def limits_from(options: Mapping[str, Any], **others: Any) -> Limits:
    """Return the validated limits. Raises `UsageProblem` for a value that cannot be used."""
    fanout: Fanout = "auto" if options["fanout"] == "auto" else 4 if options["fanout"] == "4" else 20
    limits: dict[str, Any] = {
        "connections": options["connections"],
        "fanout": fanout,
        "lanes": options["lanes"],
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
    """Read ``user=Owner,contact=ItemId``. Raises `UsageProblem` for another form."""
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
    """Read ``refused,exhausted``. Raises `UsageProblem` for a word that is not an outcome."""
    from purgeengine.edges.ledger.views import selection  # not needed to answer --help

    return selection.outcomes_named(text, as_flags)
