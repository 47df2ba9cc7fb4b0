"""Quote the words of a command for a shell, so that a command that is shown can be copied."""

from __future__ import annotations

import re
import shlex

_PLAIN_ON_WINDOWS = re.compile(r"[A-Za-z0-9_.:\\/+-]+")
_EXPANDED_BY_POWERSHELL = frozenset("$`\u201c\u201d\u201e")


def quoted(word: str, *, windows: bool) -> str | None:
    """Return the word, quoted if needed. None if it cannot be shown, for example because of control characters.

    On Windows the result works in PowerShell and in cmd. A word with a dollar sign or a backtick works in PowerShell
    only, because cmd has no quotes in which PowerShell does not expand them.
    """
    if not word.isprintable():
        return None
    if word.startswith("-"):
        word = f"./{word}"
    if not windows:
        return shlex.quote(word)
    if _PLAIN_ON_WINDOWS.fullmatch(word):
        return word
    if _EXPANDED_BY_POWERSHELL.intersection(word):
        doubled = re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", word)
        return f"'{doubled}'"
    return f'"{word}"'
