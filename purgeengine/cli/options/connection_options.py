"""Options that say which Graph, which login and how to sign in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from purgeengine.cli.options.clouds import cloud_of
from purgeengine.jobs.graph_endpoint import GraphEndpoint
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


def endpoint_from(options: Mapping[str, Any]) -> GraphEndpoint:
    """The way that the options describe.

    Raises `UsageProblem` for addresses that contradict each other or the cloud, for a cloud without contacts, and for a proxy or
    certificates that cannot be used: before the input is read, which may take long, and before any name is looked up.
    """
    from purgeengine.edges.http.addresses import address_of, graph_root, proxy_for
    from purgeengine.edges.http.tls import tls_context

    cloud = cloud_of(options)
    endpoint = GraphEndpoint(
        graph_url=options["graph_url"] or cloud.graph_url,
        authority_url=options["authority"] or cloud.authority_url,
        ca_file=Path(options["ca_file"]) if options["ca_file"] else None,
        cloud=cloud.name,
        auth=options["auth"],
    )
    proxy_for(graph_root(endpoint.graph_url))
    proxy_for(address_of(endpoint.authority_url, "The authority URL"))
    if endpoint.ca_file is not None:
        tls_context(endpoint.ca_file)
    return endpoint
