"""Store request ids compactly: 16 bytes for a UUID, text for any other id."""

from __future__ import annotations

import re

_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LENGTH_MAX = 200
"""Characters kept of an id that is not a UUID."""


def packed(text: str) -> bytes | str:
    """Return the stored form of an id. `unpacked` restores the text, cut to `LENGTH_MAX` if it is not a UUID."""
    if _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    return text[:LENGTH_MAX].encode("utf-8", "replace").decode()


def unpacked(stored: bytes | str | None) -> str:
    """Return the text of a stored id. Empty if there is none."""
    if not isinstance(stored, bytes):
        return stored or ""
    text = stored.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
