"""Text that others wrote, made fit for a terminal, a log and a ledger."""

from __future__ import annotations

CODE_LENGTH_MAX = 100
"""Characters kept of an error code; Graph's longest has under fifty."""
MESSAGE_LENGTH_MAX = 300
"""Characters kept of an error message; enough for every sentence of Graph's, and a bound for a hostile one."""
EXAMPLE_CHARS_MAX = 80
"""Characters shown of a cell: enough to recognise a name; of an id the beginning."""


def printable(text: object, length_max: int = MESSAGE_LENGTH_MAX) -> str:
    """The text, cut, with nothing in it that steers a terminal, breaks a line or turns the direction of writing.

    Line breaks and other white space become spaces; control characters, byte order marks, direction marks, lone surrogates
    and unassigned characters become U+FFFD. What is no text at all is empty.
    """
    if not isinstance(text, str):
        return ""
    text = text[:length_max].strip()
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)


def well_formed(text: str) -> str:
    """The text with escapes for lone surrogates, which JSON and UTF-8 do not take: bytes of a file's name that are no text."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def escaped(text: str, length_max: int = EXAMPLE_CHARS_MAX) -> str:
    """The text cut and on one line; characters that nobody would see are written as Python writes them."""
    cut = f"{text[:length_max]}…" if len(text) > length_max else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
