"""Which users a purge may touch, as the options and the configuration say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from purgeengine.cli.settings import protected_by_configuration
from purgeengine.core.policy.filters import EXCLUDED, UserFilter, UserList
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.edges.ledger import Preview

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def filter_options(command: Decorated) -> Decorated:
    """Who is wanted, who is not, and who is never touched."""
    for name, text in (
        ("--protected-users", "Never touch the users listed in FILE; adds to those of the configuration."),
        ("--exclude-users", "Leave out the users listed in FILE."),
        ("--only-users", "Purge only from the users listed in FILE."),
    ):
        command = click.option(name, type=click.Path(), metavar="FILE", multiple=True, help=text)(command)
    return command


def filter_from(options: Mapping[str, Any]) -> UserFilter:
    """The filter that the options of `filter_options` describe; the protected list adds up over every source.

    Raises `InputError` for a list that cannot be used, so that no guard is left out by mistake.
    """
    names, files = protected_by_configuration()
    only = _users(options["only_users"])
    return UserFilter(
        protected=UserList.of([*names, *_users([*files, *options["protected_users"]])]),
        excluded=UserList.of(_users(options["exclude_users"])),
        only=UserList.of(only) if options["only_users"] else None,
    )


def _users(files: Sequence[Any]) -> list[str]:
    from purgeengine.edges.source import read_users

    return [user for path in files for user in read_users(path)]


def left_out_lines(preview: Preview, user_filter: UserFilter) -> list[str]:
    """What the filter does to this input, a sentence each; nothing where it does nothing and was not asked to."""
    lines = [
        f"{counted(rows, 'row')} in {counted(preview.mailboxes_left_out[reason], 'mailbox')} left out: {reason.message}"
        for reason, rows in preview.left_out.items()
    ]
    if preview.left_out_before:
        lines.append(
            f"{counted(preview.left_out_before, 'row')} {'stays' if preview.left_out_before == 1 else 'stay'} left out: an earlier "
            "run of this ledger was told to. What is wanted after all can be exported with --only skipped, and given to a new "
            "ledger."
        )
    for name, users, seen in (
        ("--exclude-users", user_filter.excluded, preview.excluded_seen),
        ("--only-users", user_filter.only, preview.only_seen),
    ):
        if users is None or not users:
            continue
        unknown = len(users.keys) - seen
        if unknown:
            does = "does" if unknown == 1 else "do"
            lines.append(
                f"{number(unknown)} of the {counted(len(users), 'user')} that {name} lists {does} not occur in the "
                "input."
            )
        elif users.patterns and name == "--exclude-users" and not preview.left_out[EXCLUDED]:
            lines.append("--exclude-users leaves nothing out.")
    return lines
