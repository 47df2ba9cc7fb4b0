"""Tests of refusals by the login: each becomes a sentence with a remedy."""

from __future__ import annotations

import pytest

from purgeengine.edges.login.refusals import REMEDIES_BY_NUMBER, refusal_sentence, will_pass


def sentence(number: int, error: str = "invalid_client", text: str = "Something.", **secrets: tuple[str, ...]) -> str:
    """Return the sentence about a refusal with this number."""
    answer = {"error": error, "error_description": f"AADSTS{number}: {text} Trace ID: 1"}
    return refusal_sentence(answer, host="login.example", tenant="contoso", client="app-1", **secrets)


@pytest.mark.parametrize("number", sorted(REMEDIES_BY_NUMBER))
def test_every_number_has_a_whole_sentence(number: int) -> None:
    """Every known number has a complete sentence: it names the number, has no unfilled placeholder and ends with a full stop."""
    said = sentence(number)
    assert said.startswith(f"The login at login.example refused a token (AADSTS{number}, invalid_client): ")
    assert said.endswith(".")
    assert "{" not in said
    assert len(said) < 400
    assert will_pass({"error": "invalid_client", "error_description": f"AADSTS{number}: x"}) is False


@pytest.mark.parametrize(
    ("numbers", "remedy"),
    [
        ((7000222,), "Make a new one for the app and set AZURE_CLIENT_SECRET"),
        ((7000215,), "to the secret's value, not to its id"),
        ((90002, 900021), "the tenant contoso is not known at login.example. Check AZURE_TENANT_ID and --cloud"),
        ((700016,), "the app app-1 is not known in tenant contoso"),
        ((65001, 90094), "must grant Contacts.ReadWrite to it, with admin consent"),
        ((53003, 530032), "Conditional Access policy blocks"),
        ((50074, 50076, 50079, 53004), "multifactor authentication"),
        ((53000, 53001, 530003), "wants a managed device"),
        ((700027,), "Register it for the app app-1"),
        ((700024,), "Check this machine's clock"),
        ((70021, 700211, 700212, 700213), "Compare its issuer, subject and audience"),
        ((700211,), "no federated credential for this token's issuer"),
        ((70018, 70019, 70020), "Give the same command again for a new one"),
        ((50173, 700082, 70043), "sign in once more"),
        ((50057,), "the account is disabled"),
        ((7000218,), "allow public client flows"),
        ((500021,), "tenant restrictions"),
    ],
)
def test_the_remedy_fits_the_number(numbers: tuple[int, ...], remedy: str) -> None:
    """The sentence tells the administrator the remedy that fits the number."""
    for number in numbers:
        assert remedy in sentence(number)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("invalid_client", "credential is not accepted"),
        ("expired_token", "code has expired"),
        ("authorization_declined", "declined"),
        ("consent_required", "nobody has consented"),
    ],
)
def test_an_unknown_number_is_told_by_its_error(error: str, remedy: str) -> None:
    """A refusal with an unknown number gets a remedy by its error name, because there are thousands of numbers and few errors."""
    assert remedy in sentence(1, error)


def test_its_own_words_are_shown_without_secrets() -> None:
    """A refusal with an unknown number and error is quoted without secrets and control characters."""
    said = sentence(1, "odd", "The value hunter2 is\x1b[2J odd.", secrets=("hunter2",))
    assert said == "The login at login.example refused a token (AADSTS1, odd): The value (redacted) is\ufffd[2J odd."


def test_what_looks_like_a_token_is_not_repeated() -> None:
    """A refusal that contains a JWT is shown without it, even if the JWT is not ours."""
    assert "eyJ" not in sentence(1, "odd", "The assertion eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczov.zAfwx4RL is odd.")


@pytest.mark.parametrize("number", [90033, 90006, 50196])
def test_some_refusals_pass(number: int) -> None:
    """A refusal with one of three numbers counts as an outage, because the login's own trouble caused it."""
    assert will_pass({"error": "invalid_request", "error_description": f"AADSTS{number}: x"})
