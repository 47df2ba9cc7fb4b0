"""The device code flow, through MSAL: a person signs in with a browser on any device, and we act in that person's name.

Nothing here waits. While the person has not signed in, each `acquire` asks once and raises `LoginPending`, so that
the caller's wait can be interrupted. Later tokens need no person: MSAL holds a refresh token in memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msal  # type: ignore[import-untyped]

from purgeengine.core.graph.claims_challenge import in_words
from purgeengine.edges.login.identity import is_token
from purgeengine.edges.login.msal_login import EntraLogin
from purgeengine.edges.login.renewing import Issued, LoginPending
from purgeengine.errors import TokenError
from purgeengine.words import duration

_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]{1,100}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._-]{0,40}){0,5}")
"""The address that a person is sent to. Only a short one is accepted; Entra ID's is https://microsoft.com/devicelogin."""
_CODE = re.compile(r"[A-Za-z0-9-]{1,20}")
"""The code that a person types. Entra ID's codes have nine characters."""
CODE_S_MAX = 900.0
"""Longest time in seconds that a code is waited for. Entra ID's codes are valid for 15 minutes."""
_WANTS_THE_PERSON = ("interaction_required", "invalid_grant", "login_required", "consent_required")
_PENDING = ("authorization_pending", "slow_down")


class DeviceCodeLogin(EntraLogin):
    """A delegated sign-in. ``tell`` shows a person the sentence with the address and the code."""

    method = "device code"

    def __init__(self, tell: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self._tell = tell
        self._app: Any = None
        self._flow: dict[str, Any] | None = None
        self._flow_ends_at = 0.0
        self._signed_in = False

    def acquire(self) -> Issued:
        """Return a token, as `LoginMethod.acquire` does. Raises `LoginPending` while a person has not signed in yet."""
        issued = super().acquire()
        self._flow, self._signed_in = None, True
        return issued

    def _ask(self) -> Any:
        self._remembered.clear()
        if self._app is None:
            self._app = msal.PublicClientApplication(self.client_id, **self._app_options())
        if self._signed_in:
            return self._refreshed()
        if self._flow is None:
            return self._begin()
        if self._clock.monotonic() > self._flow_ends_at:
            self._flow = None
            raise TokenError("Nobody signed in with the code in time. Give the same command again for a new code.")
        answer = self._app.acquire_token_by_device_flow(self._flow, exit_condition=lambda _: True)
        if isinstance(answer, dict) and answer.get("error") in _PENDING:
            raise LoginPending(self._flow["interval"])
        return answer

    def _begin(self) -> Any:
        """Get a code, show it and raise `LoginPending`. Return only if the login gave no code: then its error."""
        flow = self._app.initiate_device_flow(scopes=[self._scope])
        where, code = flow.get("verification_uri"), flow.get("user_code")
        if (
            not is_token(str(flow.get("device_code") or ""))
            or not (isinstance(where, str) and _ADDRESS.fullmatch(where))
            or not (isinstance(code, str) and _CODE.fullmatch(code))
        ):
            return {"error": flow.get("error"), "error_description": flow.get("error_description")}
        # MSAL would ask without end at an interval of 0, and a person needs some seconds in any case.
        flow["interval"] = min(max(flow["interval"], 1), 60)
        good_for_s = min(max(flow["expires_in"], 1), CODE_S_MAX)
        self._flow, self._flow_ends_at = flow, self._clock.monotonic() + good_for_s
        self._tell(
            f"To sign in, open {where} in a browser on any device and enter the code {code}. It is good for "
            f"{duration(good_for_s)}. Everything is then done in the name of whoever signs in."
        )
        raise LoginPending(flow["interval"])

    def _refreshed(self) -> Any:
        accounts = self._app.get_accounts()
        answer = accounts and self._app.acquire_token_silent_with_error(
            [self._scope], account=accounts[0], force_refresh=True, claims_challenge=self.claims or None
        )
        if self.claims and isinstance(answer, dict) and answer.get("error") in _WANTS_THE_PERSON:
            raise TokenError(
                f"Graph wants a new sign-in (continuous access evaluation: {in_words('', self.claims)}). Give the same command "
                "again, and sign in once more."
            )
        if not answer:
            raise TokenError(
                "The sign-in has ended and cannot be renewed. Give the same command again, and sign in once more."
            )
        return answer

    def _refusal(self, answer: dict[str, Any]) -> str:
        sentence = super()._refusal(answer)
        self._flow = None  # a refused code stays refused
        return sentence

    def _secrets(self) -> tuple[str, ...]:
        return (str(self._flow["device_code"]),) if self._flow else ()
