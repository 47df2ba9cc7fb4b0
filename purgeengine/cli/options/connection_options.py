"""Options that say which Graph, which login and how to sign in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from purgeengine.run_limits import CLOUDS, Auth

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def connection_options(command: Decorated) -> Decorated:
    """Which Graph, which login, whose certificates, and how to sign in."""
    for option in reversed(
        (
            click.option(
                "--auth",
                type=click.Choice(get_args(Auth)),
                default="auto",
                show_default=True,
                help="How to sign in; auto takes the first that the environment offers.",
            ),
            click.option(
                "--cloud",
                type=click.Choice(list(CLOUDS)),
                help="National cloud; global if neither this nor --graph-url says otherwise.",
            ),
            click.option("--graph-url", metavar="URL", help="Graph root, instead of the cloud's."),
            click.option("--authority", metavar="URL", help="Login root, instead of the cloud's."),
            click.option(
                "--ca-file", type=click.Path(), metavar="PEM", help="Certificates to trust for login and Graph."
            ),
        )
    ):
        command = option(command)
    return command
