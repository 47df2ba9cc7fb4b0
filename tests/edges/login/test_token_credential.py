"""A credential that the caller brings: asked for Graph's scope, renewed, and refused with a sentence where it is none."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from purgeengine.edges.login.renewing import LoginUnavailable, RenewingTokens
from purgeengine.edges.login.token_credential import CredentialLogin, tokens_of_credential
from purgeengine.errors import LoginUnreachable, TokenError
from tests.support.process_fixtures import a_jwt

SCOPE = "https://graph.microsoft.com/.default"


class Credential:
    """Gives or raises what it is told to, and remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def get_token(self, *scopes: str, **more: Any) -> Any:
        """As every credential of azure-identity."""
        self.asked.append((scopes, more))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def a_token(text: str = "opaque", expires_on: float = 4_600.0) -> Any:
    """As ``azure.core.credentials.AccessToken``."""
    return SimpleNamespace(token=text, expires_on=expires_on)


async def test_it_is_asked_for_graph_and_says_who_it_is() -> None:
    """The scope is that of the Graph address; the token's own claims tell tenant and app."""
    credential = Credential(a_token(a_jwt(), 1e11))
    tokens = tokens_of_credential(credential, "https://graph.microsoft.us/v1.0")
    await tokens.token()
    assert credential.asked == [(("https://graph.microsoft.us/.default",), {})]
    identity = tokens.describe()
    assert (identity.method, identity.tenant_id, identity.credential) == ("credential", "T", "Credential")
    assert identity.chosen_because == "credential was given"


def test_the_life_of_a_token_is_what_is_left_of_it() -> None:
    """A credential may answer with one that it has had for a while; what Graph wants of a new one is handed on."""
    credential = Credential(a_token(), a_token())
    login = CredentialLogin(credential, SCOPE, utc=lambda: 4_000.0)
    assert login.acquire().life_s == 600.0
    login.claims = '{"access_token":{}}'
    login.acquire()
    assert credential.asked[1][1] == {"claims": '{"access_token":{}}'}


def test_what_may_pass_is_tried_again_and_the_rest_is_told() -> None:
    """By the names of Azure's errors, without its package; no token that stands in an error is shown."""
    passing = type("ServiceRequestError", (Exception,), {})("name resolution failed")
    lasting = type("ClientAuthenticationError", (Exception,), {})(f"refused {a_jwt()}")
    for error in (passing, ConnectionError("reset")):
        with pytest.raises(LoginUnavailable, match="could not ask its login"):
            CredentialLogin(Credential(error), SCOPE).acquire()
    with pytest.raises(TokenError, match=r"The credential Credential gave no token: refused \(redacted\)") as told:
        CredentialLogin(Credential(lasting), SCOPE).acquire()
    assert "eyJ" not in str(told.value)


async def test_what_is_no_credential_is_refused() -> None:
    """An object without get_token, an asynchronous one, and answers that are no tokens."""
    with pytest.raises(TokenError, match="credential is a str, which has no get_token"):
        tokens_of_credential("secret", "https://graph.microsoft.com")

    async def later() -> None:
        """Never awaited."""

    with pytest.raises(TokenError, match="asynchronous"):
        CredentialLogin(Credential(later()), SCOPE).acquire()
    for answer in (None, a_token(""), a_token("a b"), SimpleNamespace(token="t"), a_token("t", "soon")):  # type: ignore[arg-type]
        with pytest.raises(TokenError, match="no token with its expiry"):
            CredentialLogin(Credential(answer), SCOPE).acquire()


async def test_a_credential_that_never_answers_is_given_up() -> None:
    """Its call hangs for good: the run is told so after a bounded time, as for a login that cannot be reached."""
    hangs = threading.Event()
    login = CredentialLogin(SimpleNamespace(get_token=lambda scope: hangs.wait()), SCOPE, answer_s_max=0.05)
    try:
        with pytest.raises(LoginUnreachable, match=r"the credential gave no answer within 0\.05 s"):
            await RenewingTokens(login, start_patience_s=0.01).token()
    finally:
        hangs.set()
