"""Breaks sentences between words, so that they fit on a terminal. Commands are not broken: they must stay whole to be copied."""

from __future__ import annotations

import os
import re
import textwrap
from typing import TextIO

COLUMNS_MAX = 120
"""Columns of a line at most. A longer one is hard to read, however wide the terminal is."""
COLUMNS_MIN = 20
"""A narrower terminal breaks the lines itself."""
_COMMAND = re.compile(r"(?<=: )purgeengine .*|^ +purgeengine .*")
"""A command, at the end of a sentence or on a line of its own."""
_HELD = "\x00"
"""Stands for a space at which no line may be broken. No text for a terminal has this character."""


def fitted(text: str, stream: TextIO, indent: int = 0) -> str:
    """Return the text as it fits on the stream: unchanged if that is no terminal, otherwise with lines of its width.

    Lines that continue a line begin with ``indent`` spaces.
    """
    try:
        if not stream.isatty():
            return text
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return text
    if not columns:  # a terminal that does not say how wide it is
        return text
    width = max(COLUMNS_MIN, min(columns, COLUMNS_MAX))
    return "\n".join(
        textwrap.fill(
            _COMMAND.sub(lambda command: command[0].replace(" ", _HELD), line),
            width,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        ).replace(_HELD, " ")
        for line in text.split("\n")
    )
