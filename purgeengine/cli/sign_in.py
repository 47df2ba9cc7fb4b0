"""Signs in as the options and the environment say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from purgeengine.jobs.graph_endpoint import GraphEndpoint

if TYPE_CHECKING:
    from purgeengine.edges.login import AccessTokens, Identity


def connect(endpoint: GraphEndpoint) -> tuple[AccessTokens, Identity]:
    """Sign in as the options and the environment say, with a first token in hand: what fails, fails now. Raises `TokenError`."""
    from purgeengine.cli.signals import leave_on_signal
    from purgeengine.edges.login import tokens_from_environment
    from purgeengine.engine.event_loop import run_loop

    forbid_core_dumps()
    tokens = tokens_from_environment(
        os.environ,
        authority_url=endpoint.authority_url,
        graph_url=endpoint.graph_url,
        ca_file=endpoint.ca_file,
        auth=endpoint.auth,
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
