"""Remove secrets from text of a login, a metadata endpoint, a proxy or Graph, and limit its length.

Such a text may repeat what was sent to it, or contain the very token that was asked for where nobody expects it. A
token without a known shape is recognised by its look: long, without spaces, letters and digits mixed. Ids (GUIDs) and
words stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from purgeengine.core.graph.text import MESSAGE_LENGTH_MAX, printable

REDACTED = "(redacted)"
TEXT_LENGTH_MAX = 4_000
"""Characters read of one text; the rest is dropped. The longest real error of a login has fewer than 1,000."""
NAME_LENGTH_MAX = 60
"""Most characters of an error's name. Entra ID's longest has 30."""

_JWT = re.compile(r"eyJ[A-Za-z0-9_=-]{2,}(?:\.[A-Za-z0-9_=-]*){0,4}")  # a JWT's header begins with {" in base64
_SCHEME = re.compile(
    r"\b(Bearer|Basic|Negotiate|NTLM|Digest|PoP)[ \t]+(?=[A-Za-z0-9._~+/=-]{6})[A-Za-z0-9._~+/=-]+", re.I
)
_NAMED = re.compile(
    r"""((?:access|refresh|id|device|sas)?_?(?:token|secret|password|passphrase|assertion|authorization|cookie|device_code|credential)s?)"""
    r"""(\\?["']?\s*[:=]\s*\\?["']?)(?:(?:Bearer|Basic)\s+)?[^\s"'\\,;&}<>]+""",
    re.I,
)
_IN_URL = re.compile(r"(?<=://)[^\s/@]+@")  # user name and password
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40,}={0,2}")
_OPAQUE = re.compile(r"[A-Za-z0-9+_~=-]{16,}")
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORDS = re.compile(r"[a-z]+(?:[-_/][a-z]+)*|[A-Z]?[a-z]+(?:[A-Z][a-z]+)*")
_ERROR_NAME = re.compile(r"[a-z]{2,15}(?:[_ -][a-z]{2,15}){0,5}|[A-Z][a-z]{2,15}(?:[A-Z][a-z]{2,15}){0,5}")


def told(text: object, length_max: int = MESSAGE_LENGTH_MAX, *, secrets: Iterable[str] = ()) -> str:
    """Return a foreign text without secrets, printable, and at most ``length_max`` characters long. Empty if it is not text.

    ``secrets`` are texts of ours that must be removed, whatever they look like.
    """
    if not isinstance(text, str):
        return ""
    text = text[:TEXT_LENGTH_MAX]
    for secret in secrets:
        if secret:
            text = text.replace(secret, REDACTED)
    text = printable(text, TEXT_LENGTH_MAX)
    text = _JWT.sub(REDACTED, text)
    text = _SCHEME.sub(lambda match: f"{match[1]} {REDACTED}", text)
    text = _NAMED.sub(lambda match: f"{match[1]}{match[2]}{REDACTED}", text)
    text = _IN_URL.sub(f"{REDACTED}@", text)
    text = _BASE64.sub(_unless_words, text)
    text = _OPAQUE.sub(_unless_words, text)
    return printable(text, length_max)


def told_name(text: object) -> str:
    """Return the name of an error, such as ``invalid_client`` or ``ManagedIdentityNotFound``.

    Empty if the text is not such a name.
    """
    return text if isinstance(text, str) and len(text) <= NAME_LENGTH_MAX and _ERROR_NAME.fullmatch(text) else ""


def _unless_words(match: re.Match[str]) -> str:
    """Keep a GUID, a number, or connected words; redact anything else."""
    found = match[0]
    if _GUID.fullmatch(found) or _WORDS.fullmatch(found) or found.isdecimal():
        return found
    plain = found.replace("-", "").replace("_", "")
    if len(found) < 40 and (plain.isalpha() or not plain):
        return found
    return REDACTED
