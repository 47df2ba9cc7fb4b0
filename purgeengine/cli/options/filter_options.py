"""Options that say which users a purge may touch. The configuration can add protected users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from purgeengine.cli.settings import protected_by_configuration

if TYPE_CHECKING:
    from purgeengine.core.policy.filters import UserFilter

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def filter_options(command: Decorated) -> Decorated:
    """Add ``--only-users``, ``--exclude-users`` and ``--protected-users``."""
    for name, text in (
        ("--protected-users", "Never touch the users listed in FILE. They are added to those of the configuration."),
        ("--exclude-users", "Leave out the users listed in FILE."),
        ("--only-users", "Only the users listed in FILE."),
    ):
        command = click.option(name, type=click.Path(), metavar="FILE", multiple=True, help=text)(command)
    return command


def protected_users(options: Mapping[str, Any]) -> list[str]:
    """Return the users that are never touched, from all sources together. Raises `InputError` for a file that cannot be used."""
    names, files = protected_by_configuration()
    return [*names, *_users([*files, *options["protected_users"]])]


def excluded_users(options: Mapping[str, Any]) -> list[str]:
    """Return the users to leave out. Raises `InputError` for a file that cannot be used, so that no filter is lost by mistake."""
    return _users(options["exclude_users"])


def only_users(options: Mapping[str, Any]) -> list[str] | None:
    """Return the only users to purge from. None means all. Raises `InputError` for a file that cannot be used."""
    return _users(options["only_users"]) if options["only_users"] else None


def user_filter(options: Mapping[str, Any]) -> UserFilter:
    """Return the filter of all three lists. Raises `InputError` for a file that cannot be used."""
    from purgeengine.core.policy.filters import UserFilter, UserList  # not needed to answer --help

    only = only_users(options)
    return UserFilter(
        protected=UserList.of(protected_users(options)),
        excluded=UserList.of(excluded_users(options)),
        only=None if only is None else UserList.of(only),
    )


def _users(files: Sequence[Any]) -> list[str]:
    from purgeengine.edges.source import read_users

    return [user for path in files for user in read_users(path)]
