r"""Patterns with wildcards, with one meaning for all filters: ``*`` is any text, ``?`` one character.

A backslash makes the next character plain. All else stands for itself, brackets included: ``[Sync]`` is a company's name and no set
of letters. Texts compare without letter case, without space around them, and in one form of accents (NFC).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

Matches = Callable[[str], bool]
_ANYTHING = ".*"


def plain_text(text: str) -> str:
    """Return the text as it is compared."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).strip()


def text_pattern(pattern: str) -> Matches:
    """Return whether a whole text matches the pattern."""
    return _matcher(pattern, _ANYTHING, ".")


def path_pattern(pattern: str) -> Matches:
    """Return whether a folder's path matches the pattern.

    ``*`` and ``?`` match within one name, and ``**`` over several. A pattern without a slash is about the folder's own name,
    wherever the folder is.
    """
    matches = _matcher(pattern, "[^/]*", "[^/]")
    if "/" in pattern.replace("\\/", "") or "**" in pattern:
        return matches
    return lambda path: matches(own_name(path))


def own_name(path: str) -> str:
    """Return the last name of a path. A slash inside a name has a backslash before it."""
    return re.split(r"(?<!\\)/", path)[-1]


def _matcher(pattern: str, any_text: str, one: str) -> Matches:
    wanted = plain_text(pattern)
    if not set(wanted) & set("*?\\"):
        return lambda text: plain_text(text) == wanted
    matches = _compiled(wanted, any_text, one).fullmatch
    return lambda text: matches(plain_text(text)) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str, any_text: str, one: str) -> re.Pattern[str]:
    """Translate a pattern that is not plain."""
    pieces, stars = [""], list[str]()
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "\\" and at < len(pattern):
            # A path writes a slash inside a name with its backslash, so the pattern for it has both as well.
            pieces[-1] += re.escape("\\/" if pattern[at] == "/" else pattern[at])
            at += 1
        elif letter == "*":
            several = pattern[at : at + 1] == "*"
            while pattern[at : at + 1] == "*":
                at += 1
            stars.append(_ANYTHING if several else any_text)
            pieces.append("")
        else:
            pieces[-1] += one if letter == "?" else re.escape(letter)
    if (
        any_text == _ANYTHING and stars
    ):  # the leftmost place of each piece is as good as any other, so none is tried twice
        inner = "".join(f"(?>{_ANYTHING}?{piece})" for piece in pieces[1:-1])
        return re.compile(f"{pieces[0]}{inner}{_ANYTHING}{pieces[-1]}", re.DOTALL)
    rest = "".join(star + piece for star, piece in zip(stars, pieces[1:], strict=True))
    return re.compile(pieces[0] + rest, re.DOTALL)
