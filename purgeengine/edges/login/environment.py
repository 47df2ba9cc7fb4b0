"""Choose how to sign in, from ``--auth`` and the variables that Azure's own tools use, and tell why.

``auto`` takes the first of these that is set. The order is that of Azure's own tools (``EnvironmentCredential``, then
workload identity), after the variable that only this program knows:

1. ``PURGEENGINE_ACCESS_TOKEN``: whoever sets it means this program. 2. ``AZURE_CLIENT_SECRET``. 3.
``AZURE_CLIENT_CERTIFICATE_PATH``. 4. ``AZURE_FEDERATED_TOKEN_FILE``.

A managed identity and a person (device code) are never a fallback: nobody named them, and a purge under an identity
that nobody meant cannot be undone. The first variable that is set decides, even if signing in with it fails.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from purgeengine.core.graph.text import printable
from purgeengine.edges.http.addresses import graph_root
from purgeengine.edges.login.credentials import ClientSecret, Credential, FederatedToken
from purgeengine.edges.login.identity import AccessTokens
from purgeengine.edges.login.ready import ReadyToken
from purgeengine.edges.login.renewing import START_PATIENCE_S, LoginMethod, RenewingTokens
from purgeengine.errors import TokenError
from purgeengine.run_limits import Auth

TENANT, CLIENT = "AZURE_TENANT_ID", "AZURE_CLIENT_ID"
NAMES: dict[Auth, str] = {
    "token": "PURGEENGINE_ACCESS_TOKEN",
    "secret": "AZURE_CLIENT_SECRET",
    "certificate": "AZURE_CLIENT_CERTIFICATE_PATH",
    "federated": "AZURE_FEDERATED_TOKEN_FILE",
}
"""The variable for each kind of sign-in, in the order of ``auto``."""

_TENANT_SHAPE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")


def tokens_from_environment(
    environment: Mapping[str, str],
    *,
    authority_url: str,
    graph_url: str,
    ca_file: Path | None,
    auth: Auth = "auto",
    tell: Callable[[str], None] | None = None,
) -> AccessTokens:
    """Return tokens by the sign-in that ``auth`` names, or by the first one that the environment offers. Nothing is sent yet.

    ``tell`` shows a person where to sign in; by default it writes to standard error. Raises `TokenError`, which says
    what is missing or cannot be used in the environment. Raises `UsageProblem` if an address, the proxy or the CA
    file cannot be used.
    """
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    endpoint, because = _chosen(auth, given)
    _require(endpoint, given, because)
    if endpoint == "token":
        return ReadyToken(given[NAMES["token"]], chosen_because=because)
    options: dict[str, Any] = {
        "client_id": given.get(CLIENT, ""),
        "scope": f"{graph_root(graph_url).url}/.default",
        "ca_file": ca_file,
    }
    patience_s = START_PATIENCE_S
    login: LoginMethod
    if endpoint == "managed-identity":
        # Importing MSAL takes 140 ms, which a ready token does not need.
        from purgeengine.edges.login.managed_identity import START_PATIENCE_S as patience_s
        from purgeengine.edges.login.managed_identity import ManagedIdentityLogin

        login = ManagedIdentityLogin(given, **options)
    else:
        options |= {"tenant_id": given[TENANT], "authority_url": authority_url}
        login = _entra_login(endpoint, given, tell, options)
    return RenewingTokens(login, start_patience_s=patience_s, chosen_because=because)


def _entra_login(
    endpoint: Auth, given: Mapping[str, str], tell: Callable[[str], None] | None, options: dict[str, Any]
) -> LoginMethod:
    if endpoint == "device-code":
        from purgeengine.edges.login.device_code import DeviceCodeLogin

        return DeviceCodeLogin(tell or _tell_on_stderr, **options)
    from purgeengine.edges.login.app_login import AppLogin

    return AppLogin(_credential(endpoint, given), **options)


def _credential(endpoint: Auth, given: Mapping[str, str]) -> Credential:
    value = given[NAMES[endpoint]]
    if endpoint == "secret":
        return ClientSecret(value)
    if endpoint == "federated":
        return FederatedToken(Path(value))
    from purgeengine.edges.login.certificate import PASSWORD, SIGNATURE, CertificateFile

    signature = given.get(SIGNATURE, "PS256")
    if signature not in ("PS256", "RS256"):
        raise TokenError(f"{SIGNATURE} must be PS256 or RS256, not {printable(signature, 40)!r}.")
    send_chain = given.get("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "").lower() in ("1", "true")
    return CertificateFile(
        Path(value),
        given.get(PASSWORD, ""),
        signature="RS256" if signature == "RS256" else "PS256",
        send_chain=send_chain,
    )


# --------------------------------------------------------------------------------------------------------------- choice


def _chosen(auth: Auth, given: Mapping[str, str]) -> tuple[Auth, str]:
    """Return the kind of sign-in, and the reason for people."""
    if auth != "auto":
        return auth, f"--auth {auth} was given"
    offered: list[Auth] = [endpoint for endpoint, name in NAMES.items() if name in given]
    if not offered:
        raise TokenError(_no_way(given))
    because = f"{NAMES[offered[0]]} is set"
    if len(offered) > 1:
        later = _listed([NAMES[endpoint] for endpoint in offered[1:]])
        because += f"; {later} {'is' if len(offered) == 2 else 'are'} set as well and come{'s' if len(offered) == 2 else ''} later"
    return offered[0], because


def _require(endpoint: Auth, given: Mapping[str, str], because: str) -> None:
    """Raise `TokenError` if something that this sign-in needs is missing, or cannot be an id."""
    needed = [] if endpoint in ("token", "managed-identity") else [TENANT, CLIENT]
    if endpoint in NAMES:
        needed.append(NAMES[endpoint])
    missing = [name for name in needed if name not in given]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise TokenError(f"{_listed(missing)} {verb} not set, which signing in by {endpoint} needs ({because}).")
    for name in (TENANT, CLIENT) if endpoint != "token" else ():
        if name in given and not _TENANT_SHAPE.fullmatch(given[name]):
            shown = printable(given[name], 60)
            raise TokenError(f"{name} is {shown!r}, which is no id. Copy it from the app's overview page.")


def _no_way(given: Mapping[str, str]) -> str:
    ids = [name for name in (TENANT, CLIENT) if name not in given]
    first = f"{_listed(ids)} and a credential" if ids else "A credential"
    hint = ""
    if "IDENTITY_ENDPOINT" in given:
        hint = " This looks like an Azure service with a managed identity, which --auth managed-identity uses."
    return (
        f"There is no way to sign in. {first} must be set: {NAMES['secret']}, {NAMES['certificate']} or {NAMES['federated']}. "
        f"Or put a ready token into {NAMES['token']}, or say --auth managed-identity or --auth device-code.{hint}"
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _tell_on_stderr(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()
