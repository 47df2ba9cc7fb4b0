"""The way to Graph and to its login, as the options and the environment describe it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from purgeengine.commands.clouds import cloud_of
from purgeengine.config import CLOUDS, Auth

if TYPE_CHECKING:
    from purgeengine.edges.tokens import Identity, Tokens

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Way:
    """Where Graph and its login are, whom to trust there, and how to sign in."""

    graph_url: str
    authority_url: str
    ca_file: Path | None
    cloud: str = "global"
    """A name in `CLOUDS`, or ``unknown``."""
    auth: Auth = "auto"


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


def way_from(options: Mapping[str, Any]) -> Way:
    """The way that the options describe.

    Raises `UsageProblem` for addresses that contradict each other or the cloud, for a cloud without contacts, and for a proxy or
    certificates that cannot be used: before the input is read, which may take long, and before any name is looked up.
    """
    from purgeengine.edges.addresses import address_of, graph_root, proxy_for, tls_context

    cloud = cloud_of(options)
    way = Way(
        graph_url=options["graph_url"] or cloud.graph_url,
        authority_url=options["authority"] or cloud.authority_url,
        ca_file=Path(options["ca_file"]) if options["ca_file"] else None,
        cloud=cloud.name,
        auth=options["auth"],
    )
    proxy_for(graph_root(way.graph_url))
    proxy_for(address_of(way.authority_url, "The authority URL"))
    if way.ca_file is not None:
        tls_context(way.ca_file)
    return way


def connect(way: Way) -> tuple[Tokens, Identity]:
    """Sign in as the options and the environment say, with a first token in hand: what fails, fails now. Raises `TokenError`."""
    from purgeengine.commands.purging import run_loop
    from purgeengine.commands.signals import leave_on_signal
    from purgeengine.edges.tokens import tokens_from_environment

    forbid_core_dumps()
    tokens = tokens_from_environment(
        os.environ,
        authority_url=way.authority_url,
        graph_url=way.graph_url,
        ca_file=way.ca_file,
        auth=way.auth,
        tell=lambda sentence: click.echo(sentence, err=True),
    )
    with leave_on_signal():
        run_loop(tokens.token())
    return tokens, tokens.describe()


def forbid_core_dumps() -> None:
    """Leave no image of this process behind if it crashes: it would hold the token. Windows has no such limit to set."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
