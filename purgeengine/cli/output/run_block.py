"""The block of lines that stands for a run on a terminal: a bar, figures, outcomes and what the run waits for. Pure text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from purgeengine.cli.output.glyphs import Glyphs
from purgeengine.words import counted, duration

BAR_MAX, BAR_MIN = 40, 10
"""Columns of the bar at most, and at least where it shares its line with the figures."""
LINE_MAX = 120
"""Columns of a line at most. A longer one is hard to read, however wide the terminal is."""


class Mood(Enum):
    """How a run fares. The value is the colour of the bar."""

    WELL = "green"
    WAITING = "yellow"
    OUT = "red"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the block shows. Each text is a few words."""

    done: int
    rows: int
    figures: Sequence[str]
    """Rows, rate and time left."""
    outcomes: Sequence[str] = ()
    notes: Sequence[str] = ()
    """What slows the run down or stops it."""
    mood: Mood = Mood.WELL


Piece = tuple[str, str]
"""A text and its style, a name that rich knows; an empty style is the terminal's own."""


@dataclass(slots=True)
class Line:
    """A line of the block."""

    pieces: list[Piece] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The line without its styles."""
        return "".join(text for text, _ in self.pieces)


def block_lines(facts: RunFacts, width: int, glyphs: Glyphs) -> list[Line]:
    """Return the lines of the block for a terminal of ``width`` columns. No line is longer than that."""
    width = max(1, min(width, LINE_MAX))
    share = facts.done / facts.rows if facts.rows else 1.0
    # Rounded down, so that it says 100 % only at the end.
    figures = [f"{int(100 * min(1.0, share))} %", *facts.figures]
    told = glyphs.separator.join(figures)
    bar_width = min(BAR_MAX, width - len(told) - 2)
    if bar_width >= BAR_MIN:
        first = _bar(share, bar_width, facts.mood, glyphs)
        first.pieces.append((f"  {told}", ""))
        lines = [first]
    else:
        lines = [_bar(share, min(BAR_MAX, width), facts.mood, glyphs), *_wrapped(figures, "", width, glyphs)]
    lines += _wrapped(facts.outcomes, "", width, glyphs)
    lines += _wrapped(facts.notes, "" if facts.mood is Mood.WELL else facts.mood.value, width, glyphs)
    return lines


def stopping_words(calls: int, left_s: float) -> str:
    """Return what a run that stops waits for, and for how long at most."""
    return f"stopping: waiting for {counted(calls, 'answer')}, {duration(left_s)} at most"


def rows_when_wrapped(lines: Sequence[str], width: int) -> int:
    """Return how many rows of a terminal these lines take after it has become ``width`` columns wide."""
    return sum(max(1, -(-len(line) // max(1, width))) for line in lines)


def _bar(share: float, width: int, mood: Mood, glyphs: Glyphs) -> Line:
    done = int(width * min(1.0, max(0.0, share)))
    return Line([(glyphs.done * done, mood.value), (glyphs.left * (width - done), "bright_black")])


def _wrapped(parts: Sequence[str], style: str, width: int, glyphs: Glyphs) -> list[Line]:
    """Return the parts on as few lines as hold them. A part is broken only if it is longer than a line."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(glyphs.separator) + len(part) <= width:
            lines[-1] += glyphs.separator + part
        else:
            lines += textwrap.wrap(part, width) or [""]
    return [Line([(line, style)]) for line in lines]
