"""Says why a text cannot be a user name or an id.

A cause is half a sentence without the value itself, so that rows with the same cause are counted together. Only causes that
`mended` takes away for certain name the option that does it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from purgeengine.core.command_words import CLEAN

MISSING_WORDS = frozenset(
    {
        "null", "(null)", "<null>", "nan", "nat", "none", "nil", "na", "<na>", "n/a", "#n/a", "#na", "\\n", "-", "--",
        "undefined", "#null!", "#ref!", "#value!", "#name?",
    }
)  # fmt: skip
"""Words, in lower case, that programs write for a missing value: databases, pandas, R, Excel, JavaScript."""
MISSING_WORD_CHARS_MAX = max(map(len, MISSING_WORDS))

INVISIBLE = "".join(
    map(
        chr,
        (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), *range(0x2066, 0x206A), 0xFEFF),
    )
)
"""Characters without a width: soft hyphens, zero-width spaces and joiners, direction marks, byte order marks."""
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_WITHOUT_INVISIBLE = dict.fromkeys(map(ord, INVISIBLE))
_CLEANS = f"; {CLEAN} removes it"
_ADDRESS_PREFIX = re.compile(r"(mailto|smtp):\s*", re.IGNORECASE)
_BRACES = re.compile(r"\{(.*)\}", re.DOTALL)
_BETWEEN_ADDRESSES = re.compile(r"[;,|/\s]+")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_QUOTED = re.compile(r"""["'‘’“”`].*["'‘’“”`]""", re.DOTALL)
_POWERSHELL = re.compile(r"(System|Microsoft)\.[A-Za-z.]+(\[\])?|@\{.*", re.DOTALL)


def is_missing_word(text: str) -> bool:
    """True if the whole text is a word for a missing value."""
    return len(text) <= MISSING_WORD_CHARS_MAX and text.lower() in MISSING_WORDS


def mended(text: str, *, is_user: bool) -> str:
    """Return the text without characters that certainly do not belong to it. The caller checks whether that is a user or an id.

    Removed are surrounding spaces and invisible characters. For a user, ``mailto:`` or ``SMTP:`` before it and braces
    around it are removed too.
    """
    text = text.translate(_WITHOUT_INVISIBLE).strip()
    if is_user:
        if found := _ADDRESS_PREFIX.match(text):
            text = text[found.end() :]
        elif found := _BRACES.fullmatch(text):
            text = found[1].strip()
    return text


def user_cause(user: str, is_user: Callable[[str], bool]) -> str | None:
    """Return why a text is not a user, as half a sentence after "the user". None if no cause is known.

    ``is_user`` tells whether a text is a user.
    """
    cleans = _CLEANS if is_user(mended(user, is_user=True)) else ""
    if found := _ADDRESS_PREFIX.match(user):
        return f"begins with '{found[1].lower()}:'{cleans}"
    if user.lower().startswith(("sip:", "x500:", "http://", "https://")):
        return f"begins with '{user.partition(':')[0].lower()}:'"
    if user.startswith("i:0") and "|" in user:
        return "is a claim as SharePoint writes it (i:0#.f|membership|...): what stands behind the last '|' is the name"
    if user.lower().startswith(("/o=", "/cn=")):
        return "is an Exchange address (/o=.../cn=...), not a user principal name"
    if (cause := _cause_of_any(user)) is not None:
        return cause if not cleans else f"{cause}{cleans}"
    if found := _BRACES.fullmatch(user):
        return f"is in braces{cleans}"
    if "<" in user and user.endswith(">"):
        return "is a name and an address (Name <address>), not the address alone"
    if user.count("@") > 1:
        return _signs_cause(user)
    if "\\" in user:
        return "is a Windows account name (DOMAIN\\name), not a user principal name (name@domain)"
    if user[-1:] in ".;,":
        return f"ends with '{user[-1]}'"
    if any(character.isspace() for character in user):
        return (
            "holds a space" if "@" in user else "is a name as it is displayed, not a user principal name (name@domain)"
        )
    if not user.isascii():
        return "holds a letter or sign beyond ASCII, which no user principal name has"
    return None


def _signs_cause(user: str) -> str:
    """Return why a text with more than one ``@`` is not a user."""
    if sum("@" in part for part in _BETWEEN_ADDRESSES.split(user)) > 1:
        return "holds several addresses"
    if user.startswith("@"):
        return "begins with '@'"
    return f"has {'two' if user.count('@') == 2 else 'several'} @ signs"


def id_cause(value: str, is_id: Callable[[str], bool]) -> str | None:
    """Return why a text is not an id, as half a sentence after "the contact id" or "the folder id".

    None if no cause is known.
    """
    if (cause := _cause_of_any(value)) is not None:
        fixed = mended(value, is_user=False)
        return f"{cause}{_CLEANS}" if fixed != value and is_id(fixed) else cause
    if _BRACES.fullmatch(value):
        return "is in braces, as the ids of other systems are"
    if value.lower().startswith(("http://", "https://")):
        return "is a URL: the id is what stands behind its last '/'"
    if "@" in value:
        return "is an address; no Graph id holds '@'"
    if any(character.isspace() for character in value):
        return "holds a space or a line break"
    return None


def _cause_of_any(text: str) -> str | None:
    if found := _INVISIBLE.search(text):
        return f"holds the invisible character U+{ord(found[0]):04X}"
    if is_missing_word(text):
        return "is a word for a missing value"
    if _POWERSHELL.fullmatch(text) or text in ("[object Object]", "{}", "[]"):
        return "is the name of an object or a list that was not written out: select its value before exporting"
    if text.endswith(("…", "...")):
        return "is cut off: it ends with '...'"
    if len(text) > 1 and _QUOTED.fullmatch(text):
        return "is in quotes"
    if _PERCENT.search(text):
        return "is percent-encoded"
    return None
