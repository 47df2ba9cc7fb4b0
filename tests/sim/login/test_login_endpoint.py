"""Tests of the simulated login: who gets a token, and which tokens are valid."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from purgeengine.errors import UsageProblem
from purgeengine.sim.login.app import App
from purgeengine.sim.login.assertions import TOKEN_LENGTH_MAX
from purgeengine.sim.login.credential_files import Issuer
from purgeengine.sim.login.login_endpoint import LoginEndpoint

APP = App()
BASE = "https://127.0.0.1:8443"
FORM = {
    "grant_type": "client_credentials",
    "client_id": APP.client_id,
    "client_secret": APP.client_secret,
    "scope": "https://graph.example/.default",
}
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def asked(
    login: LoginEndpoint,
    now: float = 0.0,
    *,
    tenant: str = APP.tenant_id,
    path: str = "oauth2/v2.0/token",
    **form: str | None,
) -> tuple[int, dict[str, object]]:
    """Ask for a token with a correct form, changed by ``form`` (None leaves a field out)."""
    fields = {name: value for name, value in {**FORM, **form}.items() if value is not None}
    answer = login.answer("POST", f"/{tenant}/{path}", fields, now, BASE)
    assert answer is not None
    return answer.status, json.loads(answer.body)


def claims_of(token: str) -> dict[str, object]:
    """Return the claims of the token."""
    return dict(jwt.decode(token, options={"verify_signature": False}))


def test_the_right_secret_gets_a_token() -> None:
    """The right secret gets a bearer token with the usual claims, which is valid until it expires."""
    login = LoginEndpoint(lifetime_s=3600)
    status, body = asked(login, 100.0)
    assert (status, body["token_type"], body["expires_in"]) == (200, "Bearer", 3600)
    token = str(body["access_token"])
    claims = claims_of(token)
    assert (claims["aud"], claims["tid"], claims["appid"]) == ("https://graph.example", APP.tenant_id, APP.client_id)
    assert claims["roles"] == ["Contacts.ReadWrite"]
    assert claims["exp"] == login.utc_at_zero_s + 100 + 3600
    assert login.accepts(token, 3699.0)
    assert not login.accepts(token, 3700.0)


def with_assertion(login: LoginEndpoint, assertion: str, now: float = 0.0) -> tuple[int, dict[str, object]]:
    """Ask with an assertion instead of the secret."""
    return asked(login, now, client_secret=None, client_assertion=assertion, client_assertion_type=ASSERTION)


@pytest.mark.parametrize(
    ("claims", "number"),
    [
        ({}, None),
        ({"iss": "https://other.example"}, 700211),
        ({"sub": "repo:other"}, 700213),
        ({"aud": "api://other"}, 700212),
    ],
)
def test_a_federated_token_must_be_the_one_that_is_trusted(claims: dict[str, str], number: int | None) -> None:
    """A federated token with another issuer, subject or audience is refused, each with its own number."""
    login = LoginEndpoint()
    token = Issuer(login).token(login.utc_s(0.0), **claims)
    status, body = with_assertion(login, token)
    assert (status, body.get("error_codes")) == ((200, None) if number is None else (401, [number]))


def test_an_assertion_that_was_tampered_with_or_has_expired_is_refused() -> None:
    """An assertion with a wrong signature, or after its time, is refused."""
    login = LoginEndpoint()
    token = Issuer(login).token(login.utc_s(0.0), 60.0)
    other = Issuer(LoginEndpoint()).token(login.utc_s(0.0), 60.0)
    assert with_assertion(login, other)[1]["error_codes"] == [700027]
    assert with_assertion(login, token, now=359.0)[0] == 200
    assert with_assertion(login, token, now=361.0)[1]["error_codes"] == [700024]


@pytest.mark.parametrize(
    ("change", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": None}, 401, "invalid_client", 7000218),
        (
            {"client_secret": None, "client_assertion": "x", "client_assertion_type": ASSERTION},
            401,
            "invalid_client",
            50027,
        ),
        ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "https://graph.example/Mail.Read"}, 400, "invalid_scope", 1002012),
        ({"scope": None}, 400, "invalid_scope", 1002012),
        ({"tenant": "elsewhere"}, 400, "invalid_tenant", 90002),
        ({"tenant": "elsewhere", "path": "v2.0/.well-known/openid-configuration"}, 400, "invalid_tenant", 90002),
    ],
)
def test_a_refusal_says_why(change: dict[str, str | None], status: int, error: str, number: int) -> None:
    """A refusal has the error, its number and a text that begins with it, as on the real service."""
    login = LoginEndpoint()
    got_status, body = asked(login, **change)  # type: ignore[arg-type]
    assert (got_status, body["error"], body["error_codes"]) == (status, error, [number])
    assert str(body["error_description"]).startswith(f"AADSTS{number}: ")
    assert APP.client_secret not in json.dumps(body)
    assert (login.issued, login.refused) == (0, 1)


@pytest.mark.parametrize("path", ["v2.0/.well-known/openid-configuration", ".well-known/openid-configuration"])
def test_the_configuration_names_the_endpoints(path: str) -> None:
    """The configuration names the endpoints on the host that was asked, at its path with and without the version."""
    status, body = asked(LoginEndpoint(), path=path)
    assert status == 200
    assert body["token_endpoint"] == f"{BASE}/{APP.tenant_id}/oauth2/v2.0/token"
    assert str(body["authorization_endpoint"]).startswith(BASE)


def test_a_path_of_somebody_else_is_left_alone() -> None:
    """The login does not answer paths of Graph."""
    assert LoginEndpoint().answer("GET", "/v1.0/users", {}, 0.0, BASE) is None


def test_the_token_endpoint_takes_posts_only() -> None:
    """The token endpoint refuses GET, because a secret must not stand in a URL."""
    answer = LoginEndpoint().answer("GET", f"/{APP.tenant_id}/oauth2/v2.0/token", FORM, 0.0, BASE)
    assert answer is not None
    assert (answer.status, json.loads(answer.body)["error"]) == (400, "invalid_request")


def test_revoking_refuses_what_was_issued_before() -> None:
    """Revoking refuses the tokens issued before, and not those issued later."""
    login = LoginEndpoint()
    before = login.issue(0.0)
    assert login.accepts(before, 1.0)
    login.revoke_all()
    after = login.issue(1.0)
    assert not login.accepts(before, 1.0)
    assert login.accepts(after, 1.0)


def test_no_two_tokens_are_alike() -> None:
    """Two tokens are never equal, so that a client can tell a renewed one from a refused one."""
    login = LoginEndpoint()
    assert login.issue(0.0) != login.issue(0.0)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "..", "ü.ü.ü", LoginEndpoint().issue(0.0)])
def test_a_token_of_somebody_else_is_refused(token: str) -> None:
    """A text that is no token, and a token of another login, are refused."""
    assert not LoginEndpoint().accepts(token, 0.0)


def test_a_tampered_token_is_refused() -> None:
    """A token with changed claims is refused, because the claims are signed."""
    login = LoginEndpoint()
    header, payload, signature = login.issue(0.0).split(".")
    forged = base64.urlsafe_b64encode(json.dumps({"exp": 9e12, "uti": "99"}).encode()).decode().rstrip("=")
    assert login.accepts(f"{header}.{payload}.{signature}", 0.0)
    assert not login.accepts(f"{header}.{forged}.{signature}", 0.0)


def test_a_token_without_a_signature_is_refused() -> None:
    """A token with ``alg: none`` and the claims of a valid one is refused, as is a valid token without its signature."""
    login = LoginEndpoint()
    good = login.issue(0.0)
    assert not login.accepts(jwt.encode(claims_of(good), "", algorithm="none"), 0.0)
    assert not login.accepts(good.rpartition(".")[0] + ".", 0.0)


@pytest.mark.parametrize(
    "assertion",
    [
        "a.b.c",
        "..",
        jwt.encode({"iss": "x" * TOKEN_LENGTH_MAX, "sub": "y"}, bytes(32), algorithm="HS256"),
        "e30." + base64.urlsafe_b64encode(b"[" * 40_000).decode().rstrip("=") + ".c2ln",
    ],
    ids=["nonsense", "empty", "long", "nested"],
)
def test_an_odd_assertion_is_malformed(assertion: str) -> None:
    """An odd, too long or deeply nested assertion is refused with the service's own number."""
    assert with_assertion(LoginEndpoint(), assertion)[1]["error_codes"] == [50027]


def test_an_assertion_without_a_signature_is_refused() -> None:
    """An assertion with ``alg: none`` and the claims of a trusted one is refused."""
    login = LoginEndpoint()
    claims = claims_of(Issuer(login).token(login.utc_s(0.0)))
    status, body = with_assertion(login, jwt.encode(claims, "", algorithm="none"))
    assert (status, body["error_codes"]) == (401, [700027])


def test_a_token_names_the_person_in_whose_name_it_was_issued() -> None:
    """A token names the person for whom it was issued; an app's own token, or a text that is no token, names nobody."""
    login = LoginEndpoint()
    assert login.user_of(login.issue(0.0, user="ann@x.example")) == "ann@x.example"
    assert login.user_of(login.issue(0.0)) is None
    assert login.user_of("no token") is None


def test_an_outage_of_the_login_ends() -> None:
    """During an outage the login answers 503 with HTML, and afterwards it gives tokens."""
    login = LoginEndpoint(outage=(10.0, 20.0))
    assert asked(login, 9.0)[0] == 200
    answer = login.answer("POST", f"/{APP.tenant_id}/oauth2/v2.0/token", FORM, 10.0, BASE)
    assert answer is not None
    assert (answer.status, answer.content_type) == (503, "text/html")
    assert asked(login, 20.0)[0] == 200


def test_a_lifetime_must_be_positive() -> None:
    """A token lifetime that is not positive is refused."""
    with pytest.raises(UsageProblem, match="lifetime"):
        LoginEndpoint(lifetime_s=0)
