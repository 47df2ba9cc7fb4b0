"""Make text that others wrote safe for a terminal, a log and a ledger."""

from __future__ import annotations

CODE_LENGTH_MAX = 100
"""Characters kept of an error code. Graph's longest has fewer than fifty."""
MESSAGE_LENGTH_MAX = 300
"""Characters kept of an error message: enough for every sentence of Graph, and a limit for a hostile one."""
EXAMPLE_CHARS_MAX = 80
"""Characters shown of a cell: enough to recognise a name, or the beginning of an id."""


def printable(text: object, length_max: int = MESSAGE_LENGTH_MAX) -> str:
    """Return the text, cut, without anything that controls a terminal, breaks a line or turns the direction of writing.

    Line breaks and other white space become spaces. Control characters, byte order marks, direction marks, lone
    surrogates and unassigned characters become U+FFFD. A value that is not text gives an empty text.
    """
    if not isinstance(text, str):
        return ""
    text = text[:length_max].strip()
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def well_formed(text: str) -> str:
    """Return the text with escapes for lone surrogates, which JSON and UTF-8 reject.

    They stand for odd bytes of a file's name.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def escaped_around(text: str, place: int, length_max: int = EXAMPLE_CHARS_MAX) -> str:
    """Do the same as `escaped`, but keep the part of the text in which the character at ``place`` and its neighbours stand."""
    first = 0 if place < length_max * 7 // 8 else place - length_max * 3 // 4
    return ("…" if first else "") + escaped(text[first:], length_max)


def escaped(text: str, length_max: int = EXAMPLE_CHARS_MAX) -> str:
    """Return the text, cut and on one line. Invisible characters are written as Python escapes."""
    cut = f"{text[:length_max]}…" if len(text) > length_max else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
