"""Tests of claims challenges: they are read in every known spelling, said in words, and ignored if unreadable."""

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
    """Claims are found with or without padding, in both base64 alphabets, in any place of the header.

    The first readable ones count.
    """
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
    """An unreadable challenge gives no claims, so that the token is renewed as usual.

    The login library would fail on broken JSON.
    """
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
    """The words of a challenge are Graph's reason and what the next token must hold; without a challenge there are none."""
    assert in_words(message, json.dumps(claims) if claims else "") == said
