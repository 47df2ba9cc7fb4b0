"""Claims challenges are read in every spelling that is seen, and said in words; nonsense is none."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from purgeengine.core.graph.claims_challenge import CLAIMS_LENGTH_MAX, claims_of, in_words

CLAIMS = {"access_token": {"nbf": {"essential": True, "value": "1604106651"}, "x": {"value": "???>>>"}}}
TEXT = json.dumps(CLAIMS)
STANDARD = base64.b64encode(TEXT.encode()).decode()
URL_SAFE = base64.urlsafe_b64encode(TEXT.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        f'Bearer realm="", error="insufficient_claims", claims="{STANDARD}"',
        f'Bearer realm="", error="insufficient_claims", claims="{STANDARD.rstrip("=")}"',
        f'bearer claims="{URL_SAFE}", error="insufficient_claims"',
        f'Bearer Claims = "{URL_SAFE.rstrip("=")}"',
        f"Bearer claims={STANDARD.rstrip('=')}, error=insufficient_claims",
        f'PoP alg="RS256", Bearer error="insufficient_claims", claims="{STANDARD}"',
        f'Bearer claims="%%%", Bearer claims="{STANDARD}"',
    ],
)
def test_claims_are_found_in_every_spelling(header: str) -> None:
    """Padded or not, url-safe or not, in any place of the header, and of several the first that can be read."""
    assert json.loads(claims_of(header)) == CLAIMS


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        'Bearer claims="eyJh"',
        'Bearer claims=""',
        'Bearer claims="!!!"',
        f'Bearer claims="{base64.b64encode(b"[1]").decode()}"',
        f'Bearer claims="{base64.b64encode(b"{}").decode()}"',
        f'Bearer claims="{"A" * (CLAIMS_LENGTH_MAX + 1)}"',
    ],
)
def test_what_cannot_be_read_is_no_challenge(header: str | None) -> None:
    """The token is then renewed as usual; the login library would fail on half a JSON text."""
    assert claims_of(header) == ""


@pytest.mark.parametrize(
    ("message", "claims", "said"),
    [
        ("", "", ""),
        ("Lifetime validation failed.", "", ""),
        ("resulted in challenge with result: InteractionRequired and code: Odd", "", "InteractionRequired, Odd"),
        ("", CLAIMS, "Graph wants a token issued after 2020-10-31 01:10:51 UTC, the claim x"),
        ("", {"access_token": {"acrs": {"value": "c1"}}}, "Graph wants a token for the authentication context c1"),
        (
            "",
            {"access_token": {"xms_rp_ipaddr": {"value": "10.0.0.1"}}},
            "Graph wants a token for calls from the address 10.0.0.1",
        ),
        ("", {"access_token": 7}, "Graph wants a token with claims that the login has not yet put into one"),
        ("", {"access_token": {"nbf\x1b": None}}, "Graph wants the claim nbf\ufffd"),
    ],
)
def test_a_challenge_in_words(message: str, claims: dict[str, Any] | str, said: str) -> None:
    """What Graph says of it, then what the next token must hold; nothing where there was no challenge."""
    assert in_words(message, json.dumps(claims) if claims else "") == said
