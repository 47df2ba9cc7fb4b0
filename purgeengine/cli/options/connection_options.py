"""Options that say which Graph, which login and how to sign in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from purgeengine.run_limits import CLOUDS, Auth

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def connection_options(command: Decorated) -> Decorated:
    """Add the options for the addresses of Graph and its login, the certificates to trust, and how to sign in."""
    for option in reversed(
        (
            click.option(
                "--auth",
                type=click.Choice(get_args(Auth)),
                default="auto",
                show_default=True,
                help="How to sign in. auto takes the first way that the environment offers.",
            ),
            click.option(
                "--cloud",
                type=click.Choice(list(CLOUDS)),
                help="Microsoft cloud. If left out, the cloud of --graph-url, or global.",
            ),
            click.option("--graph-url", metavar="URL", help="Root address of Graph, instead of the cloud's."),
            click.option("--authority", metavar="URL", help="Root address of the login, instead of the cloud's."),
            click.option(
                "--ca-file",
                type=click.Path(),
                metavar="PEM",
                help="File of certificates to trust for the login and Graph.",
            ),
        )
    ):
        command = option(command)
    return command
