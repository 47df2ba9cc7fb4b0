"""Signs in as an app: with a secret, a certificate, or the token of another issuer."""

from __future__ import annotations

from typing import Any

import msal  # type: ignore[import-untyped]

from purgeengine.edges.login.credentials import Credential, MsalForm
from purgeengine.edges.login.msal_login import EntraLogin
from purgeengine.edges.login.renewing import Issued
from purgeengine.errors import TokenError


class AppLogin(EntraLogin):
    """An app that signs in as itself, with a secret, a certificate or another issuer's token."""

    def __init__(self, credential: Credential, **options: Any) -> None:
        super().__init__(**options)
        self.method = credential.method
        self._credential = credential
        self._form: MsalForm | None = None
        self._app: Any = None

    @property
    def credential(self) -> str:  # type: ignore[override]
        """What may be shown of the credential, for people."""
        return self._credential.told

    def acquire(self) -> Issued:
        """Return a token, as `LoginMethod.acquire` does.

        If the login refuses a credential that was replaced meanwhile, try the new one.
        """
        try:
            return super().acquire()
        except TokenError:
            self._app = None  # this also drops the assertion that was signed for the refused request
            if self._form is None or self._credential.read() == self._form:
                raise
        return super().acquire()

    def _ask(self) -> Any:
        self._remembered.clear()  # MSAL keeps a refusal for a minute, and would give it as the answer to our next try
        form = self._credential.read()
        if self._app is None or form != self._form:
            self._app, self._form = None, form  # if the next line fails, the old credential must not be used again
            self._app = msal.ConfidentialClientApplication(
                self.client_id,
                client_credential=form,
                azure_region=msal.ConfidentialClientApplication.DISABLE_MSAL_FORCE_REGION,
                **self._app_options(),
            )
        self._app.remove_tokens_for_client()  # a token that Graph refused must not be returned again
        return self._app.acquire_token_for_client(scopes=[self._scope], claims_challenge=self.claims or None)

    def _secrets(self) -> tuple[str, ...]:
        return self._credential.secrets
