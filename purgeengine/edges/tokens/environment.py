"""Which way to sign in the environment asks for, by the names that Azure's own tools use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from purgeengine.core.foreign import printable
from purgeengine.edges.addresses import graph_root
from purgeengine.edges.tokens.identity import Tokens
from purgeengine.edges.tokens.ready import ReadyToken
from purgeengine.edges.tokens.renewing import RenewingTokens
from purgeengine.errors import TokenError

READY_TOKEN = "PURGEENGINE_ACCESS_TOKEN"  # noqa: S105 - the name of a variable
TENANT, CLIENT, SECRET = "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"
NOT_YET = {
    "AZURE_CLIENT_CERTIFICATE_PATH": "with a certificate",
    "AZURE_FEDERATED_TOKEN_FILE": "with a federated identity",
}
"""Ways to sign in that these variables ask for and that are not to be had yet. A way that is added gets a `Login` of its own."""

_TENANT_SHAPE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")


def tokens_from_environment(
    environment: Mapping[str, str], *, authority_url: str, graph_url: str, ca_file: Path | None
) -> Tokens:
    """Tokens by the first way that the environment offers: a ready token, else tenant, app and client secret.

    Nothing is asked for yet. Raises `TokenError` saying what is missing, and `UsageProblem` where an address, the proxy or the
    CA file cannot be used.
    """
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    if READY_TOKEN in given:
        return ReadyToken(given[READY_TOKEN])
    if SECRET not in given:
        _refuse_what_comes_later(given)
    missing = [name for name in (TENANT, CLIENT, SECRET) if name not in given]
    if missing:
        raise TokenError(
            f"There is no way to sign in: {_listed(missing)} {'is' if len(missing) == 1 else 'are'} not set. Set {TENANT}, "
            f"{CLIENT} and {SECRET}, or put a ready token into {READY_TOKEN}."
        )
    return _with_client_secret(given, authority_url, graph_url, ca_file)


def _with_client_secret(
    given: Mapping[str, str], authority_url: str, graph_url: str, ca_file: Path | None
) -> RenewingTokens:
    from purgeengine.edges.tokens.msal_login import MsalLogin  # takes 140 ms, which a ready token need not cost

    for name in (TENANT, CLIENT):
        if not _TENANT_SHAPE.fullmatch(given[name]):
            shown = printable(given[name], 60)
            raise TokenError(f"{name} is {shown!r}, which is no id. Copy it from the app's overview page.")
    return RenewingTokens(
        MsalLogin(
            tenant_id=given[TENANT],
            client_id=given[CLIENT],
            credential=given[SECRET],
            authority_url=authority_url,
            scope=f"{graph_root(graph_url).url}/.default",
            ca_file=ca_file,
        )
    )


def _refuse_what_comes_later(given: Mapping[str, str]) -> None:
    for name, way in NOT_YET.items():
        if name in given:
            raise TokenError(
                f"{name} is set, but purgeengine cannot sign in {way} yet. Set {SECRET} instead, or put a ready token into "
                f"{READY_TOKEN}."
            )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
