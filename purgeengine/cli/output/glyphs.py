"""Which characters a terminal can show: those of a smooth bar, or ASCII."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

_COERCED = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})
"""What Python itself puts into LC_CTYPE if the locale is C (PEP 538)."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that a display is drawn with."""

    done: str
    left: str
    separator: str
    dash: str


LINES = Glyphs("━", "─", " · ", "–")
ASCII = Glyphs("#", "-", " | ", "-")


def glyphs_for(stream: TextIO, *, legacy_windows: bool = False, environment: Mapping[str, str] = os.environ) -> Glyphs:
    """Return the characters for a terminal. ``legacy_windows`` is a console that knows no escape sequences and few letters."""
    if legacy_windows or _is_c_locale(environment):
        return ASCII
    try:
        (LINES.done + LINES.left + LINES.separator + LINES.dash).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return LINES


def _is_c_locale(environment: Mapping[str, str]) -> bool:
    """Return whether the user has chosen a locale without letters beyond ASCII. Windows has no such variables.

    Python writes UTF-8 in such a locale all the same, so the stream does not tell.
    """
    if sys.platform == "win32":
        return False
    every, kind, language = (environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    if kind in _COERCED and not every:
        kind = ""  # it may be Python's own choice
    return (every or kind or language) in ("C", "POSIX")
