"""Which users a purge may touch, as the options and the configuration say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from purgeengine.cli.settings import protected_by_configuration

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


def protected_users(options: Mapping[str, Any]) -> list[str]:
    """Users that are never touched: the list adds up over every source. Raises `InputError` for a file that cannot be used."""
    names, files = protected_by_configuration()
    return [*names, *_users([*files, *options["protected_users"]])]


def excluded_users(options: Mapping[str, Any]) -> list[str]:
    """Users that are left out. Raises `InputError` for a file that cannot be used, so that no guard is left out by mistake."""
    return _users(options["exclude_users"])


def only_users(options: Mapping[str, Any]) -> list[str] | None:
    """The only users that are wanted; None for all. Raises `InputError` for a file that cannot be used."""
    return _users(options["only_users"]) if options["only_users"] else None


def _users(files: Sequence[Any]) -> list[str]:
    from purgeengine.edges.source import read_users

    return [user for path in files for user in read_users(path)]
