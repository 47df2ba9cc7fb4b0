"""Continuous access evaluation: what Graph wants of the next token when it refuses a token that has not expired.

A ``WWW-Authenticate`` header with ``error="insufficient_claims"`` carries ``claims``: JSON in base64 that is passed
to the login unchanged (Microsoft calls it a "claims challenge"). Its content is only shown to people. It decides
nothing here.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from purgeengine.core.graph.text import printable

CLAIMS_LENGTH_MAX = 8_192
"""Most characters of ``claims`` that are read. Captured ones have fewer than 1,000."""
CLAIMS_SHOWN_MAX = 5
"""Claims of a challenge that are put into words."""

_CLAIMS = re.compile(
    rf'\bclaims\s*=\s*(?:"([^"]{{1,{CLAIMS_LENGTH_MAX}}})"|([^\s",]{{1,{CLAIMS_LENGTH_MAX}}}))', re.IGNORECASE
)
_CODE = re.compile(r"result:\s*([A-Za-z]{1,60})\s+and code:\s*([A-Za-z]{1,60})")
_CODES = {
    "tokencreatedwithoutdatedpolicies": "a policy (Conditional Access) has changed since the token was issued",
    "tokenissuedbeforerevocationtimestamp": "the sign-ins of this account or app were revoked",
    "locationconditionevaluationsatisfied": "a policy wants calls to come from an allowed location (named locations)",
    "ipaddressnotallowed": "a policy wants calls to come from an allowed location (named locations)",
    "userdisabled": "the account is disabled",
    "serviceprincipaldisabled": "the app is disabled",
}


def claims_of(www_authenticate: str | None) -> str:
    """Return the claims that Graph asks for, as JSON text for the login. Empty if the header has none that can be read."""
    for quoted, bare in _CLAIMS.findall(www_authenticate or ""):
        packed = (quoted or bare).strip().rstrip("=").replace("-", "+").replace("_", "/")
        try:
            text = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8")
            claims = msgspec.json.decode(text)
        except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
            continue
        if isinstance(claims, dict) and claims:
            return text
    return ""


def in_words(message: str, claims: str) -> str:
    """Return what the challenge wants, for people, as the end of a sentence. Empty if there was no challenge."""
    named = _CODE.search(message)
    reasons = []
    if named:
        known = _CODES.get(named[2].lower())
        reasons.append(f"{named[1]}, {named[2]}{f': {known}' if known else ''}")
    if claims and (wanted := _wanted(claims)):
        reasons.append(f"Graph wants {wanted}")
    if not reasons and not claims:
        return ""
    return "; ".join(reasons) or "Graph wants a token with claims that the login has not yet put into one"


def _wanted(claims: str) -> str:
    try:
        asked = msgspec.json.decode(claims)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return ""
    of_token = asked.get("access_token") if isinstance(asked, dict) else None
    if not isinstance(of_token, dict):
        return ""
    return ", ".join(_claim(str(name), value) for name, value in list(of_token.items())[:CLAIMS_SHOWN_MAX])


def _utc_date(seconds: str) -> str:
    """Return seconds since 1970 as a date and time in UTC. Empty if the text is not such a number.

    This is computed by hand, because the core has no clock and no calendar. Years begin in March here, so that a leap
    day is the last day of its year.
    """
    if not re.fullmatch(r"[0-9]{1,11}", seconds):
        return ""
    days, second = divmod(int(seconds), 86_400)
    era, day_of_era = divmod(days + 719_468, 146_097)  # days since 0000-03-01, in eras of 400 years
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * from_march + 2) // 5 + 1
    month = from_march + 3 if from_march < 10 else from_march - 9
    year = 400 * era + year_of_era + (month <= 2)
    return f"{year:04}-{month:02}-{day:02} {second // 3_600:02}:{second // 60 % 60:02}:{second % 60:02} UTC"


def _claim(name: str, asked: object) -> str:
    value = asked.get("value") if isinstance(asked, dict) else None
    shown = printable(str(value), 60) if isinstance(value, str | int) else ""
    match name:
        case "nbf":
            date = _utc_date(shown)
            return f"a token issued after {date}" if date else "a newer token"
        case "acrs":
            return f"a token for the authentication context {shown}" if shown else "an authentication context"
        case "xms_rp_ipaddr":
            return f"a token for calls from the address {shown}" if shown else "a token for this machine's address"
        case _:
            return f"the claim {printable(name, 40)}"
