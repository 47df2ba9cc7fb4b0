"""Signs in on the command line. A signal meanwhile ends the process, and a crash leaves no core dump with the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purgeengine.cli.terminal import tell_aside
from purgeengine.jobs.graph_endpoint import GraphEndpoint

if TYPE_CHECKING:
    from purgeengine.edges.login import AccessTokens, Identity


def connect(endpoint: GraphEndpoint) -> tuple[AccessTokens, Identity]:
    """Sign in with what the environment offers, and obtain the first token. Raises `TokenError`.

    A login that cannot be reached is not asked again: a person waits, who is told the cause at once.
    """
    from purgeengine.cli.signals import leave_on_signal
    from purgeengine.edges.login.renewing import RenewingTokens
    from purgeengine.jobs.sign_in import sign_in, tokens_of_environment

    forbid_core_dumps()
    tokens = tokens_of_environment(endpoint, tell_aside)
    if isinstance(tokens, RenewingTokens):
        tokens.give_up_unreached()
    with leave_on_signal():
        return tokens, sign_in(tokens)


def forbid_core_dumps() -> None:
    """Switch off core dumps, because one would hold the token. Windows has no such limit."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
