"""Tokens of a credential that the caller brings, such as those of azure-identity: any object with ``get_token(*scopes)``.

The package is not needed: errors of Azure's core library are told by their names.
"""

from __future__ import annotations

import inspect
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from purgeengine.core.graph.redaction import told
from purgeengine.edges.http.addresses import graph_root
from purgeengine.edges.login.identity import is_token
from purgeengine.edges.login.renewing import Issued, LoginUnavailable, RenewingTokens
from purgeengine.errors import TokenError

PASSING = frozenset({"ServiceRequestError", "ServiceResponseError"})
"""Errors of ``azure.core.exceptions`` for a login that could not be reached, which may pass."""

ANSWER_S_MAX = 900.0
"""The most seconds that a credential may take for a token: as long as Entra ID accepts a device code, so that a person has time."""


class CredentialLogin:
    """Asks the credential for a token for Graph. Its text may not be trusted to hold no secret: it is redacted."""

    method = "credential"
    remedy = "Check the credential that was given, and whether its login can be reached."
    tenant_id = ""
    client_id = ""
    skew_s: float | None = None

    def __init__(
        self, credential: Any, scope: str, utc: Callable[[], float] = time.time, answer_s_max: float = ANSWER_S_MAX
    ) -> None:
        self._credential = credential
        self._scope = scope
        self._utc = utc
        self._answer_s_max = answer_s_max
        self.claims = ""
        self.credential = type(credential).__name__

    def acquire(self) -> Issued:
        """Ask the credential for a token. If Graph demanded something of the token, pass on its ``claims``."""
        wanted = {"claims": self.claims} if self.claims else {}
        try:
            found = _within(self._answer_s_max, lambda: self._credential.get_token(self._scope, **wanted))
        except LoginUnavailable:
            raise
        except Exception as error:  # whatever a credential of the caller's raises
            said = told(str(error)) or type(error).__name__
            if isinstance(error, OSError) or PASSING & {kind.__name__ for kind in type(error).__mro__}:
                raise LoginUnavailable(f"the credential could not ask its login ({said.rstrip('.')})") from error
            raise TokenError(f"The credential {self.credential} gave no token: {said.rstrip('.')}.") from error
        if inspect.isawaitable(found):
            getattr(found, "close", lambda: None)()
            raise TokenError(
                f"The credential {self.credential} is an asynchronous one. Give one whose get_token answers at once, such as "
                "those of azure.identity (not azure.identity.aio)."
            )
        token, expires_on = getattr(found, "token", None), getattr(found, "expires_on", None)
        if not isinstance(token, str) or not is_token(token) or not isinstance(expires_on, int | float):
            raise TokenError(f"The credential {self.credential} gave something that is no token with its expiry.")
        return Issued(token, expires_on - self._utc())


def _within(seconds: float, ask: Callable[[], Any]) -> Any:
    """Return what ``ask`` returns, or raise what it raises. Raises `LoginUnavailable` if it takes longer than so many seconds.

    The call that hangs stays behind in a thread that nobody has to wait for.
    """
    answers: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            found = ask()
        except BaseException as error:
            answers.put(partial(_raised, error))
        else:
            answers.put(lambda: found)

    threading.Thread(target=work, name="credential", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise LoginUnavailable(f"the credential gave no answer within {seconds:g} s", unreached=True) from None
    return answer()


def _raised(error: BaseException) -> None:
    raise error


def tokens_of_credential(credential: Any, graph_url: str) -> RenewingTokens:
    """Tokens of this credential, renewed ahead of their end. Raises `TokenError` for an object that is none."""
    if not callable(getattr(credential, "get_token", None)):
        raise TokenError(
            f"credential is a {type(credential).__name__}, which has no get_token. Give an object such as "
            "azure.identity.DefaultAzureCredential()."
        )
    scope = f"{graph_root(graph_url).url}/.default"
    return RenewingTokens(CredentialLogin(credential, scope), chosen_because="credential was given")
