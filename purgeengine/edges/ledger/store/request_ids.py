"""Request ids, stored in 16 bytes where they are UUIDs and as text where they are not."""

from __future__ import annotations

import re

_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
LENGTH_MAX = 200
"""What is kept of an id that is no UUID."""


def packed(text: str) -> bytes | str:
    """To be stored; `unpacked` gives the same text back."""
    if _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    return text[:LENGTH_MAX].encode("utf-8", "replace").decode()


def unpacked(stored: bytes | str | None) -> str:
    """As it was; empty where there is none."""
    if not isinstance(stored, bytes):
        return stored or ""
    text = stored.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
