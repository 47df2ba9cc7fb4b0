"""Managed identities: the identity that Azure gives a machine or service.

A local endpoint issues its tokens, without a secret of ours.

MSAL (seen in 1.39) finds the endpoint in ``os.environ``: App Service, Functions, Automation and Container Apps set
``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``. Elsewhere it asks the instance metadata service of a virtual machine at
169.254.169.254, or at ``AZURE_POD_IDENTITY_AUTHORITY_HOST``. Service Fabric and Cloud Shell are asked in `platforms`.

These endpoints use plain http on purpose (except Service Fabric's), at addresses that never leave the machine or its
own network. A token comes from there, none of ours goes there, and no proxy is used. Retries follow Microsoft's
guidance (how-to-use-vm-token, "error handling"): 404, 410, 429 and 5xx are temporary.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]

from purgeengine.core.graph.redaction import told, told_name
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.http.addresses import Address, platform_address
from purgeengine.edges.login.login_http import LoginHttp
from purgeengine.edges.login.msal_login import MsalLogin
from purgeengine.edges.login.platforms import (
    ask_cloud_shell,
    ask_service_fabric,
    is_cloud_shell,
    is_service_fabric,
    trust_service_fabric,
)
from purgeengine.edges.login.renewing import Issued
from purgeengine.engine.ports import Clock
from purgeengine.errors import TokenError, UsageProblem

INSTANCE_METADATA = "http://169.254.169.254"
START_PATIENCE_S = 90.0
"""Seconds that the first token is tried for.

The instance metadata service may be away for 70 seconds during an update (410).
"""
_TIMEOUT_S = (3.0, 20.0)
"""Seconds until the connection stands (the endpoint is near, or not there at all), and between pieces of the answer."""
_PASSING = frozenset({404, 410, 429})


class ManagedIdentityLogin(MsalLogin):
    """The system-assigned identity, or the user-assigned one with the given ``client_id``."""

    method = "managed identity"
    remedy = "Is this an Azure machine or service with a managed identity?"

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        client_id: str,
        scope: str,
        ca_file: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        address = _endpoint(environment)
        clock = clock or SystemClock()
        http = LoginHttp(address, clock=clock, ca_file=ca_file, allowed=_is_on_platform, timeout_s=_TIMEOUT_S)
        place = f"the managed identity endpoint at {address.host}"
        super().__init__(http, place, tenant_id="", client_id=client_id, clock=clock)
        self.host = address.host
        self._environment = environment
        self._on_fabric, self._in_cloud_shell = is_service_fabric(environment), is_cloud_shell(environment)
        if self._on_fabric:
            trust_service_fabric(http, environment["IDENTITY_SERVER_THUMBPRINT"])
        if client_id and (self._on_fabric or self._in_cloud_shell):
            where, whose = ("Service Fabric", "the application's") if self._on_fabric else ("Cloud Shell", "a person's")
            raise TokenError(
                f"AZURE_CLIENT_ID names a user-assigned identity, and {where} gives no choice: the identity is {whose}. Unset "
                "AZURE_CLIENT_ID, or sign in by another way with --auth."
            )
        self._issued = ""
        self._resource = scope.removesuffix("/.default")

    @property
    def credential(self) -> str:  # type: ignore[override]
        """Which identity is asked for, and where."""
        if self._in_cloud_shell:
            return f"whoever signed in to Cloud Shell, at {self.host}"
        return f"{'user-assigned' if self.client_id else 'system-assigned'}, at {self.host}"

    def acquire(self) -> Issued:
        """Return a token, as `LoginMethod.acquire` does."""
        issued = super().acquire()
        self._issued = issued.token
        return issued

    def _ask(self) -> Any:
        if self._on_fabric:
            refused = self._issued if self.claims else ""
            return ask_service_fabric(self._http, self._environment, self._resource, refused_token=refused)
        if self._in_cloud_shell:
            return ask_cloud_shell(self._http, self._environment, self._resource)
        identity = (
            msal.UserAssignedManagedIdentity(client_id=self.client_id)
            if self.client_id
            else msal.SystemAssignedManagedIdentity()
        )
        # The client is made again each time, because it remembers tokens, refusals and busy answers.
        client = msal.ManagedIdentityClient(identity, http_client=self._http)
        return client.acquire_token_for_client(resource=self._resource, claims_challenge=self.claims or None)

    def _is_busy(self, status: int) -> bool:
        return status in _PASSING or super()._is_busy(status)

    def _refusal(self, answer: dict[str, Any]) -> str:
        said = told(answer.get("error_description"), secrets=self._secrets()) or told_name(answer.get("error"))
        whose = (
            f"with the client id {self.client_id} of AZURE_CLIENT_ID (unset it for the machine's own)"
            if self.client_id
            else "of its own (system-assigned)"
        )
        return (
            f"{self._place[0].upper()}{self._place[1:]} refused a token: {(said or 'no reason given').rstrip('.')}. Check that "
            f"this machine or service has a managed identity {whose}, and that the identity has the application permission "
            "Contacts.ReadWrite."
        )

    def _secrets(self) -> tuple[str, ...]:
        names = ("IDENTITY_HEADER", "MSI_SECRET")
        return tuple(self._environment[name] for name in names if self._environment.get(name))

    def _nonsense(self, said: str, failure: str) -> str:
        return f"{self._place[0].upper()}{self._place[1:]} answered {said}{failure}. {self.remedy}"


def _endpoint(environment: Mapping[str, str]) -> Address:
    """Return the address of the endpoint.

    Raises `TokenError` or `UsageProblem` for an address that the platform cannot have.
    """
    if "IDENTITY_ENDPOINT" in environment and "IDENTITY_HEADER" in environment:
        if is_service_fabric(environment) and not environment["IDENTITY_ENDPOINT"].lower().startswith("https://"):
            raise TokenError(
                "IDENTITY_ENDPOINT of Service Fabric must begin with https://. Check it. Nothing was sent."
            )
        return platform_address(environment["IDENTITY_ENDPOINT"], "IDENTITY_ENDPOINT")
    if is_cloud_shell(environment) or ("MSI_ENDPOINT" in environment and "MSI_SECRET" in environment):
        return platform_address(environment["MSI_ENDPOINT"], "MSI_ENDPOINT")
    if "IDENTITY_ENDPOINT" in environment and "IMDS_ENDPOINT" in environment:
        return platform_address(environment["IDENTITY_ENDPOINT"], "IDENTITY_ENDPOINT")
    other = environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST")
    return platform_address(other or INSTANCE_METADATA, "AZURE_POD_IDENTITY_AUTHORITY_HOST")


def _is_on_platform(url: str) -> bool:
    try:
        platform_address(url.partition("?")[0], "The managed identity endpoint")
    except UsageProblem:
        return False
    return True
