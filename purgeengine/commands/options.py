"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from purgeengine.config import Fanout, Limits
from purgeengine.core.model import Outcome
from purgeengine.errors import UsageProblem

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DEFAULTS = Limits()
FANOUTS = click.Choice(["auto", "4", "20"])


def input_arguments(command: Decorated) -> Decorated:
    """``INPUT…`` and ``--columns``."""
    command = click.option(
        "--columns",
        metavar="MAP",
        help="Which columns to read, e.g. user=Owner,contact=ItemId. Needed only where the names are unusual.",
    )(command)
    return click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path())(command)


def purge_options(command: Decorated) -> Decorated:
    """Where the record goes, what must be true before anything is sent, and how it is told."""
    for option in reversed(
        (
            click.option(
                "--ledger",
                "ledger_folder",
                required=True,
                type=click.Path(),
                help="Folder of the ledger; made when new.",
            ),
            click.option("--yes", is_flag=True, help="Do not ask before purging."),
            click.option(
                "--max-items", type=click.IntRange(min=0), metavar="N", help="Refuse an input with more rows to purge."
            ),
            click.option("--max-failures", metavar="N|P%", help="Stop when more rows than this have failed."),
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
        ("--connections", int, DEFAULTS.connections, "Batches in flight at once."),
        ("--fanout", FANOUTS, DEFAULTS.fanout, "Rows of one mailbox in one batch. auto tries what the service allows."),
        ("--mailbox-requests", int, DEFAULTS.mailbox_requests, "Requests to one mailbox in a window."),
        ("--mailbox-window-s", float, DEFAULTS.mailbox_window_s, "Length of that window in seconds."),
        ("--rate", int, DEFAULTS.requests_per_s, "Requests a second over all mailboxes; less to stay gentle."),
    )
    for name, kind, default, text in reversed(limits):
        command = click.option(name, type=kind, default=default, show_default=True, help=text)(command)
    return command


def limits_from(options: Mapping[str, Any], **others: Any) -> Limits:
    """The validated limits. Raises `UsageProblem` for a value that makes no sense."""
    fanout: Fanout = "auto" if options["fanout"] == "auto" else 4 if options["fanout"] == "4" else 20
    limits = Limits(
        connections=options["connections"],
        fanout=fanout,
        mailbox_requests=options["mailbox_requests"],
        mailbox_window_s=options["mailbox_window_s"],
        requests_per_s=options["rate"],
        **others,
    )
    limits.validate()
    return limits


def column_map(text: str | None) -> dict[str, str] | None:
    """Read ``user=Owner,contact=ItemId``. Raises `UsageProblem` when it is not of that form."""
    if not text:
        return None
    columns: dict[str, str] = {}
    for pair in text.split(","):
        role, separator, name = pair.partition("=")
        if not separator or not name.strip() or role.strip() not in ("user", "folder", "contact"):
            raise UsageProblem(f"--columns takes pairs such as user=Owner,contact=ItemId; '{pair}' is not one of them.")
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
