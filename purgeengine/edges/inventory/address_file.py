"""Reads a file of mail addresses, one a line."""

from __future__ import annotations

import codecs
from pathlib import Path

from purgeengine.core.graph.text import printable
from purgeengine.errors import InputError

FILE_BYTES_MAX = 64 << 20
"""Longest file in bytes: more than a million addresses. They are held in memory."""


def read_addresses(path: str | Path) -> list[str]:
    """Return the addresses in a file, without empty lines, quotes and lines that begin with ``#``. The first line may be a heading.

    Raises `InputError` if the file cannot be read, names no address, or has a line that is none: a filter that is only partly
    understood finds the wrong contacts.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}. Name another file.") from error
    if len(content) > FILE_BYTES_MAX:
        raise InputError(f"{path} is larger than {FILE_BYTES_MAX >> 20} MiB, too large for a file of addresses.")
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 or UTF-16. Save it as UTF-8.") from error
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        address = line.strip().strip("\"'").strip()
        if not address or address.startswith("#") or (number == 1 and "@" not in address):
            continue
        if "@" not in address or any(letter in address for letter in ",;\t"):
            raise InputError(
                f"Line {number} of {path} is no mail address ({printable(address, 80)!r}). The file has one address a line."
            )
        found.append(address)
    if not found:
        raise InputError(f"{path} has no mail address. Name at least one, or leave the option out.")
    return found
