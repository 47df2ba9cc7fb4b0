"""The identity that Azure gives a machine or a service: asked for at an endpoint beside it, through MSAL, with no secret of ours.

MSAL (seen in 1.39) finds the endpoint in ``os.environ``: App Service, Functions, Automation and Container Apps set
``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``; elsewhere it asks the instance metadata service of a virtual machine at
169.254.169.254, or wherever ``AZURE_POD_IDENTITY_AUTHORITY_HOST`` says. These endpoints speak plain http on purpose, to addresses
that never leave the machine or its own network: a token comes from there, none of ours goes there, and no proxy is asked.
Retries follow Microsoft's guidance (how-to-use-vm-token, "error handling"): 404, 410, 429 and 5xx may pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]

from purgeengine.core.foreign import printable
from purgeengine.edges.addresses import Address, platform_address
from purgeengine.edges.clock import Clock, SystemClock
from purgeengine.edges.tokens.login_http import LoginHttp
from purgeengine.edges.tokens.msal_login import MsalLogin
from purgeengine.errors import TokenError, UsageProblem

INSTANCE_METADATA = "http://169.254.169.254"
START_PATIENCE_S = 90.0
"""The instance metadata service may be away for 70 seconds while it is updated (410)."""
_TIMEOUT_S = (3.0, 20.0)
"""Until the connection stands: it is next door, or not there at all; and between pieces of the answer."""
_PASSING = frozenset({404, 410, 429})


class ManagedIdentityLogin(MsalLogin):
    """The system-assigned identity, or the user-assigned one whose ``client_id`` is given."""

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
        self._header = environment.get("IDENTITY_HEADER", "")
        self._resource = scope.removesuffix("/.default")

    @property
    def credential(self) -> str:  # type: ignore[override]
        """Which identity is asked for, and where."""
        return f"{'user-assigned' if self.client_id else 'system-assigned'}, at {self.host}"

    def _ask(self) -> Any:
        identity = (
            msal.UserAssignedManagedIdentity(client_id=self.client_id)
            if self.client_id
            else msal.SystemAssignedManagedIdentity()
        )
        # Made anew each time: it remembers tokens, refusals and busy answers.
        client = msal.ManagedIdentityClient(identity, http_client=self._http)
        return client.acquire_token_for_client(resource=self._resource)

    def _is_busy(self, status: int) -> bool:
        return status in _PASSING or super()._is_busy(status)

    def _refusal(self, answer: dict[str, Any]) -> str:
        said = str(answer.get("error_description") or answer.get("error"))
        said = printable(said.replace(self._header or "\0", "***"), 300)
        whose = (
            f"with the client id {self.client_id} of AZURE_CLIENT_ID (unset it for the machine's own)"
            if self.client_id
            else "of its own (system-assigned)"
        )
        return (
            f"{self._place[0].upper()}{self._place[1:]} refused a token: {said}. Check that this machine or service has a managed "
            f"identity {whose}, and that the identity has the application permission Contacts.ReadWrite."
        )

    def _nonsense(self, status: int | None, failure: str) -> str:
        return (
            f"{self._place[0].upper()}{self._place[1:]} answered {status or 'nothing'} and no token{failure}. "
            + self.remedy
        )


def _endpoint(environment: Mapping[str, str]) -> Address:
    """Where MSAL will ask. Raises `TokenError` for a platform whose way is not supported."""
    if "IDENTITY_ENDPOINT" in environment and "IDENTITY_HEADER" in environment:
        if "IDENTITY_SERVER_THUMBPRINT" in environment:
            raise TokenError("Managed identities of Service Fabric are not supported. Use a certificate instead.")
        return platform_address(environment["IDENTITY_ENDPOINT"], "IDENTITY_ENDPOINT")
    if "MSI_ENDPOINT" in environment and "MSI_SECRET" in environment:
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
