"""Signs in with the token or the credential of a request, or with what the environment offers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from purgeengine.engine.event_loop import run_loop
from purgeengine.errors import RunStopped
from purgeengine.jobs.callbacks import StopHandle, in_loop
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.words import AGAIN

if TYPE_CHECKING:
    from purgeengine.edges.login import AccessTokens, Identity
    from purgeengine.jobs.purge_request import PurgeRequest


def tokens_of(
    request: PurgeRequest,
    endpoint: GraphEndpoint,
    tell: Callable[[str], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> AccessTokens:
    """Return the source of the request's tokens. It asks for none yet. Raises `TokenError` if ``access_token`` is not a token."""
    if request.access_token is not None:
        from purgeengine.edges.login.ready import ReadyToken

        return ReadyToken(request.access_token, chosen_because="access_token was given", named="access_token")
    if request.credential is not None:
        from purgeengine.edges.login.token_credential import tokens_of_credential

        return tokens_of_credential(request.credential, endpoint.graph_url)
    return tokens_of_environment(endpoint, tell, environment)


def tokens_of_environment(
    endpoint: GraphEndpoint,
    tell: Callable[[str], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> AccessTokens:
    """Return the source of tokens that the environment variables describe: those of the process if ``environment`` is None.

    Raises `TokenError` and `UsageProblem` if they are missing or contradict each other.
    """
    from purgeengine.edges.login import tokens_from_environment

    return tokens_from_environment(
        os.environ if environment is None else environment,
        authority_url=endpoint.authority_url,
        graph_url=endpoint.graph_url,
        ca_file=endpoint.ca_file,
        auth=endpoint.auth,
        tell=tell,
    )


def sign_in(tokens: AccessTokens, stop: StopHandle | None = None) -> Identity:
    """Obtain the first token now, so that a wrong credential is found before anything else is done.

    Raises `TokenError` if there is no token to be had, and `RunStopped` if ``stop`` was used.
    """
    run_loop(tokens.token() if stop is None else _unless_stopped(tokens, stop))
    return tokens.describe()


async def _unless_stopped(tokens: AccessTokens, stop: StopHandle) -> str:
    """Wait for the token, but not after a stop: a login may hang, or wait for a person."""
    loop, token = asyncio.get_running_loop(), asyncio.ensure_future(tokens.token())
    with stop.calling(lambda reason: in_loop(loop, token.cancel)):
        try:
            return await token
        except asyncio.CancelledError:
            stop.check()
            raise RunStopped(f"The sign-in was given up. Nothing was sent. To sign in again, {AGAIN}.") from None
