"""Words of a command as a shell wants them, so that a command that is shown can be copied and given."""

from __future__ import annotations

import re
import shlex

_PLAIN_ON_WINDOWS = re.compile(r"[A-Za-z0-9_.:\\/+-]+")
_EXPANDED_BY_POWERSHELL = frozenset("$`\u201c\u201d\u201e")


def quoted(word: str, *, windows: bool) -> str | None:
    """The word, in quotes where it needs them; None where it cannot be shown, as with control characters in it.

    On Windows the result is good in PowerShell and in cmd, except that a word with a dollar sign or a backtick is quoted for
    PowerShell alone: cmd has no quotes that PowerShell would not look into.
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
